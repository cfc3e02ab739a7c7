"""Runs as a site: what is kept of each, merged and checked; its pages are drawn in reports."""

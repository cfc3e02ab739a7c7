"""Runs as a site for others: what is kept of each, merged and checked; pages are drawn in reports."""

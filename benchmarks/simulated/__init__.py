"""Simulated studies and how often they mislead; the page about them is made one folder above."""

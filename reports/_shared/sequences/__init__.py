"""Test sequences with their attributions: which are shown, and how; no text about them."""

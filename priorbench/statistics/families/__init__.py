"""Tests that are judged together: corrections, levels and verdicts; a single test, whatever else
was asked, belongs in the folder above.
"""

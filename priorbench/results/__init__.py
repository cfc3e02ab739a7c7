"""A run's tables: written from its trials, read back, and joined with those of other runs; tests
of them belong in `comparison`.
"""

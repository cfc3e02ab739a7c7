"""What a reader is told: the standing of each prior, the advice, and its sentences; differences and
their tests belong in `comparison`.
"""

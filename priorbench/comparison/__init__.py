"""What may be concluded of priors from the scores of runs; the tests themselves are pure functions
in `statistics`.
"""

"""From scores of runs to what may be concluded of priors; the tests themselves are pure functions
in `statistics`.
"""

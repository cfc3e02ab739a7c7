"""Help for authors of priors: a template, and the checks that a prior must pass; priors themselves
belong in `priors/`.
"""

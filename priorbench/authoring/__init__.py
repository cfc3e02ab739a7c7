"""What helps to write a prior: a template, and the checks that it must pass; priors themselves
belong in `priors/`.
"""

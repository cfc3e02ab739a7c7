"""Second derivatives at the price of the examples that need them, in plain torch; nothing here
knows of priors, tasks or runs.
"""

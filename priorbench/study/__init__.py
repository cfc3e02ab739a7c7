"""A study as the user writes it, what it declares before it runs, and its plan: weights, settings
and trials; running them belongs in `backends` and `execution`.
"""

"""What a user asks for, made complete: the study, its declared claims, weights, plan and trials;
running them belongs in `backends` and `execution`.
"""

"""Paired statistics, pure functions on documented arrays; what knows of trials or runs belongs in
`comparison`.
"""

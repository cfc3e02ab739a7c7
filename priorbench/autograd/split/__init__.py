"""The fast way: a batch that goes through a model in parts, so that only some pay for a second
differentiation; what every model may be given belongs above.
"""

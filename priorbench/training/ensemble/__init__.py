"""The training loop for several networks of one shape at once; what holds for one network belongs
in `training`.
"""

"""Torch's functions in forms that have second derivatives, or faster ones, within a block; nothing
is switched for the whole process.
"""

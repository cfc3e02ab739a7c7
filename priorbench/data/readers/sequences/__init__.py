"""Sequences that no genome places: two classes, shuffles and labels of theirs; what a genome has
is read in the folder above.
"""

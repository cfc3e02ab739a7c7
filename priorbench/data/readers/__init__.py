"""Readers of users' data files, one for each kind of task, and what they share; the bytes of a
format are read in `formats`.
"""

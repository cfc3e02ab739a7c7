"""From a user’s data file to a dataset, one reader for each kind of task and what they share;
bytes of a format are read in `formats`.
"""

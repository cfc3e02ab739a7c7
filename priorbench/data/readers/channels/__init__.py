"""Values per position that a data file offers to priors, under names; how files of intervals,
sequences and tracks are laid out is known to `formats`.
"""

"""Priors, one file each; the file's name is the prior's name."""

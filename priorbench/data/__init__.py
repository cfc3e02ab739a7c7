"""Datasets on disk, and how they are simulated and downloaded; users' files are read in `formats`
and `readers`.
"""

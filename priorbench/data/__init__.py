"""Datasets on disk, how they are simulated and downloaded; reading users’ files belongs in
`formats` and `readers`.
"""

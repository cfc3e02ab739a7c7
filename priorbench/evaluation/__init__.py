"""What is measured of a trained network and stored, and the scores to hold it against; the
scores’ formulae belong in `metrics`.
"""

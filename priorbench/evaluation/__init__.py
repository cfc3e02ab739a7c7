"""What is measured of a trained network and stored, and the reference scores beside it; the
formulae of scores belong in `metrics`.
"""

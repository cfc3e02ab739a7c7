"""Networks of the user's own, by the code that builds them and the files that hold their weights;
what is measured of them belongs in `evaluation/`.
"""

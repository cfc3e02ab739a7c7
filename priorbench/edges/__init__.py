"""What penalties do near the ends of the window, by formula and in trained networks; drawing it
belongs in `reports/`.
"""

"""Ways to attribute a prediction to bases, in training and of a trained network; what is scored
of them belongs in `metrics`.
"""

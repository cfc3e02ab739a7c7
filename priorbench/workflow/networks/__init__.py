"""Networks that were trained elsewhere, from files of weights to a finished run; how a model is
built and weights are read belongs in `user_models/`.
"""

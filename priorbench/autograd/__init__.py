"""Second derivatives at the price of the examples that need them, in plain torch; priors, tasks
and runs are unknown here.

Other folders use ``forward`` (one forward pass for groups of examples that share batch statistics),
``statistics_gate`` (whether gradients pass into these statistics), ``layer_chain`` (networks whose
derivatives are written out), ``output_trees`` (what networks return), ``generators`` (what modules
draw from) and, to train networks at once, ``split_batch`` and ``run_layers``.
"""

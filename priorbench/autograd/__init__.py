"""Second derivatives of anyone's model, and at the price of the examples that need them; priors,
tasks and runs are unknown here.

Other folders use ``model_call`` (a model with its arguments), ``functions`` (torch's own in
forms that have second derivatives), ``module_state`` (what a pass leaves on modules),
``statistics_gate`` (whether gradients pass into batch statistics), ``layer_chain`` (networks whose
derivatives are written out), ``output_trees`` (what networks return), ``generators`` (what modules
draw from), ``split`` (a batch in parts) and, to train networks at once, ``run_layers``.
"""

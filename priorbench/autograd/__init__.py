"""Second derivatives at the price of the examples that need them, in plain torch; priors, tasks
and runs are unknown here.

Everything that other folders use is importable from the package itself:

- :func:`forward_parts`, :func:`choose_way`: one forward pass for groups of examples that share
  batch statistics; the types of their arguments are :data:`Arguments` and :data:`Way`.
- :class:`StatisticsGate`: whether gradients pass into the batch statistics.
- :class:`SplitBatch`: a batch in parts, for code that intercepts torch functions.
- :class:`LayerChain`: a ``torch.nn.Sequential`` with derivatives written out, for architectures.
- :func:`map_tensors`, :func:`join_trees`, :func:`tensors_in`: outputs of networks.
"""

from .forward import Arguments, Way, choose_way, forward_parts
from .layer_chain import LayerChain
from .output_trees import join_trees, map_tensors, tensors_in
from .split_batch import SplitBatch
from .statistics_gate import StatisticsGate

__all__ = [
    "Arguments",
    "LayerChain",
    "SplitBatch",
    "StatisticsGate",
    "Way",
    "choose_way",
    "forward_parts",
    "join_trees",
    "map_tensors",
    "tensors_in",
]

"""One training step with the Fourier prior, as the suite takes it and as published."""

from collections.abc import Iterator
from functools import partial

import measuring as m

from priorbench import load_prior
from priorbench.training.adam import Adam


def steps(*, quick: bool = False) -> Iterator[m.Row]:
    """Time a step with the Fourier prior, the suite's and the published way, over a plain step."""
    sizes = (("paper", 1000, 9, {False: 1.5, True: 1.6}), ("quick", 120, 101, {}))
    for scale, length, rounds, goal in sizes[1:] if quick else sizes:
        _, batch = m.random_batch("binary", 64, length)
        for batch_norm in (False, True):
            ways = {
                prior: m.binary_step(prior, length, scale, batch_norm=batch_norm)
                for prior in ("none", "fourier")
            }
            network = m.three_conv(length, scale, batch_norm=batch_norm)
            loss = partial(m.published_loss, network, load_prior("fourier"), batch)
            ways["published"] = m.optimised(loss, Adam(network.parameters(), 1e-3))
            seconds = m.in_turns(ways, 3 if quick else rounds)
            yield {
                "network": f"{scale}, {'with' if batch_norm else 'without'} batch norm",
                "this suite": seconds["fourier"] / seconds["none"],
                "published way": seconds["published"] / seconds["none"],
                "goal": goal.get(batch_norm, ""),
            }

"""Measure priorbench: a table in Markdown by topic, ratios taken side by side in one run.

Nothing here is a test: machines are noisy. Files are written with --write only.
"""

import functools
from collections.abc import Callable, Iterator
from importlib import import_module

SPEED = (
    "steps",
    "library",
    "loop",
    "trial",
    "prices",
    "extraction",
    "scoring",
    "report",
    "bookkeeping",
)
TOPICS = (*SPEED, "minutes", "verdicts", "calibration", "devices", "gpu")


def printed(topic: Callable[..., Iterator[dict[str, object]]]) -> Callable[..., None]:
    """Return a function with the options of a topic that prints its rows as they come."""

    @functools.wraps(topic)
    def run(**options: object) -> None:
        for line in import_module("measuring").markdown(topic(**options)):
            print(line, flush=True)

    return run


def speed(*, quick: bool = False) -> None:
    """Run the topics above `minutes`, one after the other."""
    for name in SPEED:
        print(f"\n{name}\n")
        printed(getattr(import_module(name), name))(quick=quick)


if __name__ == "__main__":  # new processes, which topics start, come by here without that name
    import torch
    import typer

    torch.set_num_threads(1)
    app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
    for name in TOPICS:
        app.command(name)(printed(getattr(import_module(name), name)))
    app.command("all")(speed)
    app()

"""The command `edges`: what a penalty does near the ends of the window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from .console import print_message
from .options import option, read_names


def edges(
    length: Annotated[
        int, option(does="Length of the window in bp.", default="120", example="1000")
    ] = 120,
    priors: Annotated[
        str | None,
        option(
            does="Priors whose penalties are shown, separated by commas.",
            default="fourier with each of its boundaries, and tv",
            example="fourier,fourier:boundary=zero",
        ),
    ] = None,
    run_directory: Annotated[
        Path | None,
        option(
            "--run",
            does="Finished run of the study edges, whose trained models are shown too.",
            default="none",
            example="runs/edges-1a2b3c4d",
        ),
    ] = None,
    out: Annotated[
        Path,
        option(does="Folder to write to.", default="edges", example="edges-1000"),
    ] = Path("edges"),
) -> None:
    """Show what a penalty does near the ends of the window; nothing is trained.

    Example: priorbench edges --length 1000 --out edges-1000
    """
    from priorbench.components.registry import normal_spec, reports_package
    from priorbench.edges.penalty_effects import BOUNDARIES

    requested = read_names("priors", priors) or list(BOUNDARIES)
    specs = list(dict.fromkeys(normal_spec("prior", spec) for spec in requested))
    written = reports_package().write_edges(out, priors=specs, length=length, run=run_directory)
    print_message(f"{len(written)} files in {out}")
    print(written[0])

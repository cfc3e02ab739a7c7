"""The command `edges`: what a penalty does near the ends of the window."""

from __future__ import annotations

from pathlib import Path

from .console import print_message
from .options import read_names


def edges(
    *,
    length: int = 120,
    priors: str | None = None,
    run: Path | None = None,
    out: Path = Path("edges"),
) -> None:
    """Show what a penalty does near the ends of the window; nothing is trained.

    Example: priorbench edges --length 1000 --out edges-1000

    Args:
        length: Length of the window in bp. Default: 120. Example: 1000
        priors: Priors whose penalties are shown, separated by commas. Default: fourier with each of
            its boundaries, and tv. Example: fourier,fourier:boundary=zero
        run: Finished run of the study edges, whose trained models are shown too. Default: none.
            Example: runs/edges-1a2b3c4d
        out: Folder to write to. Default: edges. Example: edges-1000
    """
    from priorbench.components.registry import normal_spec, reports_package
    from priorbench.edges.penalty_effects import BOUNDARIES

    requested = read_names("priors", priors) or list(BOUNDARIES)
    specs = list(dict.fromkeys(normal_spec("prior", spec) for spec in requested))
    written = reports_package().write_edges(out, priors=specs, length=length, run=run)
    print_message(f"{len(written)} files in {out}")
    print(written[0])

"""Execute the notebooks of the tutorial: `make site` compares what they print with what is stored
in them, `make notebooks` stores it.

Results of a training are the same to the last bit on one machine with the same versions, and on no
other. So the notebooks run with instructions that every processor of the last ten years has, and
numbers may differ in the last digit that is printed, or by a thousandth; words may not. Where
versions or the kind of processor are others than those that the output was stored with, a notebook
is executed, so that its asserts are checked, and its output is not compared.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "tutorial" / "notebooks").glob("*.ipynb"))
INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "CUDA_VISIBLE_DEVICES": "",
}
PLAIN = {"COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb"}
_STYLE = """\
svg.fonttype: none
svg.hashsalt: priorbench
font.sans-serif: DejaVu Sans
axes.spines.top: False
axes.spines.right: False
"""
_FIGURES = """\
c = get_config()
c.InlineBackend.figure_formats = {"svg"}
unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": unsaid}
"""
_NUMBER = re.compile(r"(?<!\w)-?\d+(?:\.(\d+))?(?:e[-+]?\d+)?")
_SECONDS = 600
"""longest time of a cell"""


def machine() -> dict[str, str]:
    """Return what decides numbers: the kind of processor, and the versions of what computes."""
    os.environ.update(INSTRUCTIONS)
    import numpy
    import torch

    return {
        "processor": f"{_processor()}, used as {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__.partition("+")[0],
        "numpy": numpy.__version__,
    }


def _processor() -> str:
    """Return the model of the processor, whose caches decide how sums are split."""
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        known = ""
    fields = dict(re.findall(r"^(vendor_id|cpu family|model)\s*: (.*)$", known, re.MULTILINE))
    return " ".join([platform.machine(), *fields.values()])


def execute(path: Path) -> nbformat.NotebookNode:
    """Return a notebook as it is after a run in an empty folder, without what changes every time.

    Raises:
        CellExecutionError: where a cell does.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings")
        (settings / "profile_default").mkdir(parents=True)
        (settings / "profile_default" / "ipython_kernel_config.py").write_text(_FIGURES)
        (settings / "matplotlibrc").write_text(_STYLE)
        work = Path(folder, "work")
        work.mkdir()
        names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MATPLOTLIBRC")
        os.environ.update(INSTRUCTIONS | PLAIN | dict.fromkeys(names, str(settings)))
        client = NotebookClient(
            notebook,
            timeout=_SECONDS,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(work)}},
            config=Config({"KernelManager": {"transport": "ipc", "ip": str(settings / "kernel")}}),
        )
        client.execute()
    _drop_what_changes(notebook)
    return notebook


def _drop_what_changes(notebook: nbformat.NotebookNode) -> None:
    """Leave of every output the text or the figure, and of the metadata what readers need."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        "machine": machine(),
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_plain(output) for output in cell.outputs]


def _plain(output: dict[str, Any]) -> nbformat.NotebookNode:
    """Return an output without its count, and without the other forms of a text or a figure."""
    kept = dict(output)
    if "execution_count" in kept:
        kept["execution_count"] = None
    if "data" in kept:
        kind = next(k for k in ("image/svg+xml", "text/plain") if k in kept["data"])
        kept["data"], kept["metadata"] = {kind: kept["data"][kind]}, {}
    return nbformat.from_dict(kept)


def texts(cell: dict[str, Any]) -> list[str]:
    """Return what the outputs of a cell say."""
    outputs = cell.get("outputs", [])
    return [
        "".join(output.get("text") or next(iter(output.get("data", {}).values()), ""))
        for output in outputs
    ]


def differences(stored: dict[str, Any], fresh: dict[str, Any]) -> Iterator[str]:
    """Yield a line for every cell whose fresh output is not the one that is stored."""
    for before, now in zip(stored["cells"], fresh["cells"], strict=True):
        old, new = texts(before), texts(now)
        if len(old) != len(new):
            yield f"cell {now['id']}: {len(new)} outputs, {len(old)} are stored"
        for pair in zip(old, new, strict=False):
            if not _same(*pair):
                lines = zip(*(text.splitlines() for text in pair), strict=False)
                pairs = ((a, b) for a, b in lines if not _same(a, b))
                first = next(pairs, ("", "(of another length)"))
                yield f"cell {now['id']}: {first[1].strip()!r}, stored is {first[0].strip()!r}"


def _same(stored: str, fresh: str) -> bool:
    """Return whether two texts have the same words, and numbers that are nearly the same."""
    words = [_NUMBER.sub("0", text).split() for text in (stored, fresh)]
    numbers = zip(_NUMBER.finditer(stored), _NUMBER.finditer(fresh), strict=False)
    return words[0] == words[1] and all(_near(old, new) for old, new in numbers)


def _near(stored: re.Match[str], fresh: re.Match[str]) -> bool:
    """Return whether numbers agree but for their last decimal, or to a thousandth."""
    last = 1.5 * 10 ** -len(stored[1]) if stored[1] else 0
    return math.isclose(float(stored[0]), float(fresh[0]), rel_tol=1e-3, abs_tol=last)


def check(path: Path) -> list[str]:
    """Return what is wrong with the stored output of a notebook, after a run of it."""
    stored = nbformat.read(path, as_version=4)
    fresh = execute(path)
    here, there = fresh.metadata["machine"], stored.metadata.get("machine", {})
    if here != there:
        print(f"{path.name}: executed, and not compared: stored with {there}, here are {here}")
        return []
    return list(differences(stored, fresh))


def main() -> int:
    """Check notebooks, or store their output; 1 if one fails or prints something else."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="store the output")
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks; default: the tutorial's")
    arguments = parser.parse_args()
    # the `priorbench` of a cell is the one of this environment
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    wrong = []
    for path in arguments.paths or NOTEBOOKS:
        try:
            if arguments.write:
                nbformat.write(execute(path), path)
            else:
                wrong += [f"{path.name}: {line}" for line in check(path)]
        except CellExecutionError as error:
            wrong.append(f"{path.name}: {error}")
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong and not arguments.write:
        print("`make notebooks` stores what they print now", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

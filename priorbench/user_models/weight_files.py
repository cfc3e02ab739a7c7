"""Which files of weights a user names, and what their names say: the group and the pair of each.

A text is ``FILE``, ``GROUP=FILE`` or ``GROUP:NUMBER=FILE``; instead of a file it may name a folder,
or a pattern such as ``models/*/best.pt``. Networks of several groups are paired by their number.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from priorbench.errors import UserError
from priorbench.inputs import problem_of_file

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
"""endings of files of weights"""
LARGEST_NUMBER = 2**63 - 1
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NAMED = re.compile(rf"(?P<group>{_GROUP.pattern})(:(?P<number>\d+))?=(?P<place>.*)", re.DOTALL)
_WORD = re.compile(r"(?:seed|fold|replicate|rep|run)[-_. ]?(\d+)", re.IGNORECASE)
"""a number whose meaning is written before it"""
_IN_FILE = re.compile(r"(?<!\d)(?<!\d\.)(\d+)(?![A-Za-z0-9]|\.\d)")
_IN_FOLDER = re.compile(r"(?:(?<=[-_. ])|^)(\d+)$")
"""other numbers in the name of a file, and in that of a folder, which may be a hash"""
_COUNTED = re.compile(
    r"(?:epochs?|(?<![a-z])ep|steps?|iter(?:ation)?s?|checkpoint|ckpt)[-_=. ]?$", re.IGNORECASE
)
"""what stands before a number that says how far a training had come, and not which one it was"""


@dataclass(frozen=True)
class WeightsFile:
    """A file with the weights of one network.

    Attributes:
        group: name of its group.
        number: number of its pair: files of several groups with the same number are compared.
        path: the file, an absolute path.
    """

    group: str
    number: int
    path: Path


def find_weights(texts: Sequence[str]) -> list[WeightsFile]:
    """Return the files that texts name, in their order; groups in the order of their first file.

    Raises:
        UserError: if a text names no file, a name does not say the number of its pair, or two files
            of a group have the same.
    """
    if not texts:
        raise UserError("--weights: no file is named; give one, such as GROUP=FILE")
    files = [file for text in texts for file in _read(text)]
    seen: dict[tuple[str, int], WeightsFile] = {}
    for file in files:
        before = seen.setdefault((file.group, file.number), file)
        if before.path == file.path and before is not file:
            raise UserError(f"--weights: {file.path} is given twice; give it once")
        if before is not file:
            raise UserError(
                f"--weights: {before.path} and {file.path} are both number {file.number} of group "
                f"{file.group!r}; write GROUP:NUMBER=FILE"
            )
    groups = list(dict.fromkeys(file.group for file in files))
    return sorted(files, key=lambda file: groups.index(file.group))


def _read(text: str) -> Iterable[WeightsFile]:
    named = None if Path(text).exists() else _NAMED.fullmatch(text)
    place = named["place"] if named else text
    paths = _paths(place, text)
    if named and named["number"] is not None:
        if len(paths) > 1:
            raise UserError(f"--weights {text!r}: names {len(paths)} files; a number is of one")
        return [WeightsFile(named["group"], _number(named["number"], text), paths[0])]
    files = []
    for path in paths:
        group, number = _parts(path)
        if number is None and len(paths) > 1:
            raise UserError(
                f"--weights: {path} has no number in its name by which it is paired (one of an "
                "epoch, a step or a checkpoint is none); write GROUP:NUMBER=FILE"
            )
        name = named["group"] if named else group
        if not _GROUP.fullmatch(name):
            raise UserError(f"--weights: the name of {path} makes no group; write GROUP=FILE")
        files.append(WeightsFile(name, _number(number or "0", text), path))
    return files


def _number(digits: str, text: str) -> int:
    if int(digits) > LARGEST_NUMBER:
        raise UserError(f"--weights {text!r}: {digits} is too large for the number of a pair")
    return int(digits)


def _paths(place: str, text: str) -> list[Path]:
    """Return the files at a place, sorted, absolute."""
    path = Path(place).expanduser()
    if path.is_dir():
        paths = [file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file()]
        if not paths:
            raise UserError(
                f"--weights {text!r}: no {', '.join(SUFFIXES)} in this folder; a pattern such as "
                "'FOLDER/*/best.pt' looks further down"
            )
    elif glob.has_magic(place) and not path.exists():
        paths = [Path(name) for name in glob.glob(str(path), recursive=True)]
        paths = [file for file in paths if file.is_file()]
        if not paths:
            raise UserError(f"--weights {text!r}: no file is called so; check the pattern")
    else:
        paths = [path]
    for file in paths:
        if problem := problem_of_file(file):
            raise UserError(f"--weights {file}: {problem}")
        if file.suffix not in SUFFIXES:
            raise UserError(
                f"--weights {file}: is no {', '.join(SUFFIXES)}; save the model's state_dict() in "
                "one"
            )
    return sorted((file.absolute() for file in paths), key=_by_number)


def _by_number(path: Path) -> tuple[str, int, str]:
    group, number = _parts(path)
    return group, int(number or 0), str(path)


def _parts(path: Path) -> tuple[str, str | None]:
    """Return group and number that the name of a file says, or else that of its folder."""
    folder = path.absolute().parent
    for name, above, other in (
        (path.stem, folder.name, _IN_FILE),
        (folder.name, folder.parent.name, _IN_FOLDER),
    ):
        others = [n for n in other.finditer(name) if not _COUNTED.search(name[: n.start()])]
        numbers = [*_WORD.finditer(name)] or others
        if numbers:
            rest = name[: numbers[-1].start()] + name[numbers[-1].end() :]
            return re.sub(r"[-_. ]{2,}", "_", rest).strip("-_. ") or above, numbers[-1][1]
    return path.stem, None

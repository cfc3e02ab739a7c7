"""The name of a run whose study has none: what is compared, on what, with which seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from priorbench.components.specs import name_of
from priorbench.data.readers.data_file import load_data_file
from priorbench.number_text import counted, listed
from priorbench.storage.files import slug
from priorbench.study.study import BASELINE, Study, identity_of
from priorbench.study.trial import hash_of

_MOST_NAMED = 3
"""priors, or datasets, that are named; of a longer list fewer, and how many more there are"""
_LONGEST = {"words": 60, "folder": 22}
"""letters of the priors, or of the datasets, beyond which only the first of them is named"""
_LONGEST_FOLDER = 70


@dataclass(frozen=True)
class _Parts:
    """What a name is made of.

    Attributes:
        priors: specs of the priors that are compared with the baseline.
        places: names of the data files, and specs of the tasks that are simulated.
    """

    priors: Sequence[str]
    places: Sequence[str]


def named(study: Study) -> Study:
    """Return a resolved study with a name in words, unless it has one."""
    return study if study.name else study.model_copy(update={"name": name_in_words(study)})


def unnamed(study: Study) -> Study:
    """Return a study without the name that :func:`named` gave it, which changes with its options.

    Raises:
        UserError: if a data file of the study cannot be read.
    """
    made = study.name == name_in_words(study)
    return study.model_copy(update={"name": ""}) if made else study


def name_in_words(study: Study) -> str:
    """Return such as ``fourier and tv on binary, 8 seeds``, for the title of the report.

    Raises:
        UserError: if a data file of the study cannot be read.
    """
    parts = _parts(study)
    return compared_in_words(parts.priors, parts.places, study.seed_list)


def compared_in_words(priors: Sequence[str], places: Sequence[str], seeds: Sequence[int]) -> str:
    """Return what a run compares: its priors, its tasks or datasets, and its seeds.

    Args:
        priors: specs of the priors that are compared with the baseline, at least one.
        places: specs of the tasks, or names of the datasets, at least one.
        seeds: the seeds, at least one.
    """
    names = [
        listed([*shown, *([f"{more} more"] if more else [])])
        for shown, more in (_shown(names, "words") for names in (priors, places))
    ]
    return f"{' on '.join(names)}, {_seeds(sorted(seeds))}"


def folder_name(study: Study) -> str:
    """Return the name of a run's folder, without its hash: ``fourier-tv_binary_8-seeds``.

    The folder of a study with a name of its own is called by that name.
    """
    if study.name != name_in_words(study):
        return slug(study.name)
    parts = _parts(study)
    priors, places = map(_for_folder, (parts.priors, parts.places))
    seeds = slug(_seeds(sorted(study.seed_list)).replace(" to ", "-").replace(" and", ""))
    return f"{priors}_{places}_{seeds}"[:_LONGEST_FOLDER].rstrip("-.")


def usual_folder(study: Study) -> Path:
    """Return the run directory where none is named, the same for the same resolved study."""
    return Path("runs") / f"{folder_name(study)}-{hash_of(identity_of(study))[:8]}"


def _parts(study: Study) -> _Parts:
    files = [load_data_file(path) for path in study.data]
    served = {file.task for file in files}
    simulated = [spec for spec in study.tasks if name_of(spec) not in served]
    return _Parts(
        [spec for spec in study.priors if spec != BASELINE] or [BASELINE],
        # a study file that names no task yet is resolved to this one
        list(dict.fromkeys([*(file.name for file in files), *simulated])) or ["binary"],
    )


def _seeds(seeds: list[int]) -> str:
    """Return seeds in words: ``8 seeds``, ``seeds 100 to 107``, ``seeds 0, 3 and 7``."""
    first, count = seeds[0], len(seeds)
    in_a_row = seeds == list(range(first, first + count))
    if in_a_row and first == 0:
        return counted(count, "seed")
    if in_a_row and count > 1:
        return f"seeds {first} to {first + count - 1}"
    if count > _MOST_NAMED:
        return counted(count, "seed")
    return f"seed{'' if count == 1 else 's'} {listed([str(seed) for seed in seeds])}"


def _shown(names: Sequence[str], form: str) -> tuple[Sequence[str], int]:
    """Return the names to be shown in a form of _LONGEST, and how many more there are."""
    count = len(names) if len(names) <= _MOST_NAMED else _MOST_NAMED - 1
    while count > 1 and len(" ".join(names[:count])) > _LONGEST[form]:
        count -= 1
    return names[:count], len(names) - count


def _for_folder(names: Sequence[str]) -> str:
    """Return names as part of a folder's name, of their options the values only."""
    short = [slug(re.sub(r":\w+=", "-", name)) for name in names]
    shown, more = _shown(short, "folder")
    text = "-".join(shown)[: _LONGEST["folder"]].rstrip("-.")
    return f"{text}-and-{more}-more" if more else text

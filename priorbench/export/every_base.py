"""Hypothetical contributions of a run's trials, from their stored models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.components import registry
from priorbench.data.dataset import Dataset
from priorbench.encoding import BASES
from priorbench.errors import UserError
from priorbench.evaluation.hypothetical import WITHOUT, explain_every_base, with_every_base
from priorbench.execution.job import Job
from priorbench.execution.run_trial import in_one_line
from priorbench.execution.stored_model import stored_model
from priorbench.results.finished_run import Run
from priorbench.storage.sealed_files import command_on
from priorbench.study.study import Measurements
from priorbench.study.trial import Trial

_TOLERANCE = 0.01
"""largest difference to stored attributions, as a share of the largest of them, which are stored in
float16 and may be of another processor"""


def refuse_without(run: Run, attribution: str) -> None:
    """Raise UserError if an attribution that was scored has no hypothetical contributions."""
    others = with_every_base(run.attributions)
    if attribution in others or attribution not in run.attributions:
        return
    if others:
        remedy = f"take --attribution {others[0]}"
    else:
        remedy = f"{command_on(run.root, 'score')} with --attributions input-x-gradient adds one"
    raise UserError(
        f"--format modisco: attribution {attribution} {WITHOUT}, which TF-MoDISco needs; {remedy}"
    )


def one_hot(dataset: Dataset) -> NDArray[np.bool_]:
    """Return the (M, 4, L) attributed sequences of a dataset; unknown bases have none of four."""
    codes = dataset.codes(dataset.attributed)
    bases: NDArray[np.bool_] = codes[:, None, :] == np.arange(len(BASES), dtype=np.uint8)[:, None]
    return bases


def every_base(run: Run, trial: str, attribution: str) -> NDArray[np.float32]:
    """Return (M, 4, L) hypothetical contributions of a trial that ended well.

    They are computed on the CPU from the stored model, and compared with what was stored of it.

    Args:
        run: a finished run.
        trial: id of the trial.
        attribution: spec of an attribution that was scored and has them.

    Raises:
        UserError: if the model cannot be built any more, or explains otherwise than it did.
        DamagedFile: if a file of the trial is not as it was written.
    """
    record = run.records[trial]
    key = f"{record['task']}/{record['dataset']}"
    plugins = [Path(path) for path in run.study["plugins"]]
    measured = Measurements([attribution])
    folder = run.root / run.environment["datasets"][key]
    job = Job(Trial.from_record(record), folder, plugins, run.root, measured)
    try:
        registry.use_plugins(plugins)
        trained = stored_model(job, run.directory, torch.device("cpu"))
        values = explain_every_base(
            trained.model, trained.task, trained.dataset, trained.device, attribution
        )
    except (UserError, OSError):
        raise
    except Exception as error:  # the code of a prior or a network may have changed since
        raise UserError(
            f"{run.directory.trial(trial)}: the trained model cannot be explained again "
            f"({in_one_line(error)}); {command_on(run.root)} trains what has changed"
        ) from error
    _refuse_other(run, trial, attribution, values)
    return values


def _refuse_other(run: Run, trial: str, attribution: str, values: NDArray[np.float32]) -> None:
    """Raise UserError if hypothetical contributions do not belong to the stored attribution."""
    stored = run.arrays(trial, attribution)
    assert stored is not None  # the trial is done
    record = run.records[trial]
    bases = one_hot(run.datasets[f"{record['task']}/{record['dataset']}"])
    difference = (values * bases).sum(axis=1) - stored.attribution * bases.any(axis=1)
    size = np.abs(stored.attribution).max()
    share = float(np.abs(difference).max() / size) if size else 0.0
    if not share <= _TOLERANCE:
        raise UserError(
            f"{run.directory.trial(trial)}: the trained model explains {attribution} otherwise "
            f"than when it was scored (by {share:.0%} of the largest attribution); "
            f"{command_on(run.root, 'score')} scores it again"
        )

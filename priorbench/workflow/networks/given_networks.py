"""Networks that were trained elsewhere, checked against the data and stored as trials of a run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.components.task import Task
from priorbench.data.codes import SCORED_ON
from priorbench.data.dataset import load_dataset
from priorbench.errors import UserError
from priorbench.number_text import listed
from priorbench.storage.files import writing
from priorbench.storage.run_directory import DONE, MODEL, RunDirectory
from priorbench.storage.sealed_files import DamagedFile, digest_of
from priorbench.study.keys.networks import GIVEN, UserNetworks
from priorbench.study.plan import Plan, Setting
from priorbench.study.recorded_study import planned_rows
from priorbench.study.trial import EVALUATE, Trial
from priorbench.training.batches import load_batch
from priorbench.training.loop import seeded_torch
from priorbench.user_models.checkpoint import digest_of_state, put_state, read_state
from priorbench.user_models.factory import Factory, load_factory, of_user
from priorbench.user_models.network import UserNetwork, build_network, check_call, check_output
from priorbench.user_models.weight_files import WeightsFile

from ..run_history import scored_trials

_CALLED_WITH = 64
"""most test sequences that a network is tried on"""

_PROBABILITIES = (
    "all outputs that were tried lie between 0 and 1, and are read as logits; if they are "
    "probabilities, leave the sigmoid out of the model"
)


@dataclass(frozen=True)
class GivenNetwork:
    """A network whose weights are known to fit.

    Attributes:
        file: the file of its weights.
        digest: hash of its weights.
    """

    file: WeightsFile
    digest: str


class NetworkReader:
    """Builds the networks of a run, for data of its plan.

    Attributes:
        networks: what builds them.
        code: hash of the code that builds them.
        doubts: what makes the outputs of the networks doubtful, by dataset, ``task/dataset``.
    """

    def __init__(self, networks: UserNetworks) -> None:
        """Import what builds the networks; UserError if there is no such thing."""
        self.networks, self._where = networks, f"--model {networks.model}"
        with of_user(self._where):
            self._factory: Factory = load_factory(networks.model, Path(networks.folder))
            self.code = self._factory.code_digest()
        self.doubts: dict[str, list[str]] = {}

    def build(self, shape: NetworkShape, file: WeightsFile, seed: int = 0) -> UserNetwork:
        """Return a network of these sizes with the weights of a file, in eval mode, on the CPU.

        What the weights do not hold starts from the random state of ``seed``.

        Raises:
            UserError: if it cannot be built, or the weights do not fit it.
        """
        with of_user(self._where), seeded_torch(seed, torch.device("cpu")):
            network = build_network(self._factory, shape, self.networks.layout)
        state = read_state(file.path)
        with of_user(f"--weights {file.path}"):
            put_state(network.network, state)
        return network

    def check(self, plan: Plan, files: Sequence[WeightsFile]) -> list[GivenNetwork]:
        """Return the networks of files, each of which fits the data of a plan.

        Raises:
            UserError: if one of them does not.
        """
        given: list[GivenNetwork] = []
        for setting in plan.settings:
            task, shape = _task_and_shape(plan, setting)
            given = []
            for number, file in enumerate(files):
                network = self.build(shape, file)
                given.append(GivenNetwork(file, digest_of_state(network.network.state_dict())))
                if number == 0:  # the others are built by the same code
                    rebuilt = self.build(shape, file, seed=1)
                    self._try(network, rebuilt, plan, setting, task)
        _refuse_copies(given)
        return given

    def _try(
        self,
        network: UserNetwork,
        rebuilt: UserNetwork,
        plan: Plan,
        setting: Setting,
        task: Task,
    ) -> None:
        """Call a network on some of the sequences that it is to be scored on."""
        dataset = load_dataset(plan.datasets[setting.data_key], SCORED_ON[EVALUATE])
        rows = dataset.scored_rows[:_CALLED_WITH]
        batch = load_batch(dataset, rows, torch.device("cpu"))
        shape, inputs, doubts = task.network_shape_of(dataset), task.inputs(batch), list[str]()
        with of_user(f"{self._where} on {setting.data_key}"):
            if check_output(network, batch.sequence, inputs, shape):
                doubts.append(_PROBABILITIES)
            doubts += check_call(network, rebuilt, batch.sequence, inputs)
        self.doubts[setting.data_key] = doubts

    def store(self, trial: Trial, file: WeightsFile, plan: Plan, run: RunDirectory) -> None:
        """Write the folder of a trial, whose scores are still missing.

        Raises:
            UserError: if the file is not what it was when it was checked.
        """
        setting = next(setting for setting in plan.settings if setting.key == trial.setting)
        network = self.build(_task_and_shape(plan, setting)[1], file)
        if digest_of_state(network.network.state_dict()) != trial.network:
            raise UserError(f"--weights {file.path}: changed while it was read; try again")
        # tensors that share their memory are stored one by one
        state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
        given = self.networks.model_dump(mode="json")
        record = {
            "trial": trial.id,
            **trial.as_record(),
            "status": DONE,
            "reason": "",
            "metrics": {"": {}},
            "flags": [],
            **dict.fromkeys(("scored_by", "probed_by", "discovered_by"), ""),
            GIVEN: {**given, "file": str(file.path), "sha256": digest_of(file.path)},
            "host": platform.node(),
        }
        with run.new_trial(trial.id) as folder:
            with writing(folder / MODEL):
                save_file(state, folder / MODEL)
            run.seal_trial(folder, record)


def _task_and_shape(plan: Plan, setting: Setting) -> tuple[Task, NetworkShape]:
    task: Task = registry.build("task", setting.source.task)
    return task, task.network_shape_of(load_dataset(plan.datasets[setting.data_key]))


def _refuse_copies(networks: Sequence[GivenNetwork]) -> None:
    """Raise UserError if a group has the same network twice, which would count as two."""
    seen: dict[tuple[str, str], GivenNetwork] = {}
    for network in networks:
        first = seen.setdefault((network.file.group, network.digest), network)
        if first is not network:
            raise UserError(
                f"--weights: {first.file.path} and {network.file.path} of group "
                f"{network.file.group!r} are the same network; give it once"
            )


def trials_of(networks: Sequence[GivenNetwork], plan: Plan, code: str) -> dict[Trial, WeightsFile]:
    """Return the trials of networks in all settings of a plan, with the file of each.

    ``code`` is the hash of what builds them.
    """
    study, trials = plan.study, dict[Trial, WeightsFile]()
    for network in networks:
        for setting in plan.settings:
            task, dataset, architecture = setting.key
            trial = Trial(
                task=task,
                dataset=dataset,
                architecture=architecture,
                prior=network.file.group,
                weight=0.0,
                train_attribution="",
                seed=network.file.number,
                stage=EVALUATE,
                scale=study.scale,
                root_seed=study.root_seed,
                device=study.device,
                digest=setting.digest,
                code=code,
                network=network.digest,
            )
            trials[trial] = network.file
    return trials


def earlier_trials(run: RunDirectory) -> list[Trial]:
    """Return the trials of a run that have been stored, those that are damaged left out."""
    trials = []
    ids = [path.name for path in run.trials.glob("[!.]*")]  # plan.csv may be damaged
    for trial_id, record in run.records(sorted(ids), lambda problem: None):
        if record is not None:
            with contextlib.suppress(DamagedFile):
                run.check_files(trial_id)
                trials.append(Trial.from_record(record))
    return trials


def refuse_lost(run: RunDirectory, trials: Sequence[Trial]) -> None:
    """Raise UserError if trials that were scored are damaged or gone, and not given again.

    Args:
        run: the run directory.
        trials: the trials that it is to hold.
    """
    try:
        gone = scored_trials(run) - {trial.id for trial in trials}
        lost = [row for row in planned_rows(run) if row["trial"] in gone]
    except DamagedFile:  # which is said, and written again
        return
    if lost:
        names = listed(list(dict.fromkeys(f"{row['prior']}:{row['seed']}" for row in lost)))
        raise UserError(
            f"{run.root}: what was stored of {names} is missing or damaged; give its --weights "
            "again too"
        )


def joined_trials(
    earlier: Sequence[Trial], given: Mapping[Trial, WeightsFile], plan: Plan, root: Path
) -> list[Trial]:
    """Return the trials of a run with those that are added to it, number by number.

    Raises:
        UserError: if a number of a group is of another network there, the data or the code that
            builds the networks are others now, or a network is in a group under another number.
    """
    there = {(*trial.setting, trial.prior, trial.seed): trial for trial in earlier}
    for trial, file in given.items():
        before = there.setdefault((*trial.setting, trial.prior, trial.seed), trial)
        if before.network != trial.network:
            raise UserError(
                f"--weights {file.path}: {root} holds another network as number {trial.seed} of "
                f"group {trial.prior!r}; write GROUP:NUMBER=FILE, or choose another --out"
            )
    now = {trial.setting: trial for trial in given}
    for trial in there.values():
        data = f"the data {trial.task}/{trial.dataset}"
        for key, what in (("digest", data), ("code", "the code of the model")):
            if getattr(now.get(trial.setting, trial), key) != getattr(trial, key):
                raise UserError(f"{root}: {what} changed since; choose another --out")
    seen: dict[tuple[str, ...], Trial] = {}
    for trial in there.values():
        first = seen.setdefault((*trial.setting, trial.prior, trial.network), trial)
        if first is not trial:
            raise UserError(
                f"{root}: numbers {first.seed} and {trial.seed} of group {trial.prior!r} would be "
                "the same network; give it once"
            )
    settings, groups = [setting.key for setting in plan.settings], plan.study.priors
    return sorted(
        there.values(),
        key=lambda t: (t.seed, settings.index(t.setting), groups.index(t.prior)),
    )


def tell_pairs(trials: Sequence[Trial], groups: Sequence[str], say: Callable[[str], None]) -> None:
    """Say how many networks each group has, which have no partner, and which are alike."""
    numbers = {group: {t.seed for t in trials if t.prior == group} for group in groups}
    say("; ".join(f"{group}: {_numbers(numbers[group])}" for group in groups))
    first = groups[0]
    for group in groups[1:]:
        for ours, theirs in ((first, group), (group, first)):
            if alone := numbers[ours] - numbers[theirs]:
                say(
                    f"{ours}: no partner in {theirs} for {_numbers(alone)}, which "
                    f"{'is' if len(alone) == 1 else 'are'} scored and not compared"
                )
    alike: dict[str, dict[str, None]] = {}
    for trial in trials:
        alike.setdefault(trial.network, {})[f"{trial.prior} {trial.seed}"] = None
    for names in alike.values():
        if len(names) > 1:
            say(f"warning: {' and '.join(names)} are the same network")


def _numbers(numbers: set[int]) -> str:
    noun = "network" if len(numbers) == 1 else "networks"
    return f"{noun} {', '.join(map(str, sorted(numbers)))}"

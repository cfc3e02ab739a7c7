"""Names, specs, plug-ins."""

import subprocess
import sys
import textwrap

import pytest

from priorbench import Prior, UserError, load_prior
from priorbench.components import registry, specs
from priorbench.storage import source_code

PLUGIN = """
    from dataclasses import dataclass
    from typing import ClassVar
    from priorbench import AttributionPrior

    @dataclass(frozen=True)
    class Mine(AttributionPrior):
        summary: ClassVar[str] = "my own"
        citation: ClassVar[str] = "me"
        default_weights: ClassVar[dict] = {"*": 0.5}
        power: int = 2
        def penalty(self, attribution, batch):
            return (self.track(attribution) ** self.power).mean(dim=1)
"""


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


def test_components_are_named_after_their_files():
    names = registry.components("prior")
    expected = {"none", "fourier", "tv", "l1", "l2", "weight-l1", "weight-l2", "dropout"}
    assert expected <= set(names)
    assert list(names) == sorted(names)
    assert {"binary", "rbp", "syntax", "multitask"} <= set(registry.components("task"))
    assert {"three-conv", "basset", "bpnet"} <= set(registry.components("architecture"))


@pytest.mark.parametrize("kind", ["prior", "task", "architecture", "report"])
def test_every_component_loads_and_describes_itself(kind):
    for name, component in registry.components(kind).items():
        cls = registry.load(kind, name)
        assert issubclass(cls, registry.CONTRACTS[kind])
        if kind != "report":
            assert registry.describe(component)["summary"] == cls.summary


def test_unknown_names_get_a_hint_and_the_command_that_lists_all():
    hint = r"unknown prior 'furier'; did you mean 'fourier'\? `priorbench list priors` lists all"
    with pytest.raises(UserError, match=hint):
        load_prior("furier")
    with pytest.raises(UserError, match=r"unknown option.*'softnes'; did you mean 'softness'"):
        load_prior("fourier:softnes=1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fourier:softness", "name=value"),
        ("fourier:softness=", "name=value"),
        ("fourier:softness=1:softness=2", "twice"),
        ("fourier:softness=much", "'much' is not a number"),
        ("fourier:softness=nan", "not finite"),
        ("fourier:examples=some", "not one of positives, all"),
        ("binary", "unknown prior"),
    ],
)
def test_specs_that_make_no_sense_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        load_prior(spec)


def test_specs_are_normalised():
    for written, expected in [
        ("fourier", "fourier"),
        ("fourier:softness=0.2", "fourier"),
        ("fourier:softness=.30", "fourier:softness=0.3"),
        ("fourier:smooth-sigma=1:examples=all", "fourier:examples=all:smooth_sigma=1.0"),
    ]:
        prior = load_prior(written)
        normal = specs.normalise("fourier", prior)
        assert normal == expected
        assert load_prior(normal) == prior


def test_boolean_and_integer_options():
    network = registry.build("architecture", "three-conv:batch_norm=false")
    assert network.batch_norm is False
    assert specs.normalise("three-conv", network) == "three-conv:batch_norm=false"
    with pytest.raises(UserError, match="true or false"):
        registry.build("architecture", "three-conv:batch_norm=maybe")
    with pytest.raises(UserError, match="whole number"):
        registry.build("task", "binary:copies=1.5")


def test_a_plug_in_is_a_prior_like_any_other(tmp_path):
    component = registry.add_plugin(write(tmp_path / "my_prior.py", PLUGIN))
    assert component.name == "my-prior"
    prior = load_prior("my-prior:power=3")
    assert isinstance(prior, Prior)
    assert prior.power == 3
    assert registry.describe(component)["summary"] == "my own"
    assert registry.add_plugin(tmp_path / "my_prior.py") == component


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.py", "x = 1", "exactly one subclass of priorbench.Prior.*found none"),
        (
            "two.py",
            PLUGIN + "\n    class Other(Mine):\n        pass\n",
            "found Mine, Other",
        ),
        ("broken.py", "def (:", r"broken.py, line 1: "),
        ("raises.py", "1 / 0", "ZeroDivisionError"),
        ("leaves.py", "raise SystemExit(3)", "SystemExit"),
        ("fourier.py", PLUGIN, "exists already"),
        ("notes.txt", "hello", r"must end in .py"),
        ("a+b.py", PLUGIN, "cannot be written in a list of priors"),
        ("listed.py", PLUGIN.replace("power: int = 2", "power: tuple = (2,)"), "of type tuple"),
        ("maybe.py", PLUGIN.replace("power: int = 2", "power: int | None = 2"), "use int, float"),
        ("bare.py", PLUGIN.replace("power: int = 2", "power: int"), "bare.py: TypeError"),
        ("typo.py", PLUGIN.replace("def penalty", "def penaltee"), "overrides none of penalty"),
    ],
)
def test_unusable_plug_ins_are_refused(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(UserError, match=message) as caught:
        registry.add_plugin(path)
    assert str(path) in str(caught.value)


def test_missing_plug_in(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        registry.add_plugin(tmp_path / "nowhere.py")


def test_source_digest_ignores_comments_and_docstrings_only(tmp_path):
    plain = write(tmp_path / "a.py", "def f(x):\n    return x + 1\n")
    commented = write(
        tmp_path / "b.py", '"""Doc."""\ndef f(x):\n    "Doc."  # why\n    return x+1\n'
    )
    changed = write(tmp_path / "c.py", "def f(x):\n    return x + 2\n")
    digest = source_code.source_digest
    assert digest(plain) == digest(commented) != digest(changed)


def test_listing_does_not_import_torch():
    code = "import sys; sys.argv = ['priorbench', 'list', '--json']\n" + textwrap.dedent(
        """
        from priorbench.cli.app import execute_command
        execute_command(['list', '--json'])
        execute_command(['list', 'priors'])
        assert 'torch' not in sys.modules and 'pandas' not in sys.modules
        """
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_a_plug_in_raises_when_it_is_built_is_one_line(tmp_path):
    text = textwrap.dedent(PLUGIN) + (
        "    def __post_init__(self):\n        raise ValueError('power is odd')\n"
    )
    registry.add_plugin(write(tmp_path / "odd.py", text))
    with pytest.raises(UserError, match="prior 'odd': ValueError: power is odd"):
        load_prior("odd")
    number = PLUGIN.replace('{"*": 0.5}', "0.1").replace("ClassVar[dict]", "ClassVar[float]")
    registry.add_plugin(write(tmp_path / "number.py", number))
    with pytest.raises(UserError, match=r"default_weights is 0.1; write weights by task"):
        load_prior("number").default_weight("binary")


def test_how_a_task_is_trained_on_does_not_decide_its_data():
    assert registry.data_spec("binary:train_share=0.1:fidelity=0.9:train_epochs=3") == (
        "binary:fidelity=0.9"
    )
    assert registry.data_spec("binary") == "binary"

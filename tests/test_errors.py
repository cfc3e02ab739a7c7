"""What is said of a name that is not known: at most three that may be meant, and no long list."""

import pytest

from priorbench.cli.app import execute_command
from priorbench.errors import UserError, similar_names, unknown

MANY = [f"metric-{number}" for number in range(60)]


@pytest.mark.parametrize("name", ["Fourier", "FOURIER", " fourier ", "fourier"])
def test_case_and_separators_do_not_matter(name):
    assert similar_names(name, ["fourier", "fourier-two", "tv"]) == ["fourier"]


def test_words_may_be_separated_otherwise():
    for name in ("weight_l2", "Weight L2", "weight--l2", "weight.l2"):
        assert similar_names(name, ["weight-l1", "weight-l2", "l2"]) == ["weight-l2"]


def test_at_most_three_names_are_suggested():
    assert len(similar_names("metric-1x", MANY)) == 3
    assert similar_names("zzz", MANY) == []
    assert similar_names("furier", ["fourier", "tv", "fare"]) == ["fourier"]


def test_a_short_list_is_told_and_a_long_one_cut():
    assert str(unknown("key", "x", ["b", "a"])) == "unknown key 'x'; known: a, b"
    assert str(unknown("key", "x", [])) == "unknown key 'x'; known: none"
    cut = str(unknown("key", "x", MANY))
    assert cut.endswith("and 48 more")
    assert str(unknown("metric", "x", MANY)).endswith("`priorbench list metrics` lists all 60")
    assert "`how to`" in str(unknown("key", "x", MANY, listed_by="how to"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "zzzz"],
        ["show", "Fourier"],
        ["run", "zzzz"],
        ["run", "--priors", "zzzz"],
        ["run", "--priors", "fourier:zzzz=1"],
        ["run", "--tasks", "zzzz"],
        ["run", "--architectures", "zzzz"],
        ["run", "--attributions", "zzzz"],
        ["run", "--train-attribution", "zzzz"],
        ["run", "--priors", "tv", "--baseline", "l1"],
        ["run", "--weights", "l9=1"],
        ["check", "zzzz"],
        ["fetch", "zzzz", "--to", "DIR"],
        ["fetch", "neurips2020", "--to", "DIR", "--only", "zzzz"],
    ],
    ids=" ".join,
)
def test_no_message_is_a_long_list(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as raised:
        execute_command(arguments)
    assert len(str(raised.value)) < 250
    assert "unknown " in str(raised.value)


@pytest.mark.parametrize(
    ("command", "kind"),
    [(f"list {kind}", kind) for kind in ("priors", "tasks", "architectures", "studies", "metrics")],
)
def test_the_command_that_lists_all_names_exists(command, kind, capsys):
    message = str(unknown({"studies": "study"}.get(kind, kind[:-1]), "zzz", MANY))
    assert f"`priorbench {command}`" in message
    assert execute_command(command.split()) == 0

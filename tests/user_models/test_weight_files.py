"""Which files `--weights` names, and which group and number their names say."""

import pytest

from priorbench import UserError
from priorbench.user_models.weight_files import find_weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(*texts):
    return [(file.group, file.number, file.path.name) for file in find_weights(texts)]


@pytest.mark.parametrize(
    ("name", "group", "number"),
    [
        ("a_seed0.safetensors", "a", 0),
        ("fourier-3.pt", "fourier", 3),
        ("seed7_fourier.pth", "fourier", 7),
        ("tv_seed2_epoch40.pt", "tv_epoch40", 2),
        ("bpnet.fold-1.ckpt", "bpnet", 1),
        ("base/11.pt", "base", 11),
        ("base/seed4.pt", "base", 4),
        ("base/seed4/best.pt", "base", 4),
        ("base_seed4/best.pt", "base", 4),
        ("net.pt", "net", 0),
        # how far a training had come does not say which one it was, and no loss is a number
        ("base/seed4/epoch=12-step=340.ckpt", "base", 4),
        ("base/seed4/base_epoch40.pt", "base", 4),
        ("base/seed4/best_0.93.pt", "base", 4),
        ("base/4/checkpoint-500.pt", "base", 4),
        ("tv_7_epoch_40.pt", "tv_epoch_40", 7),
        ("deep.3.pt", "deep", 3),
        # the hash of a folder says nothing
        ("3fa9c12e7d/model.safetensors", "model", 0),
        ("v2/model.safetensors", "model", 0),
    ],
)
def test_names_say_group_and_number(folder, name, group, number):
    make(folder, name)
    (file,) = find_weights([name])
    assert (file.group, file.number, file.path) == (group, number, folder / name)


def test_folders_and_patterns_stand_for_files_in_the_order_of_their_numbers(folder):
    names = [f"m/a_seed{seed}.pt" for seed in (10, 9)]
    make(folder, *names, "m/notes.txt", "deep/b/seed1/best.pt", "deep/b/seed0/best.pt")
    files = [("a", 9, "a_seed9.pt"), ("a", 10, "a_seed10.pt")]
    assert found("m") == files
    assert found("m/*.pt") == files
    assert found("none=m") == [("none", *rest) for _, *rest in files]
    assert found("deep/*/*/best.pt") == found("deep/**/*.pt")
    assert found("deep/*/*/best.pt") == [("b", 0, "best.pt"), ("b", 1, "best.pt")]


def test_files_of_a_group_stand_together_and_the_first_group_comes_first(folder):
    make(folder, "b_0.pt", "a_0.pt", "b_1.pt", "best.pt")
    assert [group for group, *_ in found("b_0.pt", "a_0.pt", "b_1.pt")] == ["b", "b", "a"]
    assert found("a:5=best.pt", "a_0.pt") == [("a", 5, "best.pt"), ("a", 0, "a_0.pt")]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no file is named"),
        (["c_0.pt"], "c_0.pt: no such file"),
        (["x=c_0.pt"], "c_0.pt: no such file"),
        (["*.bin"], "no file is called so"),
        (["empty"], r"no \.safetensors, \.pt, \.pth, \.ckpt in this folder"),
        (["notes.txt"], "notes.txt: is no"),
        (["a_0.pt", "./a_0.pt"], "is given twice"),
        (["a_0.pt", "m/a_0.pt"], "both number 0 of group 'a'; write GROUP:NUMBER=FILE"),
        (["x=a_0.pt", "x:0=m/a_0.pt"], "both number 0 of group 'x'"),
        (["u/*.pt"], "has no number in its name"),
        (["epochs"], "has no number in its name by which it is paired .one of an epoch"),
        (["x:1=u/*.pt"], "names 2 files"),
        (["ä_0.pt"], "makes no group"),
        (["x:99999999999999999999=a_0.pt"], "is too large"),
    ],
)
def test_what_names_no_pair_is_refused(folder, texts, message):
    make(folder, "a_0.pt", "m/a_0.pt", "notes.txt", "u/one.pt", "u/two.pt", "ä_0.pt")
    make(folder, "epochs/a_epoch1.pt", "epochs/a_epoch2.pt")
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=message) as error:
        find_weights(texts)
    assert "\n" not in str(error.value)

"""What is read from files of weights, and into which models it is put."""

import collections

import pytest
import torch
from safetensors.torch import save_file

from priorbench import UserError
from priorbench.user_models.checkpoint import digest_of_state, put_state, read_state


def model():
    return torch.nn.Sequential(
        collections.OrderedDict(
            conv=torch.nn.Conv1d(4, 3, 5), norm=torch.nn.BatchNorm1d(3), end=torch.nn.Linear(3, 1)
        )
    )


@pytest.fixture
def state():
    return model().state_dict()


def test_every_form_of_a_state_dict_is_read(tmp_path, state):
    prefixed = {f"module._orig_mod.{name}": value for name, value in state.items()}
    forms = {
        "plain.pt": state,
        "loop.pth": {"epoch": 3, "model_state_dict": state, "loss": 0.1},
        "lightning.ckpt": {"state_dict": {f"model.{k}": v for k, v in state.items()}, "hp": {}},
        "parallel.pt": prefixed,
    }
    for name, contents in forms.items():
        torch.save(contents, tmp_path / name)
    save_file(state, tmp_path / "plain.safetensors")
    for path in tmp_path.iterdir():
        fitted = model()
        put_state(fitted, read_state(path))
        assert digest_of_state(fitted.state_dict()) == digest_of_state(state), path.name


def test_old_checkpoints_lack_the_count_of_batches(state):
    del state["norm.num_batches_tracked"]
    put_state(model(), dict(state))


def test_lower_precision_is_read_into_float32(state):
    fitted = model()
    put_state(fitted, {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()})
    assert fitted.conv.weight.dtype == torch.float32
    torch.testing.assert_close(fitted.conv.weight, state["conv.weight"], atol=1e-2, rtol=1e-2)


class _Code:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    torch.save({"state_dict": _Code()}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match=r"bad\.pt: is damaged, or holds more than tensors"):
        read_state(tmp_path / "bad.pt")
    assert not capsys.readouterr().out


def test_whole_models_and_other_things_are_refused(tmp_path):
    torch.save(model(), tmp_path / "whole.pt")
    torch.save({"epoch": 3}, tmp_path / "other.pt")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.safetensors").write_text("nothing")
    for name, message in {
        "whole.pt": "more than tensors",
        "other.pt": "holds no state_dict",
        "list.pt": "holds no state_dict",
        "empty.pt": "is damaged",
        "text.safetensors": "is no safetensors file",
    }.items():
        with pytest.raises(UserError, match=message) as error:
            read_state(tmp_path / name)
        assert "\n" not in str(error.value)


def test_what_does_not_fit_is_named(state):
    with pytest.raises(UserError, match=r"lacks end\.bias; has last\.bias, which"):
        put_state(model(), {k.replace("end.bias", "last.bias"): v for k, v in state.items()})
    with pytest.raises(UserError, match=r"conv\.weight \(3, 4, 7\) \(the model's: \(3, 4, 5\)\)"):
        put_state(model(), {**state, "conv.weight": torch.zeros(3, 4, 7)})
    with pytest.raises(UserError, match=r"lacks conv\.weight, conv\.bias, norm\.weight and 5 more"):
        put_state(model(), {"x": torch.zeros(1)})


def test_digests_tell_names_shapes_and_values_apart(state):
    others = [
        {**state, "end.bias": state["end.bias"] + 1},
        {**state, "end.bias": state["end.bias"][None]},
        {("x" + name if name == "end.bias" else name): value for name, value in state.items()},
    ]
    assert len({digest_of_state(each) for each in (state, *others)}) == 4
    assert digest_of_state(dict(reversed(state.items()))) == digest_of_state(state)

"""The public names: few, each on docs/api.md with an example that runs, and typed."""

import inspect
import re

import pytest
from fixtures.places import DOCS, docs_program

import priorbench

MOST_NAMES = 25
MOST_LINES = 3


def module():
    return docs_program("api_page")


EXAMPLES = {
    name: example
    for section in module().sections()
    for name, example in section["examples"].items()
}


def test_there_are_few_names_each_with_an_example():
    assert sorted(EXAMPLES) == sorted(priorbench.__all__)
    assert len(EXAMPLES) <= MOST_NAMES
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == list(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_name_runs_and_is_about_it(name):
    example, names = EXAMPLES[name], {}
    assert re.search(rf"\b{name}\b", example)
    assert len([line for line in example.splitlines() if line.strip()]) <= MOST_LINES
    exec(module().setup(), names)
    before = set(names)
    exec(example, names)
    for thing in [names[other] for other in names if other not in before]:
        if inspect.isclass(thing) and not inspect.isabstract(thing):
            thing()  # a subclass that lacks nothing


def functions():
    """Every public function, and the public methods and properties of every public class."""
    for name in priorbench.__all__:
        thing = getattr(priorbench, name)
        if not inspect.isclass(thing):
            yield name, thing
            continue
        for base in thing.__mro__:
            if not base.__module__.startswith("priorbench"):
                continue
            for key, value in vars(base).items():
                function = value.fget if isinstance(value, property) else value
                if inspect.isfunction(function) and key[0] != "_":
                    yield f"{name}.{key}", function


@pytest.mark.parametrize(("name", "function"), list(dict(functions()).items()))
def test_what_a_public_function_returns_is_typed(name, function):
    kind = inspect.signature(function).return_annotation
    assert kind is not inspect.Signature.empty, name
    assert not re.search(r"\bAny\b", str(kind)), f"{name} returns {kind}"
    assert inspect.getdoc(function), name


def test_a_name_without_an_example_is_found(monkeypatch):
    monkeypatch.setattr(priorbench, "__all__", [*priorbench.__all__, "another"])
    with pytest.raises(AssertionError):
        test_there_are_few_names_each_with_an_example()

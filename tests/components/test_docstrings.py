"""Options and their meaning, read from a component's class and its docstrings."""

from dataclasses import dataclass
from typing import Literal

from priorbench.components.docstrings import about, attribute_texts, options


@dataclass
class Base:
    """What all have.

    Attributes:
        every: steps between
            penalties: at least 1.
        form: one of two.
    """

    every: int = 1
    form: Literal["a", "b"] = "a"


@dataclass
class Derived(Base):
    """A formula:

        x + y

    Attributes:
        form: a better word for it.
        on: whether it acts.
    """

    on: bool = True


def test_options_have_the_text_of_the_class_that_introduces_them_last():
    assert about(Derived) == "A formula:\n\n    x + y"
    described = [(o.name, o.kind, o.default, o.text, o.owner) for o in options(Derived)]
    assert described == [
        ("every", "int", "1", "steps between penalties: at least 1.", Base),
        ("form", "a | b", "a", "a better word for it.", Derived),
        ("on", "bool", "true", "whether it acts.", Derived),
    ]


STRAY = """Anything.

    Attributes:
        power of the penalty,
            which: is strong
        every: steps between
            penalties: at least 1.
        in bp
        : nothing
        form (str, optional): one of two.

    Raises:
        if it is stray
    """


def test_a_stray_line_takes_no_text_from_the_options_beside_it():
    class Strayed:
        __doc__ = STRAY

    assert attribute_texts(Strayed) == {
        "every": "steps between penalties: at least 1.",
        "form": "one of two.",
    }


def test_docstrings_in_another_style_describe_no_options():
    class Loose:
        """Anything.

        Attributes:
            power of the penalty
        """

    assert attribute_texts(Loose) == {}
    Loose.__doc__ = None
    assert attribute_texts(Loose) == {}

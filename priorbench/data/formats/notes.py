"""What a user should know about files that were read."""

from __future__ import annotations


class Notes:
    """Sentences that are collected while files are read, in their order.

    Attributes:
        sentences: what was dropped, merged, changed or chosen.
        warnings: what makes results doubtful: nothing is wrong with the file's form.
    """

    def __init__(self) -> None:
        """Begin without a sentence."""
        self.sentences: list[str] = []
        self.warnings: list[str] = []

    def say(self, *sentences: str) -> None:
        """Add sentences on what was done."""
        self.sentences += sentences

    def warn(self, *sentences: str) -> None:
        """Add sentences on what makes results doubtful."""
        self.warnings += sentences

    def add(self, other: Notes) -> None:
        """Add the sentences and the warnings of others."""
        self.say(*other.sentences)
        self.warn(*other.warnings)

    def dropped_so_far(self) -> str:
        """Return what was dropped or kept in training, in brackets, for the error of too few left.

        It is empty if nothing was.
        """
        telling = ("Dropped", "Kept for training")
        dropped = [note.removesuffix(".") for note in self.sentences if note.startswith(telling)]
        return f" ({'; '.join(dropped)})" if dropped else ""

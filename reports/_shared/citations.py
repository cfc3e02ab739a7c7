"""Citations in the text, and the list of references; the works themselves are in references.bib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

REFERENCES = Path(__file__).with_name("references.bib")


@dataclass(frozen=True)
class Publication:
    """A published work.

    Attributes:
        short: citation in the text: ``Holm 1979``.
        full: entry in the list of references, without its DOI.
        doi: DOI; "" where none is known for sure.
        cited_as: name of the work in the ``citation`` of components; "" if none cites it.
    """

    short: str
    full: str
    doi: str = ""
    cited_as: str = ""

    @property
    def text(self) -> str:
        """The entry in the list of references."""
        return f"{self.full} https://doi.org/{self.doi}" if self.doi else self.full


@cache
def publications() -> dict[str, Publication]:
    """Return every work of references.bib by its key."""
    # on use: most commands cite nothing
    from bibtexparser.entrypoint import parse_file
    from bibtexparser.middlewares import SeparateCoAuthors

    library = parse_file(str(REFERENCES), append_middleware=[SeparateCoAuthors()])
    return {
        entry.key: _publication({field.key: field.value for field in entry.fields})
        for entry in library.entries
    }


def _publication(fields: Mapping[str, Any]) -> Publication:
    authors, year, title = fields["author"], fields["year"], fields["title"]
    surnames = [author.split(",")[0] for author in authors]
    short = _joined(surnames) if len(surnames) < 3 else f"{surnames[0]} et al."
    sentence = title if title.endswith("?") else f"{title}."
    full = f"{_joined(authors)} ({year}). {sentence} {_published_in(fields)}."
    return Publication(
        f"{short} {year}",
        full.replace("--", "–"),
        fields.get("doi", ""),
        fields.get("cited_as", ""),
    )


def _joined(names: Sequence[str]) -> str:
    *most, last = names
    if last == "others":
        return f"{', '.join(most)} et al."
    return f"{', '.join(most)} & {last}" if most else last


def _published_in(fields: Mapping[str, Any]) -> str:
    """Return journal, volume and pages; or the proceedings, the publisher, the preprint."""
    number = f"({fields['number']})" if "number" in fields else ""
    name = _listed(fields, "journal", "booktitle", "series")
    volume = f" {fields['volume']}{number}" if "volume" in fields else ""
    pages = f", {fields['pages']}" if "pages" in fields else ""
    preprint = f"arXiv:{fields['eprint']}" if "eprint" in fields else ""
    parts = (f"{name}{volume}{pages}", _listed(fields, "publisher", "address"), preprint)
    return ". ".join(part for part in parts if part)


def _listed(fields: Mapping[str, Any], *keys: str) -> str:
    return ", ".join(fields[key] for key in keys if key in fields)


def named_works(citation: str) -> list[str]:
    """Return the single citations that a component's ``citation`` is made of."""
    return [part.strip() for part in citation.split(";") if part.strip()]


class Bibliography:
    """The works that a text cites."""

    def __init__(self) -> None:
        """Begin with no work."""
        self._cited: set[str] = set()

    def cite(self, *keys: str) -> str:
        """Return works by key, in parentheses: ``(Fisher 1935; Pitman 1937)``."""
        return self._parenthesis([publications()[key] for key in keys])

    def cite_component(self, citation: str) -> str:
        """Return the works that a component cites, in parentheses.

        Args:
            citation: works as the component names them; unknown ones are returned as they are.
        """
        known = {work.cited_as: work for work in publications().values()}
        names = dict.fromkeys(named_works(citation))
        return self._parenthesis([known.get(name, name) for name in names])

    def _parenthesis(self, works: Iterable[Publication | str]) -> str:
        texts = []
        for work in works:
            if isinstance(work, Publication):
                self._cited.add(work.text)
            texts.append(work.short if isinstance(work, Publication) else work)
        return f"({'; '.join(texts)})" if texts else ""

    @property
    def references(self) -> list[str]:
        """Entries of the works cited so far, in the order of authors."""
        return sorted(self._cited, key=str.casefold)

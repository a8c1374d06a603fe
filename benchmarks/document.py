"""A report as a list of parts, and those parts as Markdown; ``benchmarks.webpage`` makes a page of them.

Texts may hold code between backticks; all else in them is plain text, which both writers escape.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CODE = re.compile(r"(`[^`\n]+`)")
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+( \(.*\))?")


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the report's own."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, or with ``points`` a list after it."""

    text: str
    points: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Cells of text, each row as long as the head. A column is right-aligned if it holds numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def numeric(self, column: int) -> bool:
        """Whether its cells are numbers, perhaps with a range in brackets; blanks and failures aside."""
        cells = [row[column] for row in self.rows if row[column] and not row[column].startswith("failed")]
        return bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)


@dataclass(frozen=True)
class Picture:
    """A picture in a file, which lies in the report's folder."""

    path: Path
    alt: str


@dataclass(frozen=True)
class Chart:
    """A piece of HTML drawn for the page alone."""

    html: str


Part = Heading | Text | Table | Picture | Chart


def _escape(text: str) -> str:
    return re.sub(r"([\\<|*_\[])", r"\\\1", text)


def markdown_text(text: str) -> str:
    """A text on one line, with what Markdown would take for markup escaped, but for code."""
    parts = CODE.split(" ".join(text.split()))
    return "".join(part if CODE.fullmatch(part) else _escape(part) for part in parts)


def markdown_table(table: Table) -> str:
    """A table as Markdown."""
    rules = ["---:" if table.numeric(column) else ":---" for column in range(len(table.head))]
    lines = [table.head, *table.rows]
    cells = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in lines]
    return "\n".join([cells[0], "|" + "|".join(rules) + "|", *cells[1:]])


def markdown(parts: Sequence[Part]) -> str:
    """The report as Markdown; charts are left out."""
    return "\n\n".join(text for part in parts if (text := _markdown(part))) + "\n"


def _markdown(part: Part) -> str:
    match part:
        case Heading(level, text):
            return "#" * level + " " + markdown_text(text)
        case Text(text, points):
            lines = "\n".join(f"- {markdown_text(point)}" for point in points)
            return "\n\n".join(filter(None, (markdown_text(text), lines)))
        case Table():
            return markdown_table(part)
        case Picture(path, alt):
            return f"![{markdown_text(alt)}]({path.name})"
        case Chart():
            return ""

"""The documents as tests see them: their fenced blocks, which of them run, and the commands that they show.

A Python or shell block runs, in a folder of its page's own, unless a comment above it says why it cannot:
``<!-- not run: needs MNIST -->``. Another comment says that its last command fails, and how:
``<!-- fails: part of the message -->``. A block without an info string is shell if it begins like a command.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,}|:{3,})(.*)")
_COMMENT = re.compile(r"<!-- (not run|fails): (.+) -->")
_VARIABLE = re.compile(r"[A-Z_]+=\S*")
_PROGRAMS = {"cd", "codec", "cp", "export", "make", "mkdir", "pip", "python", "python3", "scp", "taskset"}
_LANGUAGES = {"python": "python", "py": "python", "sh": "shell", "text": "text", "json": "text"}


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: path in the repository.
        line: of its fence, from 1.
        kind: "python", "shell", "text", or "directive", which is Sphinx's; else the info string.
        code: what is between the fences.
        not_run: why it is not run, or None.
        fails: part of what its last command says on failing, or None.
    """

    page: str
    line: int
    kind: str
    code: str
    not_run: str | None
    fails: str | None

    @property
    def runs(self) -> bool:
        return self.kind in ("python", "shell") and self.not_run is None


def _program(line: str) -> str:
    """The program that a line of shell begins with, variables before it apart."""
    words = line.split()
    if words[:1] == ["for"] and "do" in words:
        words = words[words.index("do") + 1 :]
    while words and _VARIABLE.fullmatch(words[0]):
        del words[0]
    return words[0].rpartition("/")[2] if words else ""


def _kind(info: str, code: str) -> str:
    if info.startswith("{"):
        return "directive"
    if info:
        return _LANGUAGES.get(info.split()[0], info)
    return "shell" if any(_program(line) in _PROGRAMS for line in code.splitlines()) else "text"


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document; a fence that nothing closes is an error."""
    lines = document.read_text().splitlines()
    page, number, above = document.relative_to(ROOT).as_posix(), 0, ""
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number])
        if opening is None:
            above = lines[number] or above
            number += 1
            continue
        mark, info = opening[1], opening[2].strip()
        start = number + 1
        closed = (i for i in range(start, len(lines)) if lines[i].strip() == mark)
        end = next(closed, None)
        assert end is not None, f"{page}:{start}: nothing closes this block"
        code = "\n".join(lines[start:end]) + "\n"
        comment = _COMMENT.fullmatch(above)
        told = {comment[1]: comment[2]} if comment else {}
        yield Block(page, start, _kind(info, code), code, told.get("not run"), told.get("fails"))
        number, above = end + 1, ""


def commands(block: Block) -> Iterator[list[str]]:
    """The simple commands of a shell block, as words; what is fed to one (a here-document) is left out."""
    text = re.sub(r"<<'(\w+)'\n.*?\n\1$", "", block.code, flags=re.DOTALL | re.MULTILINE)
    pending = ""
    for line in text.replace("\\\n", " ").splitlines():
        pending += line
        lexer = shlex.shlex(pending, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words, pending = [*lexer, ";"], ""
        except ValueError:  # a quotation goes on in the next line
            pending += "\n"
            continue
        command: list[str] = []
        for word in words:
            if not set(word) <= set("();<>|&"):
                command.append(word)
                continue
            while command and (_VARIABLE.fullmatch(command[0]) or command[0] in ("do", "time")):
                del command[0]
            if command:
                yield command
            command = []

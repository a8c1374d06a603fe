"""What the documents say is so: their code runs, their tables are the committed results, their links lead."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.curves import read_results
from benchmarks.tables import DOCUMENTS as WITH_TABLES
from benchmarks.tables import pair_table, with_tables
from codec.loading import pretrained
from tests.pages import DOCUMENTS, ROOT, Block, blocks, commands

BLOCKS = {document: list(blocks(document)) for document in DOCUMENTS}
RUNNING = [document for document in DOCUMENTS if any(block.runs for block in BLOCKS[document])]
SHELL = [block for page in BLOCKS.values() for block in page if block.kind == "shell"]

Runner = Callable[[Path, list[Block]], list[tuple[int, str]]]


def named(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def run_page() -> Iterator[Runner]:
    """The blocks of a page, run in a folder; ``codec`` and ``python`` are this environment's."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "tests.page_runner"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as runner:
        sending, receiving = runner.stdin, runner.stdout
        assert sending is not None
        assert receiving is not None

        def run(folder: Path, page: list[Block]) -> list[tuple[int, str]]:
            sent = [
                {
                    "kind": block.kind,
                    "code": block.code,
                    "where": f"{block.page}:{block.line}",
                    "fails": block.fails is not None,
                }
                for block in page
            ]
            print(json.dumps({"folder": str(folder), "blocks": sent}), file=sending, flush=True)
            return [(status, output) for status, output in json.loads(receiving.readline())]

        yield run
        sending.close()


@pytest.mark.parametrize("document", RUNNING, ids=named)
def test_the_blocks_of_a_page_run_one_after_the_other(
    document: Path, tmp_path: Path, run_page: Runner
) -> None:
    page = [block for block in BLOCKS[document] if block.runs]
    results = run_page(tmp_path, page)
    for block, (status, output) in zip(page, results, strict=False):
        where = f"{block.page}:{block.line}\n{block.code}\n{output}"
        assert bool(status) == (block.fails is not None), where
        assert block.fails is None or block.fails in output, where
    assert len(results) == len(page)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_block_of_a_page_is_of_a_known_kind_and_marked_where_it_is_not_run(document: Path) -> None:
    for block in BLOCKS[document]:
        where = f"{block.page}:{block.line}"
        assert block.kind in ("python", "shell", "text", "directive"), f"{where}: unknown {block.kind!r}"
        if block.kind in ("text", "directive"):
            assert block.not_run is block.fails is None, f"{where}: a mark on a block that is no code"


def test_a_block_that_nothing_closes_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.pages.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("a\n\n```\ncodec --help\n\n## Next\n\ntext\n")
    with pytest.raises(AssertionError, match=r"^page\.md:3: nothing closes this block"):
        list(blocks(page))
    page.write_text("<!-- not run: so -->\n```\ncodec x --y\n```\n\n```text\nb\n```\n")
    first, second = blocks(page)
    assert (first.kind, first.not_run, first.runs) == ("shell", "so", False)
    assert (second.kind, second.not_run, second.line) == ("text", None, 6)


def parse(words: list[str]) -> None:
    """Look at a ``codec`` command without running it: it and its options are there; values may be any."""
    from typer.main import get_command

    from codec.cli import app

    command: Any = get_command(app)
    context = command.context_class(command)
    while (known := getattr(command, "commands", None)) and words and not words[0].startswith("-"):
        assert words[0] in known, f"no command {words[0]!r}"
        command, words = known[words[0]], words[1:]
        context = command.context_class(command, parent=context)
    try:
        command.make_parser(context).parse_args(list(words))
    except (
        Exception
    ) as error:  # whose class is of click, or of the copy of it that newer versions of typer have
        raise AssertionError(f"{error}") from None


def test_every_command_in_a_block_is_there_with_all_its_options() -> None:
    seen = 0
    for block in SHELL:
        for program, *words in commands(block):
            seen += 1
            where = f"{block.page}:{block.line}: {program} {' '.join(words)}"
            name = program.rpartition("/")[2]
            try:
                if name == "codec":
                    parse(words)
                elif name.startswith("python") and words[:1] == ["-m"]:
                    assert importlib.util.find_spec(words[1]), "no such module"
                elif name.startswith("python") and words and words[0].endswith(".py"):
                    assert (ROOT / words[0]).exists() or not block.runs, "no such file"
            except AssertionError as error:
                pytest.fail(f"{where}: {error}")
    assert seen > 50


@pytest.mark.parametrize("words", ["train --no-such-option", "train --seed", "no-such-command", "archive x"])
def test_a_command_that_is_not_there_is_noticed(words: str) -> None:
    with pytest.raises(AssertionError):
        parse(words.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_file_that_a_page_names_by_its_path_is_there(document: Path) -> None:
    paths = re.findall(r"`((?:tests|examples|benchmarks|docs|src)/[\w./-]+)`", document.read_text())
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_extra_that_the_documents_install_is_the_projects() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    asked = {
        name
        for names in re.findall(r"pip install '[a-z.-]+\[([a-z,]+)\]'", text)
        for name in names.split(",")
    }
    assert asked
    assert asked <= set(extras)


def test_the_readme_shows_code_that_runs() -> None:
    assert [block.kind for block in BLOCKS[ROOT / "README.md"] if block.runs][:2] == ["python", "python"]


def test_the_documents_tables_are_the_committed_results() -> None:
    texts = [document.read_text() for document in WITH_TABLES]
    assert all(any(pair_table(read_results(), pair) in text for text in texts) for pair in pretrained())
    assert [with_tables(text) for text in texts] == texts


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_relative_links_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert not [target for target in targets if not (document.parent / target).exists()]


def test_every_command_in_the_documents_exists() -> None:
    from typer.main import get_command

    from codec.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    used = set(re.findall(r"(?:^|`|\.\.\. )codec ([a-z]+) ", text, re.MULTILINE)) - {"bundle"}
    assert used
    assert used <= known


def test_the_makefiles_commands_are_those_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert shutil.which("make")


def test_every_test_that_the_page_on_reliability_names_is_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    files = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", text)) - {"docs/", "tests/"}
    assert len(files) > 20
    for name in files:
        assert (ROOT / "tests" / name).exists(), name
    for module in re.findall(r"`(?:TFDS_DATA_DIR=\.\.\. )?python -m tests\.(\w+)", text):
        assert (ROOT / "tests" / f"{module}.py").exists() or (
            ROOT / "tests" / module / "__main__.py"
        ).exists(), module


def test_the_packet_that_is_read_by_hand_is_the_golden_one(capsys: pytest.CaptureFixture[str]) -> None:
    golden = ROOT / "tests" / "golden"
    packet = (golden / "single-0.packet").read_bytes()
    page = BLOCKS[ROOT / "docs" / "howto" / "read-a-packet.md"]
    assert page[0].code.strip() == packet.hex(" ")
    header, payload = (block.code for block in page if block.kind == "python")
    assert packet.hex(" ") in header
    assert packet[8:-4].hex(" ") in payload
    exec(payload, {"__name__": "__main__"})
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    symbols = np.load(golden / "single-0.symbols.npy")[0]
    assert printed == [symbols[..., channel].ravel().tolist() for channel in range(symbols.shape[2])]


def test_commands_are_told_apart_over_pipes_lines_and_quotations() -> None:
    code = 'A=1 codec x | codec y - # z\nfor i in 1; do codec z \\\n  -q; done\npython -c "\nimport this\n"\n'
    block = Block("page.md", 1, "shell", code, None, None)
    assert [command for command in commands(block) if command[0] != "for"] == [
        ["codec", "x"],
        ["codec", "y", "-"],
        ["codec", "z", "-q"],
        ["done"],
        ["python", "-c", "\nimport this\n"],
    ]

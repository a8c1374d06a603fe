"""What the documents say is so: their code runs, their tables are the committed results, their links lead."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.curves import read_results
from benchmarks.tables import DOCUMENTS as WITH_TABLES
from benchmarks.tables import pair_table, with_tables
from codec.loading import pretrained

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


SNIPPETS = [
    pytest.param(code, id=f"{document.name}-{i}")
    for document in DOCUMENTS
    for i, code in enumerate(blocks(document, "python"))
]


@pytest.mark.parametrize("code", SNIPPETS)
def test_python_snippets_run_by_themselves(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_shows_code_that_runs() -> None:
    assert blocks(ROOT / "README.md", "python")


def test_the_documents_tables_are_the_committed_results() -> None:
    texts = [document.read_text() for document in WITH_TABLES]
    assert all(any(pair_table(read_results(), pair) in text for text in texts) for pair in pretrained())
    assert [with_tables(text) for text in texts] == texts


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
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
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", text)) - {"docs/", "tests/"}
    assert len(named) > 20
    for name in named:
        assert (ROOT / "tests" / name).exists(), name
    for module in re.findall(r"`(?:TFDS_DATA_DIR=\.\.\. )?python -m tests\.(\w+)", text):
        assert (ROOT / "tests" / f"{module}.py").exists() or (
            ROOT / "tests" / module / "__main__.py"
        ).exists(), module

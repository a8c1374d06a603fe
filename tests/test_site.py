"""The site of the documents is made without a warning, and has the whole reference in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import codec
from tests.pages import DOCUMENTS, ROOT

pytest.importorskip("sphinx", reason="sphinx is not installed; run: pip install '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make docs`` makes it, elsewhere."""
    out = tmp_path_factory.mktemp("site")
    command = re.search(r"-m (sphinx .*) docs/_build/html$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command
    arguments = [sys.executable, "-m", *command[1].split(), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_every_document_is_a_page_of_the_site(site: Path) -> None:
    for document in DOCUMENTS:
        assert (site / document.relative_to(ROOT).with_suffix(".html")).exists()
    assert 'url=docs/index.html"' in (site / "index.html").read_text()


def test_the_reference_has_every_public_name(site: Path) -> None:
    pages = "".join(page.read_text() for page in sorted((site / "docs" / "api").glob("*.html")))
    for name in codec.__all__:
        expected = f'id="codec.{name}"' if name != "__version__" else "codec.__version__"
        assert pages.count(expected) == 1, name
    for name in ("Encoder.encode", "Decoder.decode", "Archive.entries", "Limits.packet_bytes"):
        assert f'id="codec.{name}"' in pages, name
    assert ">Type<" not in pages  # a colon in a property's first line, which is taken for a type


def test_links_of_the_site_stay_in_it_and_lead_somewhere(site: Path) -> None:
    seen = 0
    for page in site.rglob("*.html"):
        if "_downloads" in page.parts:
            continue
        for target in re.findall(r'(?:href|src)="([^"#?:]+)(?:[#?][^"]*)?"', page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(site)}: {target}"
            seen += 1
    assert seen > 1000


def test_pages_fetch_nothing(site: Path) -> None:
    for page in site.rglob("*.html"):
        if "_downloads" not in page.parts:
            assert not re.findall(r'(?:<link[^>]*href|src)="(?:https?:)?//[^"]*"', page.read_text()), page
    for sheet in site.rglob("*.css"):
        assert "url(http" not in sheet.read_text()


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "api" / "errors.md").read_text()
    drawn = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert drawn
    assert codec.errors.__doc__ is not None
    lines = [line.removeprefix("    ").rstrip() for line in codec.errors.__doc__.splitlines()]
    assert drawn[1].rstrip() in "\n".join(lines)

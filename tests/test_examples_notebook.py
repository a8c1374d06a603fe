"""The notebook runs from end to end, and what is committed of its output is what it gives."""

import re
import warnings
from pathlib import Path

import pytest

MOST_BYTES = 300_000
DRAWN = ["noise", "look", "receive", "compare", "denoise"]


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"[\d,]*\d(?:\.\d+)?", text)]


def test_the_notebook_runs_and_its_figures_are_those_committed(tmp_path: Path) -> None:
    for module in ("nbclient", "ipykernel", "mlxtend", "optax"):
        pytest.importorskip(module, reason=f"{module} is not installed; run: pip install '.[dev]'")
    from tests import notebook

    with warnings.catch_warnings():
        warnings.simplefilter("default")  # Jupyter's own
        run = notebook.executed(tmp_path)
    found, committed = notebook.printed(run), notebook.printed(notebook.read())
    assert notebook.pictures(run) == DRAWN
    assert not list(tmp_path.iterdir())
    for exact in ("data", "network", "codes"):  # nothing trained is in these
        assert found[exact] == committed[exact]
    assert "6,272 bytes a digit" in found["codes"]
    for texts in (found, committed):
        *_, loss = numbers(texts["train"])
        assert 0.06 < loss < 0.1
        sizes = [numbers(line)[-2:] for line in texts["quantise"].splitlines()]
        assert sizes == sorted(sizes, reverse=True)
        png, network, *shipped = (numbers(line.split("  ")[-1]) for line in texts["compare"].splitlines())
        assert 250 < png[0] < 280
        assert network[0] > png[0]
        rates, decibels = ([line[column] for line in shipped] for column in (0, 1))
        assert [round(rate) for rate in rates] == [6, 18, 73]
        assert 20 < decibels[0] < decibels[1] < decibels[2]
        assert 20 < network[1] < decibels[1]
        noisy, cleaned = map(numbers, texts["denoise"].splitlines()[-2:])
        assert cleaned[0] > noisy[0] + 5


def test_the_notebook_is_small_and_tells_nothing_of_a_machine() -> None:
    pytest.importorskip("nbclient", reason="nbclient is not installed; run: pip install '.[dev]'")
    from tests import notebook

    text = notebook.NOTEBOOK.read_text()
    assert len(text) < MOST_BYTES
    assert not re.search(r"/(?:home|work|tmp|root|usr)/", text)
    committed = notebook.read()
    assert committed.metadata == notebook.METADATA
    assert len({cell.id for cell in committed.cells}) == len(committed.cells)
    assert all(not cell.metadata for cell in committed.cells)
    assert notebook.pictures(committed) == DRAWN
    ran = [cell.execution_count for cell in committed.cells if cell.cell_type == "code"]
    assert ran == list(range(1, len(ran) + 1))

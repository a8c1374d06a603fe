"""The notebook among the examples, run from its first cell to its last.

    python -m tests.notebook --write

puts what its cells print and draw into the file; the test runs it and leaves the file alone.
"""

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from codec.files import write_bytes

NOTEBOOK = Path(__file__).parent.parent / "examples" / "article.ipynb"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read() -> Any:
    """The notebook as it is in the repository."""
    return nbformat.read(NOTEBOOK, as_version=4)


def executed(folder: Path) -> Any:
    """The notebook, run in ``folder`` by this interpreter; a cell that fails is a ``CellExecutionError``."""
    notebook = read()
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(cleanup_kc=True)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/jpeg", None)  # Pillow gives the same picture twice
    notebook.metadata = nbformat.from_dict(METADATA)  # nothing of this machine
    return notebook


def printed(notebook: Any) -> dict[str, str]:
    """What each cell printed, by the cell's id."""
    return {
        cell.id: "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def pictures(notebook: Any) -> list[str]:
    """The ids of the cells that drew a picture."""
    return [
        cell.id
        for cell in notebook.cells
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("expected --write")
    write_bytes(NOTEBOOK, (nbformat.writes(executed(NOTEBOOK.parent)) + "\n").encode())

"""Made the golden archives, once, of golden packets; ``tests/test_archive_golden.py`` pins them.

python -m tests.golden.make_archive
"""

import hashlib
from pathlib import Path
from typing import Any

from codec.archive_writer import ArchivePieces, count_images
from codec.bundle_reader import read_bundle

__all__ = ["RECORDS", "contents"]

FOLDER = Path(__file__).parent

RECORDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("batch-0", {"metadata": [{"label": 3, "split": "train"}, {}, {"label": -129}, None]}),
    ("single-1", {"names": ["same.png"], "metadata": [{"boxes": [[0, 1.5, 2**40], []], "ok": True}]}),
    ("compact-2", {}),
    ("batch-sized-named", {}),
    ("stream-named", {"metadata": [{"zwölf": {"a": None, "b": "三"}, "p": i / 3} for i in range(6)]}),
    ("batch-1", {"names": ["same.png", "0.png", "same.png", "x" * 255]}),
)
"""Golden packets, in this order, with names and metadata."""


def contents() -> dict[str, bytes]:
    """The golden archives by the names of their files."""
    bundle = read_bundle((FOLDER / "pair.decoder.msgpack").read_bytes(), "decoder")
    made = {}
    for name, records in (("records", RECORDS), ("empty", ())):
        pieces = ArchivePieces(bundle.pair.digest)
        parts = [pieces.header()]
        for packet_name, facts in records:
            packet = (FOLDER / f"{packet_name}.packet").read_bytes()
            count, own = count_images(packet)
            parts.append(pieces.record(packet, count, facts.get("names", own), facts.get("metadata")))
        made[f"{name}.archive"] = b"".join([*parts, *pieces.index()])
    return made


def main() -> None:
    """Write those that are not there."""
    for name, data in contents().items():
        with (FOLDER / name).open("xb") as file:
            file.write(data)
        print(name, len(data), hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()

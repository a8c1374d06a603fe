"""All benchmarks, side by side on one machine, and the report of them.

    TFDS_DATA_DIR=... python -m benchmarks    everything, on MNIST's test images: takes hours
    python -m benchmarks --quick              everything small, on the sample digits: a few minutes
    python -m benchmarks --only speed         all that is timed or weighed, and no rates
    python -m benchmarks --only domains       pairs of new domains, trained first: hours; needs no MNIST
    python -m benchmarks rate --codec NAME    one codec anew, the others' rows stay
    python -m benchmarks report               REPORT.md, report.html and pictures from results.json

Each section replaces its part of results.json as soon as it is done. Needs the extra ``bench``.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.codecs import Measurable, Pixels
from benchmarks.denoising.run import measure_denoising
from benchmarks.domains.data import Domain
from benchmarks.domains.run import chosen_domains, measure_domains
from benchmarks.gallery import draw_gallery
from benchmarks.harness import unseen
from benchmarks.machine import machine
from benchmarks.rate import bjontegaard_rows, codecs, rate_rows
from benchmarks.report import write_report
from benchmarks.speed import SECTIONS as SPEED
from codec.errors import CodecError
from codec.files import write_bytes
from codec.samples import sample_images
from codec.training.data import load_dataset, load_training, sample_digits

ROOT = Path(__file__).parent.parent
_CACHE = ROOT / ".bench-cache"
_SECTIONS = ("rate", "bjontegaard", "gallery", "denoising", "domains", *SPEED, "report")
_GROUPS = {"speed": (*SPEED, "report"), "domains": ("domains", "report")}
_WITHOUT_MNIST = {"domains", "report"}
_QUICK_TRAINING = 2000


class Results:
    """results.json: read when it is there, written whole after each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def put(self, section: str, values: dict[str, Any]) -> None:
        """Replace one section."""
        self.values[section] = values
        text = json.dumps(dict(sorted(self.values.items())), indent=1, allow_nan=False)
        write_bytes(self._path, f"{text}\n".encode())


def _data(quick: bool) -> tuple[str, Pixels, Pixels]:
    """What is measured on, by name, and what peers may learn from: uint8 [N, 28, 28], no image in both."""
    if quick:
        images = sample_images()[..., 0]
        known = {image.tobytes() for image in images}
        others = [image for image in sample_digits()[..., 0] if image.tobytes() not in known]
        return "sample digits", images, np.stack(others[:_QUICK_TRAINING])
    training = load_training("mnist", None, seed=0).training[..., 0]
    images = load_dataset("mnist", "test")[..., 0]
    unseen(images, training)
    return "MNIST test set", images, training


def main() -> None:
    """Run sections, write results and report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    choices = ", ".join(dict.fromkeys([*_SECTIONS, *_GROUPS]))
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of {choices}; all if left out")
    parser.add_argument(
        "--only", action="append", default=[], metavar="SECTION", help="another way to name one"
    )
    parser.add_argument("--quick", action="store_true", help="small: sample digits, few rounds")
    parser.add_argument("--out", type=Path, help="folder of the results; benchmarks/results if left out")
    parser.add_argument("--codec", action="append", metavar="CODEC", help="of rate and gallery, these alone")
    parser.add_argument(
        "--grey", type=Path, metavar="NPZ", help="of domains: your own grey images, x_train and x_test"
    )
    parser.add_argument("--rgb", type=Path, metavar="NPZ", help="of domains: your own RGB images")
    options = parser.parse_args()
    named = options.sections + options.only
    sections = [section for name in named for section in _GROUPS.get(name, (name,))]
    unknown = set(sections) - set(_SECTIONS)
    if unknown:
        parser.error(f"expected sections among {choices}, found {', '.join(sorted(unknown))}")
    out = options.out or (_CACHE / "quick" if options.quick else ROOT / "benchmarks" / "results")
    try:
        chosen = chosen_domains(options.grey, options.rgb, quick=options.quick)
        run(sections or list(_SECTIONS), out, quick=options.quick, only=options.codec, domains=chosen)
    except CodecError as error:
        sys.exit(f"python -m benchmarks: {error}")


def run(
    sections: list[str],
    out: Path,
    *,
    quick: bool,
    only: list[str] | None,
    domains: Iterable[Callable[[], Domain]] = (),
) -> None:
    """Run ``sections`` in their order and write into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    results = Results(out / "results.json")
    name, images, training = ("", *np.zeros((2, 0, 28, 28), np.uint8))
    if set(sections) - _WITHOUT_MNIST:
        name, images, training = _data(quick)
    for section in (known for known in _SECTIONS if known in sections):
        print(f"== {section}", file=sys.stderr, flush=True)
        head = {
            "command": f"python -m benchmarks {section}{' --quick' if quick else ''}",
            "quick": quick,
            "data": "" if section in _WITHOUT_MNIST else name,
            "machine": machine(),
        }

        def put(values: dict[str, Any], section: str = section, head: dict[str, Any] = head) -> None:
            results.put(section, {**head, **values})

        if section == "rate":
            found = codecs(training, _CACHE / "learned", quick=quick)
            _rate(found, images, only, results.values.get("rate", {}).get("rows", []), put)
        elif section == "bjontegaard":
            put({"rows": bjontegaard_rows(results.values.get("rate", {}).get("rows", []))})
        elif section == "gallery":
            found = codecs(training, _CACHE / "learned", quick=quick)
            shown = [codec for codec in found if not only or codec.name in only]
            put(draw_gallery(shown, sample_images()[..., 0], out))
        elif section == "denoising":
            measure_denoising(images, training, put, out, quick=quick)
        elif section == "domains":
            known = results.values.get("domains", {})
            measure_domains(domains, known, put, _CACHE / "domains", out, quick=quick)
        elif section == "report":
            write_report(out)
        else:
            put({"rows": SPEED[section](images[..., None], quick)})
    print(out / "REPORT.md", file=sys.stderr)


def _rate(
    found: list[Measurable],
    images: Pixels,
    only: list[str] | None,
    rows: list[dict[str, Any]],
    put: Callable[[dict[str, Any]], None],
) -> None:
    """Measure, and put the rows after each codec, so that a run cut short keeps what it has."""
    names = list(dict.fromkeys(codec.name for codec in found))
    if only and set(only) - set(names):
        raise SystemExit(f"expected codecs among {names}, found {sorted(set(only) - set(names))}")

    def of(row: dict[str, Any]) -> str:
        """The codec that a row is of; those of payloads are called after their codec."""
        name: str = row["codec"]
        return name if name in names else name.rsplit(", ", 1)[0]

    chosen = [name for name in names if not only or name in only]
    by_name = {name: [row for row in rows if of(row) == name] for name in names}
    if not only:
        by_name = {name: [] for name in names}
    for name in chosen:
        by_name[name] = [row for codec in found if codec.name == name for row in rate_rows(codec, images)]
        put({"rows": [row for kept in by_name.values() for row in kept]})


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()

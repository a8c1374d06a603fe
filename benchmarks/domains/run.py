"""The section ``domains``: each domain's pair is trained with default options, then measured beside formats.

What enters: which domains, and a folder where training goes on and what was measured stays. What leaves:
rows, an entry a domain that tells of data and training, and a picture of twelve test images a domain.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.codecs import Codec, Pixels
from benchmarks.domains.data import Domain, own, shipped
from benchmarks.domains.pair import model_of, pair_codecs
from benchmarks.domains.peers import peers
from benchmarks.domains.pictures import draw_images
from benchmarks.domains.training import QUICK, trained
from benchmarks.machine import machine
from benchmarks.rate import rate_rows
from codec.errors import CodecError
from codec.files import write_bytes

__all__ = ["DOMAINS", "chosen_domains", "measure_domains"]

DOMAINS = ("glyphs", "tiles")

Section = dict[str, Any]


def chosen_domains(grey: Path | None, rgb: Path | None, *, quick: bool) -> Iterable[Callable[[], Domain]]:
    """The user's own where there are any, else ``DOMAINS``; each is loaded when it is its turn."""
    if grey is None and rgb is None:
        return [partial(shipped, name, quick=quick) for name in DOMAINS]
    paths = ((grey, True), (rgb, False))
    return [partial(own, path, grey=is_grey) for path, is_grey in paths if path]


def measure_domains(
    domains: Iterable[Callable[[], Domain]],
    known: Section,
    put: Callable[[Section], None],
    cache: Path,
    out: Path,
    *,
    quick: bool,
) -> None:
    """Train and measure each; ``put`` the section after each, other domains of ``known`` as they are.

    Raises:
        CodecError: of the last domain that failed, after the others are done.
    """
    section = {"domains": list(known.get("domains", ())), "rows": list(known.get("rows", ()))}
    failed: CodecError | None = None
    for load in domains:
        try:
            entry, rows = _measured(load(), cache, out, quick=quick)
        except CodecError as error:
            print(error, file=sys.stderr, flush=True)
            failed = error
            continue
        name = entry["domain"]
        section = {
            "domains": [other for other in section["domains"] if other["domain"] != name] + [entry],
            "rows": [row for row in section["rows"] if row["domain"] != name] + rows,
        }
        put(section)
    if failed is not None:
        raise failed


def _measured(
    domain: Domain, cache: Path, out: Path, *, quick: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is told of a domain, and its rows, with its name in each."""
    counts = f"{len(domain.training):,} training and {len(domain.test):,} test images"
    print(f"{domain.name}: {counts}, {domain.told}", file=sys.stderr, flush=True)
    made = trained(domain, cache, QUICK if quick else ())
    ours = pair_codecs(domain.name, made.pair, grey=domain.grey)
    theirs = peers(grey=domain.grey, quick=quick)
    folder = made.folder / "measured"
    rows = [
        {"domain": domain.name, **row}
        for codec, of in [(codec, made.digest) for codec in ours] + [(codec, "") for codec in theirs]
        for row in _kept_rows(codec, domain, of, folder)
    ]
    draw_images(domain, rows, ours[1], next(codec for codec in theirs if codec.name == "WebP"), out)
    entry = {
        "domain": domain.name,
        "data": domain.told,
        "grey": domain.grey,
        "size": list(domain.test.shape[1:]),
        "training_images": len(domain.training),
        "test_images": len(domain.test),
        "training_sha256": domain.digest,
        "test_sha256": domain.test_digest,
        "model": model_of(made.pair),
        "training": made.told(),
    }
    return entry, rows


def _kept_rows(codec: Codec, domain: Domain, pair: str, folder: Path) -> list[dict[str, Any]]:
    """A codec's rows, measured now unless the same was measured before, by the same libraries."""
    same = {
        "codec": [codec.name, codec.arrangement, codec.settings, codec.most, pair],
        "images": domain.test_digest,
        "versions": machine()["versions"],
    }
    key = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{key}.json"
    if path.exists():
        kept: list[dict[str, Any]] = json.loads(path.read_text())
        return kept
    images: Pixels = domain.test
    rows = rate_rows(codec, images)
    if not any(row["error"] for row in rows):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, json.dumps(rows).encode())
    return rows

"""How near each half of each shipped pair comes to the multiply-adds a second of a large matrix product."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Task, cores
from benchmarks.speed.pairs import multiply_adds
from benchmarks.speed.rows import Ceiling, PartFailure, plain
from benchmarks.speed.timing import compare, spread
from benchmarks.speed.workers import Worker, library, say, scratch
from codec.architecture import Side
from codec.loading import load_bundle, pretrained

__all__ = ["measured", "rows"]

_FULL_BATCHES, _QUICK_BATCHES = (256, 1000, 10_000), (256,)
_FULL_RUNS, _QUICK_RUNS = 7, 3
_TURN_SECONDS = 0.1
_SIDES: dict[str, Side] = {"analysis": "encoder", "synthesis": "decoder"}
_PRODUCT = Task("matrix product", "JAX", 2048)
_PRODUCT_MULTIPLY_ADDS = _PRODUCT.batch**3


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    batches = _QUICK_BATCHES if quick else _FULL_BATCHES
    with scratch(images) as path, library(path, cores()) as worker:
        return plain(
            measured(worker, name, work, batches, _QUICK_RUNS if quick else _FULL_RUNS)
            for name in pretrained()
            for work in _SIDES
        )


def measured(
    worker: Worker, name: str, work: str, batches: tuple[int, ...], runs: int
) -> Ceiling | PartFailure:
    """One half at several batches and the matrix product, in turn; the row is of the best batch."""
    what = f"{work} of {name}"
    say(f"ceiling: {what}")
    tasks = {f"{batch}": Task(work, name, batch) for batch in batches} | {"product": _PRODUCT}
    comparison = compare({key: worker.timer(task) for key, task in tasks.items()}, runs, _TURN_SECONDS)
    for error in comparison.errors.values():
        return PartFailure(what, error)
    best = max(batches, key=lambda batch: comparison.rate(f"{batch}", batch).median)
    pair = load_bundle(name, _SIDES[work]).pair
    each = multiply_adds(pair.architecture, _SIDES[work], pair.height, pair.width)
    product = comparison.seconds["product"]
    shares = spread(
        [
            each * best / own / (_PRODUCT_MULTIPLY_ADDS / theirs)
            for own, theirs in zip(comparison.seconds[f"{best}"], product, strict=True)
        ]
    )
    return Ceiling(
        what=what,
        batch=best,
        threads=cores(),
        multiply_adds_per_image=each,
        images_per_s=comparison.rate(f"{best}", best).median,
        share=shares.median,
        share_low=shares.low,
        share_high=shares.high,
        matrix_product_gmacs_per_s=comparison.rate("product", _PRODUCT_MULTIPLY_ADDS / 1e9).median,
        runs=runs,
    )

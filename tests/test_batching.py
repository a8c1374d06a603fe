"""Any number of images through functions compiled for a few batch sizes."""

import gc
import os
import threading
import weakref

import jax
import numpy as np
import pytest
from numpy.typing import NDArray

from codec import batching, load_decoder, load_encoder
from codec.architecture import Convolutional
from codec.batching import COMPILED, apply_in_batches, batch_sizes, compiled_for, in_threads
from codec.samples import sample_images


def calls_for(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes that a function is called with for an array of ``shape``, once its result was checked."""
    seen: list[tuple[int, ...]] = []

    def triple(factor: int, part: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(part.shape)
        return factor * part

    array = np.random.default_rng(0).random(shape, np.float32)
    sizes = batch_sizes(array[0].size)
    found = apply_in_batches(triple, 3, array, sizes=sizes)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, 3 * array)
    return seen


@pytest.mark.parametrize("count", [1, 2, 16, 17, 64, 65, 600])
def test_small_images_go_in_batches_of_three_sizes(count: int) -> None:
    calls = calls_for((count, 4, 4, 1))
    assert {shape[0] for shape in calls} <= {1, 16, 64}
    assert sum(shape[0] for shape in calls) < count + 64


def test_large_images_are_not_filled_up_to_many_times_their_size() -> None:
    assert calls_for((17, 400, 400, 1)) == [(1, 400, 400, 1)] * 17
    assert calls_for((3, 100, 100, 1)) == [(16, 100, 100, 1)]


def test_what_is_compiled_for_a_size_goes_when_many_others_follow() -> None:
    def network(architecture: Convolutional, factor: int, x: jax.Array, quality: int) -> jax.Array:
        return factor * x + quality

    first = weakref.ref(compiled_for(network, Convolutional(), (1, 1)))
    function = first()
    assert function is not None
    assert function is compiled_for(network, Convolutional(), (1, 1))
    np.testing.assert_array_equal(function(2, np.ones((3, 1, 1), np.float32), 5), np.full((3, 1, 1), 7))
    del function
    for side in range(2, 2 + COMPILED):
        compiled_for(network, Convolutional(), (side, side))
    gc.collect()
    assert first() is None


def test_threads_keep_the_order_and_pass_errors_on() -> None:
    items = list(range(100))
    assert in_threads(lambda item: item * item, items) == [item * item for item in items]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // (item - 50), items)


def test_threads_in_threads_have_a_part_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_cores", lambda: 4)
    seen: set[int] = set()

    def inner(_: int) -> None:
        seen.add(threading.get_ident())

    def outer(_: int) -> int:
        in_threads(inner, range(50))
        return threading.active_count()

    assert max(in_threads(outer, range(2))) <= threading.active_count() + 2 + 2 * 2
    assert in_threads(lambda _: in_threads(inner, range(3)), range(4)) == [[None] * 3] * 4
    assert threading.get_ident() not in seen


def test_the_number_of_cores_changes_neither_packets_nor_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.repeat(sample_images(), 11, axis=0)  # two chunks
    for name in ("article", "mnist"):
        encoder, decoder = load_encoder(name), load_decoder(name)
        packets, pixels = [], []
        for cores in (1, 3):
            monkeypatch.setattr(batching, "_cores", lambda cores=cores: cores)
            packets.append(encoder.encode(images))
            pixels.append(decoder.decode(packets[-1]))
        assert packets[0] == packets[1]
        np.testing.assert_array_equal(pixels[0], pixels[1])


def test_work_is_shared_out_among_the_cores_this_process_may_use() -> None:
    both = threading.Barrier(2, timeout=30)

    def meet(_: int) -> int:
        return both.wait()

    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: there is nothing to share out")
    assert sorted(in_threads(meet, range(2))) == [0, 1]

"""One encoder and one decoder for all threads of a process, and in processes however they were started."""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec import forking
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import ForkedProcessError
from codec.samples import sample_images

THREADS = 16
MANY = 40  # digits that the decoder leaves to JAX


@pytest.fixture(scope="module", params=codec.pretrained())
def pair(request: pytest.FixtureRequest) -> tuple[Encoder, Decoder]:
    return codec.load_encoder(request.param), codec.load_decoder(request.param)


def in_threads_at_once(work: Callable[[int], None]) -> list[BaseException]:
    """What ``work`` raised, called with 0 to 15 on as many threads that start together."""
    together = threading.Barrier(THREADS)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            together.wait(30)
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread is still waiting"
    return raised


def test_sixteen_threads_get_what_one_gets(pair: tuple[Encoder, Decoder], digits: NDArray[np.uint8]) -> None:
    encoder, decoder = pair
    batches = [np.roll(digits, number, axis=0)[: 1 + 5 * (number % 9)] for number in range(THREADS)]
    qualities = [number % encoder.qualities for number in range(THREADS)]
    packets = [encoder.encode(batch, quality=q) for batch, q in zip(batches, qualities, strict=True)]
    images = [decoder.decode(packet) for packet in packets]

    def work(number: int) -> None:
        for _ in range(3):
            assert encoder.encode(batches[number], quality=qualities[number]) == packets[number]
            np.testing.assert_array_equal(decoder.decode(packets[number]), images[number])

    assert not in_threads_at_once(work)


def test_sixteen_threads_may_be_the_first_to_use_a_pair(digits: NDArray[np.uint8]) -> None:
    packet = codec.load_encoder("mnist").encode(digits)
    images = codec.load_decoder("mnist").decode(packet)
    encoder, decoder = codec.load_encoder("mnist"), codec.load_decoder("mnist")

    def work(number: int) -> None:
        assert encoder.encode(digits) == packet
        np.testing.assert_array_equal(decoder.decode(packet), images)

    assert not in_threads_at_once(work)


def worked() -> tuple[bytes, NDArray[np.uint8]]:
    """A packet and its images, from a process that was started for it."""
    packet = codec.load_encoder("mnist").encode(sample_images()[:MANY])
    return packet, codec.load_decoder("mnist").decode(packet)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_started_anew_give_the_same_bytes(method: str) -> None:
    packet, images = worked()
    with multiprocessing.get_context(method).Pool(2) as pool:
        for found in pool.starmap_async(worked, [()] * 2).get(120):
            assert found[0] == packet
            np.testing.assert_array_equal(found[1], images)


FORKED = """
import os, signal, sys
from pathlib import Path
import codec
from codec.errors import ForkedProcessError
from codec.samples import sample_images

digits = sample_images()[:40]
many, one = (Path(name).read_bytes() for name in ("many.packet", "one.packet"))
encoder, decoder = codec.load_encoder("mnist"), codec.load_decoder("mnist")
if sys.argv[1] == "after":
    assert encoder.encode(digits) == many
elif sys.argv[1] == "after others":  # whoever else uses JAX in this process
    import jax
    assert jax.numpy.ones(3).sum() == 3
if not os.fork():
    signal.alarm(60)
    assert decoder.decode(one).shape == (1, 28, 28, 1)  # NumPy alone
    for work in (lambda: encoder.encode(digits) == many, lambda: decoder.decode(many).shape == digits.shape):
        try:
            print(work(), flush=True)
        except ForkedProcessError as error:
            print(error, flush=True)
    os._exit(0)
assert os.wait()[1] == 0
assert encoder.encode(digits) == many  # the parent goes on
"""


def forked(when: str, folder: Path, digits: NDArray[np.uint8]) -> list[str]:
    """The lines of a child that was forked ``when``: before or after its parent encoded, or used JAX."""
    sender = codec.load_encoder("mnist")
    (folder / "many.packet").write_bytes(sender.encode(digits[:MANY]))
    (folder / "one.packet").write_bytes(sender.encode(digits[0]))
    # JAX warns of any fork once it is imported.
    command = [sys.executable, "-W", "ignore", "-c", FORKED, when]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_forked_before_its_parent_encodes_gives_the_same_bytes(
    tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    assert forked("before", tmp_path, digits) == ["True", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("when", ["after", "after others"])
def test_a_process_forked_after_jax_was_used_is_told_and_does_not_wait(
    tmp_path: Path, when: str, digits: NDArray[np.uint8]
) -> None:
    lines = forked(when, tmp_path, digits)
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("this process was forked from one in which JAX was running")
        assert "spawn or forkserver" in line


def test_the_process_that_uses_jax_may_go_on_using_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_user", None)
    forking.claim_jax()
    forking.claim_jax()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ForkedProcessError):
        forking.claim_jax()

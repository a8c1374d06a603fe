"""The two examples that talk over TCP: all images arrive, or both sides say why not."""

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec.bundle import Bundle
from codec.bundle_writer import write_pair
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.imagefiles import png_bytes, read_image
from codec.keys import SealingKey
from tests.conftest import small_pair_of

EXAMPLES = Path(__file__).parent.parent / "examples"
HEAD = struct.Struct("<QI")
PATIENT = ("--timeout", 300)
"""Machines that run tests may be busy."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an example in a folder of its own, with nothing in it but what the test put there."""
    with ExitStack() as stack:

        def started(name: str, *options: object, **variables: str) -> "subprocess.Popen[str]":
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, options)],
                    cwd=folder,
                    env=os.environ
                    | {"OPENBLAS_NUM_THREADS": "1"}
                    | variables,  # its threads spin where cores are busy
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)  # of the stack the first to be undone
            return process

        yield started


def port_of(receiver: "subprocess.Popen[str]") -> str:
    assert receiver.stdout
    return receiver.stdout.readline().split()[-1]


def share_out(folder: Path, bundles: tuple[Bundle, Bundle], name: str = "pair") -> dict[str, Path]:
    """Each side's bundle, alone in that side's folder."""
    paths = {}
    for side, path in zip(("sender", "receiver"), write_pair(folder, name, bundles), strict=True):
        (folder / side).mkdir(exist_ok=True)
        paths[side] = path.rename(folder / side / "bundle")
    return paths


def test_all_images_arrive_and_what_was_damaged_is_asked_for_again(
    tmp_path: Path, start: Start, small_bundles: tuple[Bundle, Bundle]
) -> None:
    images = np.random.default_rng(5).integers(0, 256, (50, 8, 8, 1), np.uint8)
    share_out(tmp_path, small_bundles)
    (tmp_path / "sender" / "images").mkdir()
    for number, image in enumerate(images):
        (tmp_path / "sender" / "images" / f"{number:02}.png").write_bytes(png_bytes(image))
    terminal = {"FORCE_COLOR": "1", "COLUMNS": "100"}  # what rich takes for a terminal
    receiver = start("receiver", "--decoder", "bundle", "--out", "out", "--port", 0, *PATIENT, **terminal)
    port = port_of(receiver)
    sender = start(
        "sender",
        "--encoder",
        "bundle",
        "--images",
        "images",
        "--port",
        port,
        *PATIENT,
        "--chunk",
        20,
        "--damage",
        2,
    )
    sent, troubles = sender.communicate(timeout=300)
    assert (sender.returncode, troubles) == (0, "")
    shown, troubles = receiver.communicate(timeout=300)
    assert (receiver.returncode, troubles) == (0, "")

    encoder, decoder = Encoder(small_bundles[0]), Decoder(small_bundles[1])
    packets = [encoder.encode(images[start : start + 20]) for start in (0, 20, 40)]
    expected = np.concatenate([decoder.decode(packet) for packet in packets])
    paths = sorted((tmp_path / "receiver" / "out").iterdir())
    assert [path.name for path in paths] == [f"{number:06}.png" for number in range(50)]
    assert np.array_equal(np.stack([read_image(path) for path in paths]), expected)
    assert "message 1 is asked for again: packet: its check does not match" in shown
    assert shown.count("asked for again") == 1
    size = sum(map(len, packets))
    assert f"50 images, {size:,} bytes, {size / 50:.1f} bytes an image" in shown
    assert "▀" in shown
    # Four messages with their heads, the empty one among them, and one packet once more.
    size += 5 * HEAD.size + len(packets[1])
    assert f"50 images arrived, in 3 messages of {size:,} bytes together" in sent
    assert "1 of them were sent again" in sent


def test_another_pair_ends_both_sides_at_once_also_behind_a_seal(
    tmp_path: Path, start: Start, small_bundles: tuple[Bundle, Bundle]
) -> None:
    pytest.importorskip("cryptography")
    share_out(tmp_path, (small_bundles[0], small_pair_of(1)[1]))
    SealingKey.generate().save(tmp_path / "key")
    (tmp_path / "sender" / "one.png").write_bytes(png_bytes(np.zeros((8, 8, 1), np.uint8)))
    receiver = start("receiver", "--decoder", "bundle", "--port", 0, *PATIENT, "--key", "../key")
    port = port_of(receiver)
    sender = start(
        "sender", "--encoder", "bundle", "--images", ".", "--port", port, *PATIENT, "--key", "../key"
    )
    said = sender.communicate(timeout=300)[1]
    assert sender.returncode == 1
    assert said.startswith("error: the receiver stopped: packet: made by the pair ")
    shown, said = receiver.communicate(timeout=300)
    assert receiver.returncode == 1
    assert said.startswith("error: packet: made by the pair ")
    assert len(said.splitlines()) == 1
    assert "again" not in shown


def test_an_endless_sender_ends_where_its_receiver_vanishes(start: Start) -> None:
    receiver = start("receiver", "--port", 0, *PATIENT)
    held = 10**9  # they would be 784 GB
    sender = start("sender", "--port", port_of(receiver), *PATIENT, "--count", held)
    assert receiver.stdout
    assert receiver.stdout.readline().startswith("20 images, ")
    receiver.kill()
    said = sender.communicate(timeout=300)[1]
    assert sender.returncode == 1
    assert said.startswith("error: message ")
    assert "the other side has gone" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "message 0: the other side has gone before it was done"),
        (
            HEAD.pack(0, 2**32 - 1),
            "message 0: expected at most 4,194,304 bytes, found 4,294,967,295 announced",
        ),
        (3 * (HEAD.pack(0, 9) + b"no packet"), "packet: expected it to begin with c3 7a"),
    ],
    ids=["gone", "hostile length", "damaged thrice"],
)
def test_a_receiver_ends_with_one_line_whatever_the_sender_does(
    start: Start, data: bytes, error: str
) -> None:
    receiver = start("receiver", "--port", 0, *PATIENT)
    with socket.create_connection(("127.0.0.1", int(port_of(receiver)))) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        said = receiver.communicate(timeout=300)[1]
    assert receiver.returncode == 1
    assert said.startswith(f"error: {error}")
    assert len(said.splitlines()) == 1


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(EXAMPLES)
    return {name: import_module(name) for name in ("wire", "sender")}


def test_who_is_silent_or_slow_is_not_waited_for(modules: dict[str, Any]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = modules["wire"].Link(ours, timeout=1)
        theirs.sendall(HEAD.pack(0, 100) + b"slow")
        with pytest.raises(
            modules["wire"].LinkError, match="message 0: the other side is silent, waited 1 s"
        ):
            link.receive()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (HEAD.pack(0, 100) + b"half", "message 0: the other side has gone before it was done"),
        (HEAD.pack(7, 0), "expected message 0, found number 7; out of step"),
    ],
)
def test_a_half_message_and_one_out_of_step_are_none(
    modules: dict[str, Any], data: bytes, error: str
) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        with pytest.raises(modules["wire"].LinkError, match=error):
            modules["wire"].Link(ours, timeout=5).receive()


def test_a_sender_gives_up_after_three_times_and_takes_no_other_answer(modules: dict[str, Any]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = modules["wire"].Link(ours, timeout=5)
        theirs.sendall(3 * (HEAD.pack(0, 5) + b"again"))
        with pytest.raises(modules["wire"].LinkError, match="message 0 arrived damaged 3 times"):
            modules["sender"].deliver(link, b"good", b"bad")
        assert theirs.recv(100) == b"".join(HEAD.pack(0, len(m)) + m for m in (b"bad", b"good", b"good"))
        theirs.sendall(HEAD.pack(0, 8) + b"no\x1b[2Jok")
        with pytest.raises(modules["wire"].LinkError, match=r"the receiver stopped: no\[2Jok"):
            modules["sender"].deliver(link, b"good", b"good")

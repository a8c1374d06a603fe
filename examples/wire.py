"""What examples/sender.py and examples/receiver.py share: messages over one TCP connection.

A message is its number (8 bytes), its length (4 bytes), and so many bytes. Those of the sender are packets,
each whole in itself, and an empty one at the end. The receiver answers each under the same number: ``ok``,
``again``, or why it stops. One message is under way at a time, so neither side holds more than that.

A packet has a check of its own, so a message has none. Number and length have none either, and come from
outside: a length is held to a bound before anything is read, a number must be the one expected, and whatever
has not come within the timeout does not come. All of that ends the connection with a ``LinkError``.
"""

import argparse
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from codec.errors import CodecError

__all__ = [
    "AGAIN",
    "MOST_BYTES",
    "MOST_IMAGES",
    "OK",
    "TRIES",
    "Link",
    "LinkError",
    "between",
    "parser",
    "run",
]

MOST_BYTES = 1 << 22
"""Length of a message."""
MOST_IMAGES = 1000
"""In one packet."""
TRIES = 3
"""How often a message is sent before both sides give up."""
OK, AGAIN = b"ok", b"again"
_HEAD = struct.Struct("<QI")


class LinkError(CodecError):
    """The other side has gone, is silent, has stopped, or does not speak as this page has it."""


class Link:
    """One side's end of the connection.

    Attributes:
        number: of the message that both sides are at; whoever uses the link counts it up.
        sent: bytes of all messages that left from here.
    """

    def __init__(self, connection: socket.socket, timeout: int) -> None:
        self._socket, self._timeout = connection, timeout
        self.number = self.sent = 0

    def send(self, message: bytes) -> None:
        """Send a message, or an answer, under the present number."""
        if len(message) > MOST_BYTES:
            raise LinkError(
                f"message {self.number}: expected at most {MOST_BYTES:,} bytes, found {len(message):,}; "
                "put fewer images in each"
            )
        data = _HEAD.pack(self.number, len(message)) + message
        with self._in_words():
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        self.sent += len(data)

    def receive(self) -> bytes:
        """The next message, or the answer, which must have the present number."""
        with self._in_words():
            number, length = _HEAD.unpack(self._exactly(_HEAD.size))
            if number != self.number:
                raise LinkError(f"expected message {self.number}, found number {number}; out of step")
            if length > MOST_BYTES:
                raise LinkError(
                    f"message {number}: expected at most {MOST_BYTES:,} bytes, found {length:,} announced"
                )
            return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data, end = bytearray(), monotonic() + self._timeout
        while len(data) < count:
            # Of all of it together: a byte now and then would keep us for ever.
            self._socket.settimeout(max(end - monotonic(), 0.001))
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise LinkError(f"message {self.number}: the other side has gone before it was done")
            data += piece
        return bytes(data)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise LinkError(
                f"message {self.number}: the other side is silent, waited {self._timeout} s"
            ) from None
        except OSError as error:
            raise LinkError(
                f"message {self.number}: the other side has gone: {error.strerror or error}"
            ) from None


def between(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of this range."""

    def number(text: str) -> int:
        if not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected {low} to {high}, found {text}")
        return int(text)

    return number


def parser(what: str | None) -> argparse.ArgumentParser:
    """The options that both sides have."""
    options = argparse.ArgumentParser(description=what, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--host", default="127.0.0.1", help="the receiver's address; 127.0.0.1 if left out")
    options.add_argument("--port", type=between(0, 65535), default=8470, help="8470 if left out")
    options.add_argument("--timeout", type=between(1, 3600), default=30, help="seconds a message may take")
    options.add_argument("--key", type=Path, help="file of the key that packets are sealed with")
    return options


def run(main: Callable[[], None]) -> None:
    """Run one side; a failure is one line on standard error and exit status 1."""
    try:
        main()
    except CodecError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'connection'}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)

"""Send images to examples/receiver.py over TCP, from a process that has the encoder's bundle alone.

Start the receiver first, then this, in another terminal or on another machine:

    python examples/receiver.py
    python examples/sender.py --count 1000

Images are read as they are sent: those of ``--images FOLDER`` in the order of their names, or the package's
hundred digits over and over. Each message is a packet of a few of them. What arrives damaged the receiver
asks for again; ``--damage 3`` flips a bit of every third message on its way, to see that happen. With
``--key FILE``, which ``codec keygen`` makes, packets are sealed: nobody between the two can read them.

Memory holds one message, however many images there are, and of a folder the names.
"""

import argparse
import random
import socket
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import wire
from numpy.typing import NDArray
from wire import AGAIN, MOST_IMAGES, OK, TRIES, Link, LinkError, between, run

import codec
from codec.imagefiles import image_paths, read_images
from codec.samples import sample_images


def batches(images: Iterator[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    """The images [H, W, C] in arrays of so many [N, H, W, C], read when they are asked for."""
    while taken := list(islice(images, size)):
        yield np.stack(taken)


def damaged(packet: bytes, number: int) -> bytes:
    """The packet with one bit flipped, another one for each message."""
    bit = random.Random(number).randrange(8 * len(packet))
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def deliver(link: Link, packet: bytes, first_try: bytes) -> int:
    """Send one message until it is there, and return how often; the first time it is ``first_try``."""
    for tries in range(1, TRIES + 1):
        link.send(first_try if tries == 1 else packet)
        answer = link.receive()
        if answer == OK:
            link.number += 1
            return tries
        if answer != AGAIN:
            reason = answer[:500].decode(errors="replace")
            raise LinkError(f"the receiver stopped: {''.join(c for c in reason if c.isprintable())}")
    raise LinkError(f"message {link.number} arrived damaged {TRIES} times; the line is too bad")


def send(options: argparse.Namespace) -> None:
    """Connect, encode and send until the images end."""
    encoder = codec.load_encoder(options.encoder)
    images: Iterator[Any]
    if options.images is None:
        images = islice(cycle(sample_images()), 100 if options.count is None else options.count)
    else:
        paths = islice(image_paths([options.images]), options.count)
        images = (image for _, (image,) in read_images(paths, encoder.bundle.pair))
    try:
        connection = socket.create_connection((options.host, options.port), options.timeout)
    except OSError as error:
        raise LinkError(
            f"{options.host} port {options.port}: cannot be reached: {error.strerror or error}; "
            "start examples/receiver.py first"
        ) from None

    sent = again = 0
    with connection:
        link = Link(connection, options.timeout)
        for number, batch in enumerate(batches(images, options.chunk), start=1):
            packet = encoder.encode(batch, quality=options.quality)
            if options.key is not None:
                packet = codec.seal(packet, options.key)
            hurt = options.damage and number % options.damage == 0
            again += deliver(link, packet, damaged(packet, number) if hurt else packet) - 1
            sent += len(batch)
        messages = link.number
        deliver(link, b"", b"")
    print(f"{sent:,} images arrived, in {messages:,} messages of {link.sent:,} bytes together")
    print(f"{again:,} of them were sent again")


def main() -> None:
    """Take the options, and send."""
    parser = wire.parser(__doc__)
    add = parser.add_argument
    add("--images", type=Path, help="folder of image files; the package's digits if left out")
    add("--count", type=between(0, 1 << 40), help="send so many; of the digits 100 if left out")
    add("--encoder", default="mnist", help="encoder bundle's file, or a shipped pair's name")
    add("--quality", type=int, help="from 0, the coarsest; the pair's middle one if left out")
    add("--chunk", type=between(1, MOST_IMAGES), default=20, help="images in a message; 20 if left out")
    add("--damage", type=between(1, 1 << 40), metavar="N", help="flip a bit of every Nth message")
    send(parser.parse_args())


if __name__ == "__main__":
    run(main)

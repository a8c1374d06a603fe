"""Receive images from examples/sender.py over TCP, in a process that has the decoder's bundle alone.

    python examples/receiver.py [--out FOLDER] [--decoder BUNDLE] [--host HOST] [--port PORT] [--key FILE]

Waits for one sender, shows what comes while it comes, in half blocks where it runs in a terminal, and tells
what it costs. With ``--out`` each image becomes a PNG file. A message whose check does not match is asked for
again; after three times, and where the sender's pair is another one, both sides end with status 1.

What comes from the line is held to bounds: the bytes of a message, the images in it, the time it takes.
Memory holds one message, however many images there are.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import wire
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.text import Text
from wire import AGAIN, MOST_BYTES, MOST_IMAGES, OK, TRIES, Link, LinkError, run

import codec
from codec.files import write_bytes
from codec.imagefiles import png_bytes

LIMITS = codec.Limits(
    packet_bytes=MOST_BYTES, packet_images=MOST_IMAGES, chunk_images=MOST_IMAGES, packet_pixels=1 << 24
)
"""Of one message: a few bytes can claim many images."""


def half_blocks(images: NDArray[np.uint8], width: int) -> Text:
    """As many of the images [N, H, W, C] as have room, side by side, two rows of pixels to a line."""
    shown = images[: max(1, width // images.shape[2]), :, :width]
    pixels = np.concatenate(list(shown), axis=1)
    pixels = np.broadcast_to(pixels[..., : 3 if pixels.shape[2] > 2 else 1], (*pixels.shape[:2], 3))
    lines = []
    for top, bottom in zip(pixels[::2], [*pixels[1::2], *pixels[-1:]], strict=False):
        pairs = zip(top.tolist(), bottom.tolist(), strict=True)
        styles = (Style(color=Color.from_rgb(*t), bgcolor=Color.from_rgb(*b)) for t, b in pairs)
        lines.append(Text.assemble(*(("▀", style) for style in styles), no_wrap=True))
    return Text("\n").join(lines)


def receive(
    link: Link, decoder: codec.Decoder, key: Path | None, console: Console
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Each message's images, and the length of its packet. The sender hears "ok" once they are dealt with."""
    tries = 0
    while packet := link.receive():
        tries += 1
        try:
            if key is None:
                images = decoder.decode(packet)
            else:
                images = decoder.decode(codec.unseal(packet, key, LIMITS))
        except codec.WrongPairError:
            raise  # it was checked, and would be no other the next time
        except codec.PacketError as error:
            if tries == TRIES:
                raise
            console.print(f"message {link.number} is asked for again: {error}", soft_wrap=True)
            link.send(AGAIN)
            continue
        yield images, len(packet)
        link.send(OK)
        link.number, tries = link.number + 1, 0
    link.send(OK)


def follow(link: Link, decoder: codec.Decoder, key: Path | None, out: Path | None, console: Console) -> None:
    """Show and keep what comes until it ends."""
    count = size = 0
    with Live(console=console, auto_refresh=False) as live:
        for images, length in receive(link, decoder, key, console):
            for number, image in enumerate(images, start=count):
                if out is not None:
                    write_bytes(out / f"{number:06}.png", png_bytes(image), lasting=False)
            count, size = count + len(images), size + length
            line = Text(f"{count:,} images, {size:,} bytes, {size / count:.1f} bytes an image")
            if console.is_terminal:
                live.update(Group(half_blocks(images, console.width), line), refresh=True)
            else:
                console.print(line)
    console.print(f"all has come: {count:,} images in {size:,} bytes")


def main() -> None:
    """Listen, take one sender, receive."""
    parser = wire.parser(f"{__doc__}\nPort 0 takes a free one, and tells which.")
    parser.add_argument("--out", type=Path, help="folder for the images as PNG files")
    parser.add_argument("--decoder", default="mnist", help="decoder bundle's file, or a shipped pair's name")
    options = parser.parse_args()

    decoder = codec.load_decoder(options.decoder, LIMITS)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, markup=False)
    try:
        server = socket.create_server((options.host, options.port))
    except OSError as error:
        raise LinkError(f"{options.host} port {options.port}: {error.strerror or error}") from None
    with server:
        host, port = server.getsockname()[:2]
        print(f"waiting for a sender on {host} port {port}", flush=True)
        connection, _ = server.accept()
    with connection:
        link = Link(connection, options.timeout)
        try:
            follow(link, decoder, options.key, options.out, console)
        except codec.CodecError as error:
            with suppress(LinkError):  # the sender may be what is gone
                link.send(str(error).encode())
            raise


if __name__ == "__main__":
    run(main)

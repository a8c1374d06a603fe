"""What ``codec show`` does: finds what it is given, makes one picture of it, and writes or draws that.

What enters: a packet or an archive, of which the decoder alone shows what it holds; images, which an encoder
and a decoder are shown with; or a pair. What leaves: a PNG or SVG file, or characters in the terminal.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codec import show
from codec.cli_archive import is_archive_file
from codec.cli_keys import opened
from codec.conversion import Converted, told
from codec.errors import FileError, OptionError
from codec.files import read_up_to
from codec.show_figure import Drawing, Figure, check_ending
from codec.show_sources import array_images, batches, is_packet_file, packet_codes, pair_files, sample_digits
from codec.terminal import tell

if TYPE_CHECKING:
    from codec.encoder import Encoder
    from codec.keys import SealingKey

__all__ = ["Request", "show_pictures"]

Pixels = NDArray[np.uint8]

DEFAULT_PAIR = "mnist"

_MOST = 200
"""Images in one picture; more are no picture to look at."""
_MOST_SIZES = 100_000
"""Images whose sizes a distribution is made of."""


class Kind(StrEnum):
    """The pictures."""

    rows = "rows"
    noise = "noise"
    difference = "difference"
    ladder = "ladder"
    codes = "codes"
    rate = "rate"
    distribution = "distribution"


_OF_PACKETS = (Kind.rows, Kind.codes)
"""What the decoder alone can show."""
_OF_ENCODER = (Kind.codes, Kind.rate, Kind.distribution)
"""What needs no decoder."""
_COUNTS = {Kind.codes: 3, Kind.rate: 3, Kind.distribution: 1000}
"""Images where no number is asked for; 10 of the other kinds."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of ``codec show``; None where one is left out."""

    what: Sequence[str]
    output: str | None
    kind: str | None
    encoder: str | None
    decoder: str | None
    images: Sequence[str]
    quality: int | None
    count: int | None
    noise: float | None
    seed: int | None
    convert: bool
    key: "SealingKey | None"
    trust: Sequence[Path] | None


def show_pictures(request: Request) -> None:
    """Make the picture, and write it or draw it in the terminal.

    Raises:
        OptionError: arguments that do not go together; nowhere to draw.
        CodecError: of the files.
    """
    if request.output is not None:
        check_ending(request.output)
    console: Any = None
    if request.output is None:
        from codec.show_terminal import terminal

        console = terminal()
    drawing = _Show(request, console).drawing()
    if request.output is not None:
        drawing.save(request.output)
    else:
        assert isinstance(drawing, Figure)
        drawing.draw(console)


class _Show:
    """One picture on its way.

    Args:
        request: what is asked for.
        console: the terminal that it is for; None is a file.
    """

    def __init__(self, request: Request, console: Any) -> None:
        self.request = request
        self.console = console
        self._trusted = list(request.trust) if request.trust else None

    def drawing(self) -> Drawing:
        """The picture of what is given."""
        what = self.request.what
        pair = pair_files(what[0]) if len(what) == 1 else None
        if pair is not None:
            return self._of_pair(what[0], *pair)
        if self.request.images:
            raise OptionError(f"--images: expected with the name of a pair, found {what[0]}; leave it out")
        if len(what) == 1 and (is_archive_file(what[0]) or is_packet_file(what[0])):
            return self._of_packets(what[0])
        return self._of_images(
            self._kind(Kind.rows, Kind, "images"),
            lambda encoder, count: self._read(what, encoder, count),
            self.request.encoder or DEFAULT_PAIR,
            self.request.decoder or DEFAULT_PAIR,
        )

    def _of_pair(self, name: str, encoder: str, decoder: str) -> Drawing:
        if self.request.encoder is not None or self.request.decoder is not None:
            raise OptionError(
                f"--encoder, --decoder: expected with images, found the pair {name}; leave them out"
            )
        kind = self._kind(Kind.ladder, Kind, f"the pair {name}")

        def images(sender: "Encoder", count: int) -> list[Pixels]:
            if self.request.images:
                return self._read(self.request.images, sender, count)
            return sample_digits(name, sender, count)

        return self._of_images(kind, images, encoder, decoder)

    def _kind(self, default: Kind, of: Any, what: str) -> Kind:
        """The kind asked for, or the default, once it is known that it and its options go with ``what``."""
        request = self.request
        if request.kind is None:
            kind = default if request.noise is None else Kind.noise
        else:
            if request.kind not in list(Kind):
                raise OptionError(f"--kind: expected {', '.join(Kind)}, found {request.kind!r}")
            kind = Kind(request.kind)
        if kind not in of:
            raise OptionError(
                f"--kind {kind}: expected images and an encoder, found {what}, which has the kinds "
                f"{' and '.join(of)}"
            )
        if request.noise is not None and kind is not Kind.noise:
            raise OptionError(f"--noise: expected with --kind noise, found --kind {kind}")
        if request.seed is not None and kind is not Kind.noise:
            raise OptionError(f"--seed: expected with --kind noise, found --kind {kind}")
        if request.quality is not None and kind is Kind.ladder:
            raise OptionError("--quality: the kind ladder shows all qualities; leave it out")
        if kind is Kind.distribution and self.console is not None:
            raise OptionError(
                "--kind distribution: a chart is drawn to a file alone; add -o FILE.png or FILE.svg"
            )
        most = _MOST_SIZES if kind is Kind.distribution else _MOST
        if request.count is not None and request.count > most:
            raise OptionError(
                f"--count: expected at most {most:,} with --kind {kind}, found {request.count:,}"
            )
        return kind

    def _count(self, kind: Kind) -> int:
        """Images to take."""
        if self.request.count is not None:
            return self.request.count
        return 1 if self.console is not None and kind in _OF_ENCODER else _COUNTS.get(kind, show.COLUMNS)

    def _fitting(self, images: list[Pixels]) -> tuple[list[Pixels], int]:
        """The images, and how many go side by side; where no number is asked for, those of one such row."""
        if self.console is None:
            return images, show.COLUMNS
        from codec.show_terminal import columns_within

        columns = columns_within(self.console, max(image.shape[1] for image in images))
        return (images if self.request.count is not None else images[:columns]), columns

    def _maps(
        self, draw: Callable[..., Figure], values: Sequence[NDArray[Any]], images: Sequence[Pixels]
    ) -> Figure:
        """The maps of codes or bits, as many side by side as fit."""
        if self.console is None:
            return draw(values, images)
        from codec.show_terminal import columns_within

        width, beside = (max(array.shape[1] for array in arrays) for arrays in (values, images))
        return draw(values, images, columns=columns_within(self.console, max(width, 7), beside))

    # What is shown

    def _of_packets(self, path: str) -> Drawing:
        """What a packet or an archive holds."""
        from codec.decoder import load_decoder

        request = self.request
        archive = is_archive_file(path)
        kind = self._kind(Kind.rows, _OF_PACKETS, f"the {'archive' if archive else 'packet'} {path}")
        for option, value in (
            ("--encoder", request.encoder),
            ("--quality", request.quality),
            ("--convert", request.convert or None),
        ):
            if value is not None:
                raise OptionError(
                    f"{option}: expected with images, found {path}, which is encoded; leave it out"
                )
        if archive and request.key is not None:
            raise OptionError("archive: expected no --key, which is a packet's")
        decoder = load_decoder(request.decoder or DEFAULT_PAIR, trusted=self._trusted)
        count = self._count(kind)
        images: list[Pixels] = []
        codes: list[NDArray[np.float32]] = []
        with ExitStack() as files:
            for packet in self._packets(path, files):
                wanted = count - len(images)
                if kind is Kind.codes:
                    if not isinstance(packet, bytes):  # which is read twice
                        packet = read_up_to(packet, decoder.limits.packet_bytes + 1)
                        decoder.limits.check("packet_bytes", len(packet), f"{path}: bytes")
                    codes += islice(packet_codes(decoder, packet), wanted)
                images += [picture.image for picture in islice(decoder.decode_pictures(packet), wanted)]
                if len(images) == count:
                    break
        if not images:
            raise OptionError(f"{path}: expected images in it, found none")
        if kind is Kind.codes:
            return self._maps(show.codes, codes, images)
        images, columns = self._fitting(images)
        return show.rows({"decoded": images}, columns=columns)

    def _packets(self, path: str, files: ExitStack) -> Iterator[Any]:
        """The packet, or those of an archive, one by one."""
        if is_archive_file(path):
            from codec.archive_reader import open_archive

            yield from open_archive(path).packets()
            return
        try:
            file = files.enter_context(opened(path, self.request.key))
        except OSError as error:
            raise FileError(f"{path}: cannot be read: {error.strerror}") from None
        yield file

    def _of_images(
        self, kind: Kind, images: Callable[["Encoder", int], list[Pixels]], encoder: str, decoder: str
    ) -> Drawing:
        """What a pair makes of images."""
        from codec.encoder import load_encoder

        request = self.request
        if request.key is not None:
            raise OptionError("--key: expected with a sealed packet, found images; leave it out")
        sender = load_encoder(encoder, trusted=self._trusted)
        if kind in _OF_ENCODER:
            return self._of_encoder(kind, sender, images(sender, self._count(kind)))
        from codec.decoder import load_decoder

        receiver = load_decoder(decoder, trusted=self._trusted)
        found, columns = self._fitting(images(sender, self._count(kind)))
        options: dict[str, Any] = {"columns": columns}
        if kind is Kind.ladder:
            return show.ladder(sender, receiver, found, **options)
        options["quality"] = request.quality
        if kind is Kind.noise:
            if request.noise is not None:
                options["deviation"] = request.noise
            return show.denoising(sender, receiver, found, seed=request.seed or 0, **options)
        draw = show.differences if kind is Kind.difference else show.reconstructions
        return draw(sender, receiver, found, **options)

    def _of_encoder(self, kind: Kind, encoder: "Encoder", images: list[Pixels]) -> Drawing:
        quality = self.request.quality
        if kind is Kind.distribution:
            sizes = np.concatenate(
                [encoder.image_bits(batch, quality=quality) / 8 for batch in batches(images)]
            )
            return show.distribution(sizes, label="bytes an image, without framing")
        of = encoder.codes if kind is Kind.codes else encoder.element_bits
        values = [of(image[None], quality=quality)[0] for image in images]
        return self._maps(show.codes if kind is Kind.codes else show.rate, values, images)

    def _read(self, what: Sequence[str], encoder: "Encoder", count: int) -> list[Pixels]:
        """The first images of files, of folders or of a .npy file."""
        from codec.imagefiles import image_paths, read_images

        if len(what) == 1 and what[0].lower().endswith(".npy"):
            return array_images(Path(what[0]), encoder, count)
        converted = Converted() if self.request.convert else None
        pair = encoder.bundle.pair
        paths = image_paths(what)[:count]
        found = [
            image[0] for _, image in read_images(paths, pair, None, converted, mixed=pair.takes_any_size)
        ]
        for line in told(converted or Converted()):
            tell(line)
        return found

"""Image files on their way to a packet, as ``codec encode`` reads them; ``codec.cli_archive`` makes archives.

What enters: paths, an encoder and the options that decide what is read. What leaves: a packet's file, and
lines about what was left out, flagged or converted.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from codec.cli_keys import sealed
from codec.conversion import Converted, told
from codec.errors import CodecError, ImageError, OptionError
from codec.files import write_pieces
from codec.guard import Action, guarded
from codec.imagefiles import OnBad, are_mixed, read_images
from codec.packet import check_name
from codec.terminal import counted, tell
from codec.tiles import tile_count

if TYPE_CHECKING:
    from codec.encoder import Encoder
    from codec.keys import SealingKey

__all__ = ["Reader", "encode_packet"]


class Reader:
    """Reads image files for an encoder.

    Args:
        encoder: whose pair's images they must be.
        quality: that they are guarded at.
        convert: whether other pixel formats are converted.
        guard: what becomes of images outside the domain; None does not look.
    """

    def __init__(
        self, encoder: "Encoder", quality: int | None, *, convert: bool, guard: Action | None
    ) -> None:
        self.encoder = encoder
        self._quality = quality
        self._converted = Converted() if convert else None
        self._guard = guard

    def read(self, paths: Iterable[Path], on_bad: OnBad | None, *, mixed: bool) -> Iterator[tuple[Path, Any]]:
        """Each file that can be taken and its image, as ``codec.imagefiles.read_images`` gives them."""
        pair = self.encoder.bundle.pair
        if self._guard is None:
            return read_images(paths, pair, on_bad, self._converted, mixed=mixed)
        return guarded(
            paths,
            self.encoder,
            self._quality,
            self._guard,
            lambda _, error: tell(f"warning: {error}"),
            on_bad,
            self._converted,
            mixed=mixed,
        )

    def are_mixed(self, paths: Iterable[Path]) -> bool:
        """Whether they are pictures for a mixed packet, and the pair takes such."""
        return self.encoder.bundle.pair.takes_any_size and are_mixed(
            paths, convert=self._converted is not None
        )

    def tell_converted(self) -> None:
        """A line for each rule that was applied."""
        for line in told(self._converted or Converted()):
            tell(line)


def encode_packet(
    reader: Reader,
    paths: Sequence[Path],
    output: str,
    *,
    quality: int | None,
    named: bool,
    effort: int,
    compact: bool,
    key: "SealingKey | None",
) -> None:
    """Encode image files, or standard input, to a packet; those that cannot be read are listed."""
    if compact and len(paths) != 1:
        raise OptionError(f"--compact: expected one image, found {len(paths)}")
    piped = list(paths) == [Path("-")]  # no file that could name itself, and read once only
    named = named and not compact and not piped
    if named:
        _check_names(paths)
    mixed = not compact and not piped and reader.are_mixed(paths)
    taken: list[Path] = []
    carried = (path.name for path in taken) if named else None  # read along with the images
    encoder = reader.encoder

    def leave_out(path: Path, error: CodecError) -> None:
        tell(f"{error}{f'; left out: the next image is number {len(taken)}' * (not named)}")

    def pixels(on_bad: OnBad | None) -> Iterator[Any]:
        for path, image in reader.read(paths, on_bad, mixed=mixed):
            taken.append(path)
            yield image

    if len(paths) == 1 and not mixed:
        (image,) = pixels(None)
        if piped and not compact and encoder.bundle.pair.takes_any_size and tile_count(*image.shape[1:3]) > 1:
            pieces = encoder.encode_pictures(image, quality=quality, effort=effort)
        else:
            pieces = iter(
                [encoder.encode(image, quality=quality, names=carried, compact=compact, effort=effort)]
            )
        length = write_pieces(output, sealed(pieces, key))
    else:
        good = pixels(None if len(paths) == 1 else leave_out)
        first = next(good, None)
        if first is None:
            raise ImageError(f"none of {len(paths):,} images can be encoded; nothing is written")
        whole = chain([first], good)
        if mixed:
            pictures = (image for batch in whole for image in batch)
            pieces = encoder.encode_pictures(pictures, quality=quality, names=carried, effort=effort)
        else:
            pieces = encoder.encode_stream(whole, quality=quality, names=carried, effort=effort)
        length = write_pieces(output, sealed(pieces, key))
    reader.tell_converted()
    typer.echo(f"{counted(len(taken))}, {length:,} bytes, {length / len(taken):.1f} an image", err=True)
    if len(taken) < len(paths):
        left_out = len(paths) - len(taken)
        raise ImageError(f"{left_out:,} of {len(paths):,} images cannot be encoded; they are listed above")


def _check_names(paths: Iterable[Path]) -> None:
    """Refuse names that cannot travel, and two of one stem, in any case: one file at the receiver's."""
    stems: dict[str, Path] = {}
    for path in paths:
        check_name(path.name)
        other = stems.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise OptionError(
                f"expected image names that differ, found {other} and {path}; rename one or add --no-names"
            )

"""Images -> an archive, through an encoder: so many images a packet, each packet a record."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from codec.archive_metadata import write_metadata
from codec.archive_writer import ArchiveWriter
from codec.batching import in_threads
from codec.encoder import Encoder, _check_effort, load_encoder
from codec.errors import ImageError, OptionError
from codec.images import as_batch, whole_number
from codec.packet import COMPACT_QUALITIES
from codec.tiles import tile_count

__all__ = ["IMAGES_PER_PACKET", "ImageArchiveWriter", "append_archive", "create_archive"]

IMAGES_PER_PACKET = 64
"""Unless asked otherwise: ``docs/archive.md`` says what fewer and more cost."""
_MOST_IMAGES = 1024
_PACKET_VALUES = 1 << 20
"""Pixel values of a packet's images, unless there is one: as many as the encoder codes as one chunk."""
_HELD_VALUES = 1 << 24
"""Pixel values that may wait to be encoded side by side, on a thread for each core."""
_HELD_PACKETS = 32


@dataclass
class _Group:
    """Images of one size that become one packet."""

    images: list[NDArray[Any]] = field(default_factory=list)
    names: list[str] | None = None
    metadata: list[Mapping[str, Any] | None] = field(default_factory=list)


class ImageArchiveWriter:
    """Encodes images to an archive, as a context manager; made by ``create_archive`` and ``append_archive``.

    Memory does not grow with the number of images, but for the index: 16 bytes a packet, 8 for each name.
    """

    def __init__(
        self,
        writer: ArchiveWriter,
        encoder: Encoder,
        quality: SupportsIndex | None,
        effort: int,
        images_per_packet: int,
    ) -> None:
        most = whole_number(images_per_packet)
        if most is None or not 1 <= most <= _MOST_IMAGES:
            raise OptionError(
                f"images_per_packet: expected 1 to {_MOST_IMAGES:,}, found {images_per_packet!r}"
            )
        self._writer = writer
        self._encoder = encoder
        self._quality = encoder._quality(quality)
        self._effort = effort
        _check_effort(effort)
        self._most = most
        self._groups: list[_Group] = []
        self._held = 0

    @property
    def images(self) -> int:
        """How many are in the archive, those among them that still wait to be encoded."""
        return self._writer.images + sum(len(group.images) for group in self._groups)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._write()
            except BaseException as failure:
                self._writer.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._writer.__exit__(kind, error, trace)

    def add(
        self,
        images: Any,
        names: Iterable[str] | str | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
    ) -> None:
        """Add images behind those there are.

        Args:
            images: uint8 or float in 0..1, [N,H,W,C], [N,H,W] or one image [H,W,C] or [H,W]; or a list of
                such, which may differ in size if the pair takes any size. Images of another size than the
                one before begin a new packet.
            names: a plain file name for each image, or of one image its name. They need not differ, but an
                image can be asked for by a name only if no other has it.
            metadata: a map for each image, or of one image its map: string keys, and plain values, which are
                strings, numbers, booleans, lists and maps of them, and what NumPy has of those. A value of
                None is the same as no key.

        Raises:
            ImageError: images or names that the pair or an archive cannot take; none of them is added.
            OptionError: metadata that is not one map of plain values for each image; nothing is added.
            LimitError: images over the encoder's limits; none of them is added.
            FileError: the archive cannot be written.
        """
        listed = self._listed(images)
        count = len(listed)
        given = None if names is None else [names] if isinstance(names, str) else list(names)
        rows: list[Mapping[str, Any] | None]
        if metadata is None:
            rows = [None] * count
        else:
            rows = [metadata] if isinstance(metadata, Mapping) else list(metadata)
        self._check_facts(count, given, rows)
        for i, image in enumerate(listed):
            group = self._group_for(image, given is not None)
            group.images.append(image)
            if group.names is not None and given is not None:
                group.names.append(given[i])
            group.metadata.append(rows[i])
            self._held += image.size
            full = len(self._groups) > _HELD_PACKETS or self._held >= _HELD_VALUES
            if full and self._is_full(group):
                self._write()

    def _listed(self, images: Any) -> list[NDArray[Any]]:
        """The images by themselves, [H, W, C], all such as the pair takes."""
        several = isinstance(images, list | tuple) and all(getattr(image, "ndim", 0) >= 2 for image in images)
        parts: Sequence[Any] = images if several else [images]
        channels = self._encoder.bundle.pair.architecture.image_channels
        batches = [as_batch(part, channels) for part in parts]
        for batch in batches:
            self._check_size(batch)
        return [image for batch in batches for image in batch]

    def _check_size(self, batch: NDArray[Any]) -> None:
        """Refuse now what could not be encoded later."""
        pair, limits = self._encoder.bundle.pair, self._encoder.limits
        height, width = batch.shape[1:3]
        if self._in_tiles(height, width):
            pair.check_picture(height, width, limits)
        else:
            self._encoder._check_size(batch)
            pair.check_chunk(1, height, width, limits)

    def _in_tiles(self, height: int, width: int) -> bool:
        """Whether images of this size are packets of tiles, one each."""
        return self._encoder.bundle.pair.takes_any_size and tile_count(height, width) > 1

    def _check_facts(
        self, count: int, names: list[str] | None, metadata: list[Mapping[str, Any] | None]
    ) -> None:
        """Refuse now what could not be written later."""
        if names is not None and len(names) != count:
            raise ImageError(f"image names: expected {count}, found {len(names)}")
        if len(metadata) != count:
            raise OptionError(f"metadata: expected a map for each of {count} images, found {len(metadata)}")
        for start in range(0, count, self._most):
            end = min(count, start + self._most)
            part = None if names is None else names[start:end]
            write_metadata(end - start, part, metadata[start:end], self._encoder.limits)

    def _group_for(self, image: NDArray[Any], named: bool) -> _Group:
        last = self._groups[-1] if self._groups else None
        if (
            last is None
            or self._is_full(last)
            or (last.names is not None) != named
            or (last.images[0].shape, last.images[0].dtype) != (image.shape, image.dtype)
        ):
            self._groups.append(_Group(names=[] if named else None))
        return self._groups[-1]

    def _is_full(self, group: _Group) -> bool:
        image = group.images[0]
        most = 1 if self._in_tiles(*image.shape[:2]) else max(1, _PACKET_VALUES // image.size)
        return len(group.images) >= min(self._most, most)

    def _write(self) -> None:
        """Encode and write all that waits."""
        packets = in_threads(self._encoded, self._groups)
        groups, self._groups, self._held = self._groups, [], 0
        for group, packet in zip(groups, packets, strict=True):
            self._writer.write_record(packet, len(group.images), group.names, group.metadata)

    def _encoded(self, group: _Group) -> bytes:
        pair = self._encoder.bundle.pair
        images = np.stack(group.images)
        if self._in_tiles(*images.shape[1:3]):
            pieces = self._encoder.encode_pictures(images, quality=self._quality, effort=self._effort)
            return b"".join(pieces)
        compact = (
            len(images) == 1
            and images.shape[1:3] == (pair.height, pair.width)
            and self._quality < COMPACT_QUALITIES
        )  # the record's check is stronger than the four bytes that this saves
        return self._encoder.encode(images, quality=self._quality, effort=self._effort, compact=compact)


def create_archive(
    path: str | os.PathLike[str],
    encoder: Encoder | str | os.PathLike[str],
    *,
    quality: SupportsIndex | None = None,
    effort: int = 0,
    images_per_packet: int = IMAGES_PER_PACKET,
) -> ImageArchiveWriter:
    """A new archive to ``add`` images to in a ``with`` block; it appears whole in the end, or not at all.

    Args:
        path: of the file; an older one is replaced.
        encoder: the pair's, or the name of a shipped pair or the path of an encoder bundle.
        quality, effort: as for ``Encoder.encode``.
        images_per_packet: at most, 1 to 1,024. Whoever reads one image decodes its whole packet.

    Raises:
        OptionError: an argument out of its range.
        FileError, BundleError, WrongSideError, LimitError: of the encoder, see ``load_encoder``.
    """
    sender = encoder if isinstance(encoder, Encoder) else load_encoder(encoder)
    writer = ArchiveWriter(path, sender.bundle.pair.digest, limits=sender.limits)
    return ImageArchiveWriter(writer, sender, quality, effort, images_per_packet)


def append_archive(
    path: str | os.PathLike[str],
    encoder: Encoder | str | os.PathLike[str],
    *,
    quality: SupportsIndex | None = None,
    effort: int = 0,
    images_per_packet: int = IMAGES_PER_PACKET,
) -> ImageArchiveWriter:
    """As ``create_archive``, but what is added goes behind the images of the archive that is at ``path``.

    If the block ends in an exception, the archive is as it was. A process that is killed leaves it without
    its index; ``recover_archive`` makes one of all packets that were fully written.

    Raises:
        ArchiveError, DamagedArchiveError, WrongPairError: the archive cannot be read, or is another pair's.
        FileError, OptionError, BundleError, WrongSideError, LimitError: as ``create_archive``.
    """
    sender = encoder if isinstance(encoder, Encoder) else load_encoder(encoder)
    writer = ArchiveWriter(path, sender.bundle.pair.digest, append=True, limits=sender.limits)
    return ImageArchiveWriter(writer, sender, quality, effort, images_per_packet)

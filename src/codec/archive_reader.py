"""An archive -> its images with their names and metadata: any one, some or all, through a decoder."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from codec.archive_metadata import ImageFacts
from codec.archive_records import Records
from codec.batching import in_threads
from codec.errors import CodecError, DamagedArchiveError, OptionError, WrongPairError
from codec.images import whole_number
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from codec.bundle import Bundle
    from codec.decoder import Decoder

__all__ = ["Archive", "ArchiveEntry", "open_archive"]

CACHE_BYTES = 1 << 26
"""Of the packets decoded last."""
_WINDOW = 1 << 12
"""Images that wait for their packets to be decoded."""
_AT_ONCE = 8
"""Packets that are decoded side by side where all are."""


class _NoSuchImageError(OptionError, IndexError):
    """A number or name that no image has; an IndexError too, which tells Python where a sequence ends."""


@dataclass(frozen=True, eq=False)
class ArchiveEntry:
    """One image of an archive.

    Attributes:
        number: in the archive, from 0.
        name: its file name, or None.
        metadata: plain values by their key.
        pixels: uint8 [H, W, C], or None where the archive was opened without a decoder.
    """

    number: int
    name: str | None
    metadata: dict[str, Any]
    pixels: NDArray[np.uint8] | None = None

    @property
    def image(self) -> NDArray[np.uint8]:
        """The pixels, uint8 [H, W, C].

        Raises:
            OptionError: the archive was opened without a decoder.
        """
        if self.pixels is None:
            raise OptionError(
                "image: expected an archive that was opened with a decoder; pass one to open_archive"
            )
        return self.pixels


@dataclass(frozen=True, eq=False)
class _Content:
    """A record's images, if there is a decoder, and what stands beside them."""

    facts: ImageFacts
    images: list[NDArray[np.uint8]] | None

    @property
    def weight(self) -> int:
        """Bytes of memory, about."""
        images = sum(image.nbytes + 128 for image in self.images or ())
        names = 128 * len(self.facts.names or ())
        return 1024 + images + names + 64 * sum(map(len, self.facts.columns.values()))


class Archive:
    """An archive's images as a sequence. Immutable, safe to share between threads, and picklable.

    In a process that it is unpickled in, or forked to, the file is opened by its path. The index is held in
    memory, 16 bytes a packet, and the images of the packets decoded last, up to ``cache_bytes``.

    Args:
        path: of the file.
        decoder: the pair's, or the name of a shipped pair or the path of a decoder bundle, which is loaded
            where the first image is asked for. None gives names, metadata and packets, and needs no network.
        limits: bounds that the file is held to; the decoder has its own.
        cache_bytes: of images kept.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        decoder: "Decoder | str | os.PathLike[str] | None" = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._records = Records(path, limits)
        self._given = decoder
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._loaded: Decoder | None = None
        self._cache: OrderedDict[int, _Content] = OrderedDict()
        self._cached = 0

    def __reduce__(self) -> Any:
        decoder: Any = self._given
        if decoder is not None and not isinstance(decoder, str):
            from codec.decoder import Decoder

            # What a decoder has made for this process, such as weights on a device, is no one else's.
            decoder = (decoder.bundle, decoder.limits) if isinstance(decoder, Decoder) else os.fspath(decoder)
        return _unpickled, (self.path, decoder, self._records.limits, self._cache_bytes)

    def __repr__(self) -> str:
        return f"Archive({self.path!r}, {len(self)} images)"

    @property
    def path(self) -> str:
        """Of the file, absolute."""
        return self._records.path

    @property
    def pair(self) -> bytes:
        """The pair digest, 32 bytes."""
        return self._records.pair

    @property
    def records(self) -> Records:
        """The packets and what stands beside them."""
        return self._records

    def __len__(self) -> int:
        return self._records.index.trailer.images

    @overload
    def __getitem__(self, key: SupportsIndex | str) -> ArchiveEntry: ...

    @overload
    def __getitem__(self, key: slice) -> list[ArchiveEntry]: ...

    def __getitem__(self, key: SupportsIndex | str | slice) -> ArchiveEntry | list[ArchiveEntry]:
        """An image by its number or name, or a list of those of a slice.

        Raises:
            IndexError: no image has that number or name (also an ``OptionError``).
            OptionError: several images have that name; ``find`` tells their numbers.
            As ``entries``.
        """
        if isinstance(key, slice):
            return list(self.entries(range(*key.indices(len(self)))))
        if isinstance(key, str):
            key = self._named(key)
        return self._entry(self.number(key))

    def __iter__(self) -> Iterator[ArchiveEntry]:
        """All images in their order, in memory that does not grow with their number."""
        return self.entries(range(len(self)))

    def __contains__(self, name: object) -> bool:
        """Whether an image has that name."""
        return isinstance(name, str) and next(self._records.find(name), None) is not None

    def find(self, name: str) -> list[int]:
        """The numbers of all images of that name, from the index of names and their own records."""
        return sorted(self._records.index.first(record) + i for record, i in self._records.find(name))

    def entries(self, numbers: Iterable[SupportsIndex]) -> Iterator[ArchiveEntry]:
        """The images of those numbers, in that order; a packet that neighbours share is decoded once.

        Raises:
            IndexError: no image has that number.
            DamagedArchiveError: damage in the records that are read; of others nothing is said.
            PacketError, LimitError: a packet that the decoder cannot read, see ``Decoder.decode``.
            WrongPairError: the decoder is another pair's.
            FileError: the file cannot be read.
        """
        window: list[tuple[int, int]] = []
        wanted: set[int] = set()
        index = self._records.index
        record, first, end = 0, 0, 0
        for given in numbers:
            number = self.number(given)
            if not first <= number < end:
                record = index.record_of(number)
                first, end = index.first(record), index.first(record + 1)
                if len(wanted) == _AT_ONCE and record not in wanted:
                    yield from self._window(window)
                    window, wanted = [], set()
                wanted.add(record)
            window.append((record, number))
            if len(window) == _WINDOW:
                yield from self._window(window)
                window, wanted = [], {record}
        yield from self._window(window)

    def packets(self) -> Iterator[bytes]:
        """Every record's packet, as it was written.

        Raises:
            DamagedArchiveError, WrongPairError, LimitError, FileError: as ``entries``.
        """
        return (self._records.packet(record) for record in range(len(self._records)))

    def _window(self, window: list[tuple[int, int]]) -> Iterator[ArchiveEntry]:
        """Entries of some records' images, the records decoded side by side."""
        records = list(dict.fromkeys(record for record, _ in window))
        contents = dict(zip(records, in_threads(self._content, records), strict=True))
        for record, number in window:
            yield self._made(contents[record], record, number)

    def _entry(self, number: int) -> ArchiveEntry:
        record = self._records.index.record_of(number)
        return self._made(self._content(record), record, number)

    def _made(self, content: _Content, record: int, number: int) -> ArchiveEntry:
        place = number - self._records.index.first(record)
        facts = content.facts
        # A copy: a view would keep all of the packet's images, and show others what is written to it.
        pixels = None if content.images is None else content.images[place].copy()
        return ArchiveEntry(number, facts.name(place), facts.metadata(place), pixels)

    def _content(self, record: int) -> _Content:
        """All of a record, decoded now or lately."""
        with self._lock:
            content = self._cache.get(record)
            if content is not None:
                self._cache.move_to_end(record)
                return content
        facts = self._records.metadata(record)
        images = None if self._given is None else self._decoded(record)
        content = _Content(facts, images)
        with self._lock:
            if record not in self._cache:
                self._cache[record] = content
                self._cached += content.weight
            while self._cached > self._cache_bytes:
                _, dropped = self._cache.popitem(last=False)
                self._cached -= dropped.weight
        return content

    def _decoded(self, record: int) -> list[NDArray[np.uint8]]:
        packet = self._records.packet(record)
        try:
            images = [picture.image for picture in self.decoder.decode_pictures(packet)]
        except CodecError as error:
            raise type(error)(f"{self.path}, record {record}: {error}") from None
        index = self._records.index
        expected = index.first(record + 1) - index.first(record)
        if len(images) != expected:
            raise DamagedArchiveError(
                f"{self.path}, record {record}: expected {expected:,} images in its packet, "
                f"found {len(images):,}"
            )
        return images

    @property
    def decoder(self) -> "Decoder":
        """The decoder, loaded if it has not been.

        Raises:
            OptionError: the archive was opened without one.
            WrongPairError: it is another pair's.
            FileError, BundleError, WrongSideError, LimitError: see ``load_decoder``.
        """
        if self._loaded is None:
            from codec.decoder import Decoder, load_decoder

            if self._given is None:
                raise OptionError(
                    "decoder: expected an archive that was opened with one; pass it to open_archive"
                )
            decoder = self._given if isinstance(self._given, Decoder) else load_decoder(self._given)
            ours = decoder.bundle.pair.digest
            if ours != self.pair:
                raise WrongPairError(
                    f"{self.path}: made by the pair {self.pair[:4].hex()}, but this decoder belongs to "
                    f"{short(decoder.bundle.name)}, {ours[:4].hex()}; "
                    "use the decoder bundle that was exported with the sender's encoder"
                )
            self._loaded = decoder
        return self._loaded

    def number(self, given: SupportsIndex) -> int:
        """The number of an image, counted from the front.

        Raises:
            IndexError: no image has it.
        """
        number = whole_number(given)
        if number is None:
            raise TypeError(f"an image's number: expected a whole number, found {given!r:.80}")
        count = len(self)
        if not -count <= number < count:
            raise _NoSuchImageError(
                f"{self.path}: expected an image's number below {count:,}, found {number:,}"
            )
        return number + count if number < 0 else number

    def _named(self, name: str) -> int:
        numbers = self.find(name)
        if not numbers:
            raise _NoSuchImageError(f"{self.path}: no image is called {short(name)}")
        if len(numbers) > 1:
            told = ", ".join(map(str, numbers[:5])) + ", ..." * (len(numbers) > 5)
            raise OptionError(
                f"{self.path}: {len(numbers):,} images are called {short(name)}, numbers {told}; "
                "ask for a number"
            )
        return numbers[0]


def _unpickled(
    path: str, decoder: "str | tuple[Bundle, Limits] | None", limits: Limits, cache_bytes: int
) -> Archive:
    if isinstance(decoder, tuple):
        from codec.decoder import Decoder

        return Archive(path, Decoder(*decoder), limits, cache_bytes=cache_bytes)
    return Archive(path, decoder, limits, cache_bytes=cache_bytes)


def open_archive(
    path: str | os.PathLike[str],
    decoder: "Decoder | str | os.PathLike[str] | None" = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    cache_bytes: int = CACHE_BYTES,
) -> Archive:
    """An archive to read; see ``Archive``.

    Raises:
        FileError: the file cannot be read.
        ArchiveError: not an archive, or an unknown version.
        DamagedArchiveError: truncated, without its index, or a check of header or index does not match.
        WrongPairError: the decoder is another pair's.
        LimitError: over the limits.
    """
    archive = Archive(path, decoder, limits, cache_bytes=cache_bytes)
    len(archive)
    if decoder is not None:
        archive.decoder  # noqa: B018
    return archive

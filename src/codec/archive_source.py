"""An archive as a random-access data source, like those of grain and tensorflow-datasets, to train from."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

from codec.archive_reader import CACHE_BYTES, Archive, ArchiveEntry, open_archive
from codec.errors import OptionError
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from codec.decoder import Decoder

__all__ = ["ArchiveSource"]


class ArchiveSource:
    """An archive's images as dictionaries: ``image``, uint8 [H, W, C], and the metadata by its keys.

    It has the methods of grain's ``RandomAccessDataSource`` and of the data sources of tensorflow-datasets,
    and needs neither. It can be pickled: a worker process opens the file and loads the decoder where it first
    needs them.

    Args:
        path: of the archive.
        decoder: the pair's, or the name of a shipped pair or the path of a decoder bundle.
        names: whether the dictionaries hold ``name`` too, None for an image without one.
        limits: as for ``open_archive``.
        cache_bytes: of images kept; the images of a packet are decoded together, whichever is asked for.

    Raises:
        As ``open_archive``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        decoder: "Decoder | str | os.PathLike[str]",
        *,
        names: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.archive: Archive = open_archive(path, decoder, limits, cache_bytes=cache_bytes)
        self._names = names

    def __len__(self) -> int:
        return len(self.archive)

    def __repr__(self) -> str:
        return f"ArchiveSource({self.archive.path!r}, {len(self)} images)"

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        """One image; of Python's or NumPy's whole numbers.

        Raises:
            IndexError: no image has that number.
            OptionError: metadata under a key that the dictionary has already.
            As ``Archive.entries``.
        """
        return self._record(next(self.archive.entries([index])))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[dict[str, Any]]:
        """Images in that order, each packet decoded once: what PyTorch asks for a batch."""
        wanted = sorted({self.archive.number(index) for index in indices})
        found = {entry.number: entry for entry in self.archive.entries(wanted)}
        return [self._record(found[self.archive.number(index)]) for index in indices]

    _getitems = __getitems__
    """The name that grain looks for."""

    def _record(self, entry: ArchiveEntry) -> dict[str, Any]:
        own = {"image": entry.image} | ({"name": entry.name} if self._names else {})
        both = own.keys() & entry.metadata.keys()
        if both:
            raise OptionError(
                f"image {entry.number}: expected metadata under other keys than {', '.join(sorted(both))}"
            )
        return own | entry.metadata

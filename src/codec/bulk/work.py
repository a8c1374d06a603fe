"""The work of a bulk job: one picklable callable that makes a shard and says what it made.

It knows no engine. It holds paths and numbers alone, and loads what it needs once in the process that calls
it. Called again for a shard that is there it looks at it and returns what it returned before. So an engine
may call it as often as it likes, in two places at once too: a shard's bytes are the same whoever makes it,
and appear under its name all together.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codec.batching import use_cores
from codec.bulk.manifest import Entry, LeftOut, attempt, file_digest, kept, record
from codec.bulk.outputs import OUTPUTS, Format, suffix
from codec.bulk.plan import Shard
from codec.bulk.sources import Source
from codec.errors import BulkError, CodecError, ImageError, LimitError, WrongPairError
from codec.imagefiles import check_shape

if TYPE_CHECKING:
    from codec.archive_reader import Archive, ArchiveEntry
    from codec.decoder import Decoder
    from codec.encoder import Encoder

__all__ = ["DecodeShard", "EncodeShard"]

_AT_ONCE = 8
"""Packets of an archive that are decoded side by side."""


@dataclass(frozen=True)
class EncodeShard:
    """Images of a source -> one archive.

    Args:
        source: where the images are.
        out: the folder for the archives.
        encoder: a shipped pair's name or an encoder bundle's path.
        pair: the pair digest it must have, in hexadecimal.
        quality, effort, images_per_packet: as for ``codec.create_archive``.
        names: whether images that have names keep them.
        columns: of the source, which become the images' metadata.
        trusted: paths of public keys, one of which must have signed the bundle; none trusts all.
        threads: most threads of the process that it is called in; None is one for each core.
    """

    source: Source
    out: str
    encoder: str
    pair: str
    quality: int
    effort: int
    images_per_packet: int
    names: bool
    columns: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    threads: int | None = None

    def __call__(self, shard: Shard) -> Entry:
        """Make the shard, or look at the one that is there.

        Raises:
            BulkError: the source is not what it was when the job was planned.
            WrongPairError: the encoder is not what it was.
            CodecError: others, of a source, an encoder or a folder that cannot be used.
        """
        entry = kept(Path(self.out), shard)
        if entry is None:
            attempt(Path(self.out), shard)
            with _threads(self.threads):
                entry = self._made(shard)
            record(Path(self.out), entry)
        return entry

    def _made(self, shard: Shard) -> Entry:
        from codec.archive_encoder import create_archive

        name = f"{shard.number:06d}.archive"
        encoder = _encoder(self.encoder, self.trusted, self.pair)
        left_out: list[LeftOut] = []
        with create_archive(
            Path(self.out, name),
            encoder,
            quality=self.quality,
            effort=self.effort,
            images_per_packet=self.images_per_packet,
        ) as archive:
            number = shard.first
            for part, start, stop in shard.parts:
                for found in self.source.read(part, start, stop, self.columns):
                    label = found.name or f"record {number}"
                    try:
                        if isinstance(found.image, CodecError):
                            raise found.image
                        check_shape(label, found.image.shape, encoder.bundle.pair)
                        name_of_image = os.path.split(found.name)[1] if found.name and self.names else None
                        archive.add(found.image, name_of_image, found.metadata or None)
                    except (ImageError, LimitError) as error:
                        left_out.append(LeftOut(number, found.name, str(error)))
                    number += 1
            images = archive.images
        if number != shard.first + shard.records:
            raise BulkError(
                f"{self.source.path}: expected {shard.records:,} images for shard {shard.number}, found "
                f"{number - shard.first:,}; the source has changed since the job began"
            )
        if images + len(left_out) != shard.records:
            raise BulkError(
                f"shard {shard.number}: expected {shard.records:,} images in it or listed as left out, found "
                f"{images:,} and {len(left_out):,}"
            )
        size, digest = file_digest(Path(self.out, name))
        return Entry(shard.number, name, shard.first, shard.records, images, size, digest, tuple(left_out))


@dataclass(frozen=True)
class DecodeShard:
    """One archive -> its images, as ``codec.bulk.outputs`` writes them.

    Args:
        archives: the folder that the archives are in.
        out: the folder for what is decoded.
        decoder: a shipped pair's name or a decoder bundle's path.
        pair: the pair digest it must have, in hexadecimal.
        form: png, npy or parquet.
        trusted, threads: as for ``EncodeShard``.
    """

    archives: str
    out: str
    decoder: str
    pair: str
    form: Format
    trusted: tuple[str, ...] = ()
    threads: int | None = None

    def __call__(self, shard: Shard) -> Entry:
        """Make the shard, or look at the one that is there.

        Raises:
            BulkError: the archive is not what it was when the job was planned, or its images cannot be
                written in this form.
            CodecError: others, of an archive, a decoder or a folder that cannot be used.
        """
        entry = kept(Path(self.out), shard)
        if entry is None:
            attempt(Path(self.out), shard)
            with _threads(self.threads):
                entry = self._made(shard)
            record(Path(self.out), entry)
        return entry

    def _made(self, shard: Shard) -> Entry:
        from codec.archive_reader import open_archive

        ((archive_name, _, count),) = shard.parts
        decoder = _decoder(self.decoder, self.trusted, self.pair)
        archive = open_archive(Path(self.archives, archive_name), decoder)
        if len(archive) != count:
            raise BulkError(
                f"{archive.path}: expected {count:,} images, found {len(archive):,}; "
                "the archive has changed since the job began"
            )
        columns = _columns(open_archive(archive.path)) if self.form == "parquet" else {}
        left_out: list[LeftOut] = []
        name = Path(archive_name).stem + suffix(self.form)
        images = OUTPUTS[self.form](Path(self.out, name), _good(archive, shard.first, left_out), columns)
        size, digest = file_digest(Path(self.out, name))
        return Entry(shard.number, name, shard.first, count, images, size, digest, tuple(left_out))


def _good(archive: "Archive", first: int, left_out: list[LeftOut]) -> "Iterator[ArchiveEntry]":
    """The images of an archive; of packets that are damaged, each one is listed instead."""
    index = archive.records.index
    for start in range(0, len(archive.records), _AT_ONCE):
        records = range(start, min(start + _AT_ONCE, len(archive.records)))
        try:
            yield from list(archive.entries(range(index.first(start), index.first(records.stop))))
        except CodecError:
            for number in records:
                images = range(index.first(number), index.first(number + 1))
                try:
                    yield from list(archive.entries(images))
                except CodecError as error:
                    left_out += [LeftOut(first + image, None, str(error)) for image in images]


def _columns(archive: "Archive") -> dict[str, list[Any]]:
    """All values of each column of an archive's metadata, in the order of their keys."""
    keys: set[str] = set()
    rows: list[dict[str, Any]] = []
    for record_number in range(len(archive.records)):
        try:
            facts = archive.records.metadata(record_number)
        except CodecError:
            continue
        images = archive.records.index.first(record_number + 1) - archive.records.index.first(record_number)
        rows += [facts.metadata(i) for i in range(images)]
        keys |= set(facts.columns)
    return {key: [row.get(key) for row in rows] for key in sorted(keys)}


@lru_cache(2)
def _encoder(path: str, trusted: tuple[str, ...], pair: str) -> "Encoder":
    """The encoder of this process."""
    from codec.encoder import load_encoder

    encoder = load_encoder(path, trusted=trusted or None)
    _check_pair(path, encoder.bundle.pair.digest, pair)
    return encoder


@lru_cache(2)
def _decoder(path: str, trusted: tuple[str, ...], pair: str) -> "Decoder":
    """The decoder of this process."""
    from codec.decoder import load_decoder

    decoder = load_decoder(path, trusted=trusted or None)
    _check_pair(path, decoder.bundle.pair.digest, pair)
    return decoder


def _check_pair(path: str, found: bytes, expected: str) -> None:
    if found.hex() != expected:
        raise WrongPairError(
            f"{path}: expected the pair {expected[:8]} that the job was begun with, found {found.hex()[:8]}; "
            "every machine needs the same bundle"
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Keep this thread's work, and XLA's pool if it is not there yet, to so many threads."""
    if count is not None:
        os.environ.setdefault("NPROC", str(count))
    with use_cores(count):
        yield

"""Bulk jobs: planned, begun, run by an engine, ended with a manifest.

An engine maps a job's ``work`` over its ``shards``, in any order and as often as it likes. Python's own
``map`` is one, in this process; ``codec.bulk.ray_engine`` has another.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codec.bulk import manifest
from codec.bulk.manifest import MANIFEST, Entry, Manifest, read_manifest
from codec.bulk.outputs import OUTPUTS
from codec.bulk.plan import Shard, cut, listing_digest
from codec.bulk.sources import open_source
from codec.bulk.work import DecodeShard, EncodeShard
from codec.errors import BulkError, FileError, OptionError, WrongPairError
from codec.loading import load_bundle, pretrained

__all__ = ["IMAGES_PER_SHARD", "Engine", "Job", "decode_job", "encode_job"]

IMAGES_PER_SHARD = 10_000
"""Unless asked otherwise."""

Work = Callable[[Shard], Entry]
Engine = Callable[[Work, Sequence[Shard]], Iterable[Entry]]
"""What maps the one over the other; the entries may come in any order."""


@dataclass(frozen=True)
class Job:
    """What is to be done: the shards, the callable that makes one, and what the manifest says of both."""

    out: Path
    settings: dict[str, Any]
    shards: tuple[Shard, ...]
    work: EncodeShard | DecodeShard

    def start(self) -> None:
        """Make the folder, or go on in it with the same job.

        Raises:
            BulkError: the folder holds another job, or files of no job.
            FileError: the folder cannot be made, read or written.
        """
        manifest.start(self.out, self.settings)

    def finish(self, entries: Iterable[Entry] | None = None) -> Manifest:
        """Write the manifest.

        Args:
            entries: what ``work`` returned for each shard; None reads what it recorded in the folder.

        Raises:
            BulkError: a shard is not done.
            FileError: the folder cannot be read or written.
        """
        done = manifest.recorded(self.out) if entries is None else entries
        return manifest.finish(self.out, self.settings, done, len(self.shards))

    def run(
        self,
        engine: Engine = map,
        *,
        threads: int | None = None,
        on_shard: Callable[[Entry], None] | None = None,
    ) -> Manifest:
        """Do all of it.

        Args:
            threads: most threads that ``work`` may use in its process; None is one for each core.
            on_shard: told of each shard that is done.

        Raises:
            CodecError: as ``start``, ``finish`` and ``work``.
        """
        self.start()
        return self.finish(
            list(self._told(engine(replace(self.work, threads=threads), self.shards), on_shard))
        )

    @staticmethod
    def _told(entries: Iterable[Entry], on_shard: Callable[[Entry], None] | None) -> Iterator[Entry]:
        for entry in entries:
            if on_shard is not None:
                on_shard(entry)
            yield entry


def encode_job(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    encoder: str | os.PathLike[str],
    *,
    quality: int | None = None,
    effort: int = 0,
    images_per_shard: int = IMAGES_PER_SHARD,
    images_per_packet: int | None = None,
    names: bool = True,
    column: str = "image",
    metadata: Sequence[str] = (),
    trusted: Sequence[str | os.PathLike[str]] = (),
) -> Job:
    """A job that encodes a source's images to archives.

    Args:
        source: a folder of image files or of Parquet files, a .parquet or .npy file, or NAME:SPLIT of a
            tensorflow-datasets dataset.
        out: the folder for the archives and the manifest.
        encoder: a shipped pair's name or an encoder bundle's path.
        quality, effort, images_per_packet: as for ``codec.create_archive``.
        images_per_shard: records of the source for each archive; the last has what is left.
        names: whether images that have names keep them.
        column: the column of images in Parquet.
        metadata: columns of the source that become metadata; of image files, ``folder`` and ``file``.
        trusted: public keys, one of which must have signed the encoder bundle; none trusts all.

    Raises:
        OptionError: an option out of its range, or a column that the source does not have.
        DatasetError, FileError, MissingExtraError: a source that cannot be used.
        BundleError, WrongSideError, SignatureError, LimitError: see ``codec.load_encoder``.
    """
    from codec.archive_encoder import IMAGES_PER_PACKET, create_archive
    from codec.encoder import Encoder

    images = open_source(os.fspath(source), column)
    keys = tuple(str(Path(key).resolve()) for key in trusted)
    sender = Encoder(load_bundle(encoder, "encoder", trusted=keys or None))
    listing = list(images.listing())
    records, digest = listing_digest(listing)
    first = next(cut(listing, 1)).parts[0]
    # Columns and options that are not there are told before anything is made; nor is anything here.
    for _ in images.read(*first, metadata):
        pass
    quality = sender.default_quality if quality is None else quality
    per_packet = IMAGES_PER_PACKET if images_per_packet is None else images_per_packet
    create_archive(out, sender, quality=quality, effort=effort, images_per_packet=per_packet)
    pair = sender.bundle.pair.digest.hex()
    work = EncodeShard(
        images,
        str(Path(out).resolve()),
        _absolute(encoder),
        pair,
        quality,
        effort,
        per_packet,
        names,
        tuple(metadata),
        keys,
    )
    settings = {
        "kind": "encode",
        "source": {
            "kind": images.kind,
            "path": images.path,
            "records": records,
            "sha256": digest,
        },
        "encoder": {"name": sender.bundle.name, "pair": pair},
        "quality": work.quality,
        "effort": effort,
        "images_per_shard": images_per_shard,
        "images_per_packet": work.images_per_packet,
        "names": names,
        "column": column if images.kind == "parquet" else None,
        "metadata": list(metadata),
    }
    return Job(Path(work.out), settings, tuple(cut(listing, images_per_shard)), work)


def decode_job(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    decoder: str | os.PathLike[str],
    *,
    form: str = "png",
    trusted: Sequence[str | os.PathLike[str]] = (),
) -> Job:
    """A job that decodes archives, each to a shard of images of the same name.

    Args:
        source: the folder of an encoding job that is done, or an archive.
        out: the folder for what is decoded and its manifest.
        decoder: a shipped pair's name or a decoder bundle's path.
        form: png, a folder of PNG files for each archive; npy; or parquet.
        trusted: public keys, one of which must have signed the decoder bundle; none trusts all.

    Raises:
        OptionError: an unknown form.
        BulkError, FileError, ArchiveError: a source that is no finished job and no archive.
        WrongPairError: another pair's decoder.
        BundleError, WrongSideError, SignatureError, LimitError: see ``codec.load_decoder``.
    """
    written = next((known for known in OUTPUTS if known == form), None)
    if written is None:
        raise OptionError(f"format: expected {', '.join(OUTPUTS)}, found {form!r}")
    keys = tuple(str(Path(key).resolve()) for key in trusted)
    bundle = load_bundle(decoder, "decoder", trusted=keys or None)
    pair = bundle.pair.digest.hex()
    folder, listing, made_by = _archives(Path(source).resolve())
    if made_by != pair:
        raise WrongPairError(
            f"{source}: made by the pair {made_by[:8]}, but this decoder belongs to {bundle.name!r}, "
            f"{pair[:8]}; use the decoder bundle that was exported with the sender's encoder"
        )
    images, digest = listing_digest(listing)
    work = DecodeShard(str(folder), str(Path(out).resolve()), _absolute(decoder), pair, written, keys)
    settings = {
        "kind": "decode",
        "source": {"kind": "archives", "path": str(folder), "records": images, "sha256": digest},
        "decoder": {"name": bundle.name, "pair": pair},
        "format": form,
    }
    shards: list[Shard] = []
    first = 0
    for number, (name, count) in enumerate(listing):
        shards.append(Shard(number, first, ((name, 0, count),)))
        first += count
    return Job(Path(work.out), settings, tuple(shards), work)


def _archives(source: Path) -> tuple[Path, list[tuple[str, int]], str]:
    """The folder of some archives, each one's name and number of images, and the pair that made them."""
    from codec.archive_reader import open_archive

    if not source.is_dir():
        archive = open_archive(source)
        return source.parent, [(source.name, len(archive))], archive.pair.hex()
    if not (source / MANIFEST).exists():
        raise FileError(
            f"{source}: expected {MANIFEST} of an encoding job that is done, found none; run it again"
        )
    done = read_manifest(source)
    pair = done.job.get("encoder", {}).get("pair") if isinstance(done.job.get("encoder"), dict) else None
    if done.job.get("kind") != "encode" or not isinstance(pair, str):
        raise BulkError(f"{source}: expected the manifest of an encoding job, found {done.job.get('kind')!r}")
    return source, [(entry.file, entry.images) for entry in done.shards], pair


def _absolute(name_or_path: str | os.PathLike[str]) -> str:
    """A path that is the same in every process; a shipped pair's name stays."""
    text = os.fspath(name_or_path)
    return text if text in pretrained() else str(Path(text).resolve())

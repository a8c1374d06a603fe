"""What a bulk job leaves beside its shards: a record for each while it runs, and in the end the manifest.

``manifest.json`` is written last and all at once: where it is, the job is done. Before, the folder
``unfinished`` holds ``job.json``, what the job was asked to do, and a record for each shard that is done. A
record says what its shard's bytes must be, so a shard without one, or of other bytes, is made again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from codec.bulk.plan import Shard
from codec.errors import BulkError, CodecError, FileError
from codec.files import read_bytes, write_bytes, write_pieces
from codec.limits import DEFAULT_LIMITS
from codec.packet import check_name

__all__ = [
    "ATTEMPTS",
    "MANIFEST",
    "Entry",
    "LeftOut",
    "Manifest",
    "attempt",
    "file_digest",
    "finish",
    "kept",
    "read_manifest",
    "record",
    "recorded",
    "start",
]

MANIFEST = "manifest.json"
_FORMAT, _VERSION = "codec bulk", 1
_UNFINISHED = "unfinished"
_JOB = "job.json"

ATTEMPTS = 5
"""How often a shard is begun in one run of a job; a worker or node that dies is not the shard's fault."""


@dataclass(frozen=True)
class LeftOut:
    """An image that could not be taken: its number in the whole source, its name if it has one, and why."""

    record: int
    name: str | None
    reason: str


@dataclass(frozen=True)
class Entry:
    """What the manifest says of one shard."""

    number: int
    file: str
    """Name of the shard's file, or folder."""
    first: int
    """Number in the whole source of the shard's first record."""
    records: int
    images: int
    """How many of the records are in the shard."""
    bytes: int
    sha256: str
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A job that is done: what it was asked to do, and what became of each shard, in order."""

    job: dict[str, Any]
    shards: tuple[Entry, ...]

    @property
    def images(self) -> int:
        """How many images are in all the shards."""
        return sum(entry.images for entry in self.shards)

    @property
    def bytes(self) -> int:
        """The size of all the shards."""
        return sum(entry.bytes for entry in self.shards)

    @property
    def left_out(self) -> list[LeftOut]:
        """The images that could not be taken."""
        return [image for entry in self.shards for image in entry.left_out]


def start(out: Path, job: Mapping[str, Any]) -> None:
    """Begin a job in a new or empty folder, or go on with the same job; remove what the dead left half done.

    Raises:
        BulkError: the folder holds another job, or files of no job.
        FileError: the folder cannot be made, read or written.
    """
    with _failing(out):
        out.mkdir(parents=True, exist_ok=True)
        unfinished = out / _UNFINISHED
        _remove_leftovers(out)
        _remove_leftovers(unfinished)
        for begun in unfinished.glob("*.begun"):
            begun.unlink()
        found = {path.name for path in out.iterdir()}
        if MANIFEST in found:
            done = read_manifest(out)
            _compare(out, done.job, job)
            unfinished.mkdir(exist_ok=True)
            for entry in done.shards:
                record(out, entry)
        elif (unfinished / _JOB).exists():
            _compare(out, _load(unfinished / _JOB), job)
        elif found - {_UNFINISHED}:
            raise BulkError(
                f"{out}: expected an empty folder or this job's, found {min(found)!r}; choose another folder"
            )
        else:
            unfinished.mkdir(exist_ok=True)
        write_bytes(unfinished / _JOB, _line(job))


def _compare(out: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse to go on with another job, and say where the two differ."""
    before, now = dict(_flat(old)), dict(_flat(json.loads(json.dumps(new))))
    for key in (*before, *now):
        if before.get(key) != now.get(key):
            changed = "; the source has changed since" * (key == "source.sha256")
            raise BulkError(
                f"{out}: holds another job, whose {key} is {before.get(key)!r} and not {now.get(key)!r}"
                f"{changed}; choose another folder"
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def record(out: Path, entry: Entry) -> None:
    """Keep what is known of a shard that is done."""
    write_bytes(_record_path(out, entry.number), _line(asdict(entry)), lasting=False)


def attempt(out: Path, shard: Shard) -> None:
    """Note that a shard is about to be made.

    Raises:
        BulkError: it has been begun so often in this run that whatever makes it seems to die of it.
    """
    path = out / _UNFINISHED / f"{shard.number:06d}.begun"
    with _failing(path):
        with path.open("ab", buffering=0) as file:
            file.write(b"x")
        begun = path.stat().st_size
    if begun > ATTEMPTS:
        raise BulkError(
            f"{out}: shard {shard.number} was begun {ATTEMPTS} times and never ended; is there memory enough "
            "for a worker? Then run the job again to go on"
        )


def kept(out: Path, shard: Shard) -> Entry | None:
    """What was recorded of a shard that is there as it was recorded, or None: then it is to be made."""
    try:
        entry = _entry(_load(_record_path(out, shard.number)))
        whole = file_digest(out / entry.file) == (entry.bytes, entry.sha256)
    except CodecError:
        return None
    same = (entry.number, entry.first, entry.records) == (shard.number, shard.first, shard.records)
    return entry if whole and same else None


def finish(out: Path, job: Mapping[str, Any], entries: Iterable[Entry], count: int) -> Manifest:
    """Write the manifest of ``count`` shards, and remove the records and what the dead left half done.

    Raises:
        BulkError: a shard has no entry.
    """
    each = {entry.number: entry for entry in entries}
    missing = sorted(set(range(count)) - set(each))
    if missing:
        raise BulkError(
            f"{out}: {len(missing):,} of {count:,} shards are not done, number {missing[0]} among them; "
            "run the job again to make them"
        )
    manifest = Manifest(json.loads(json.dumps(job)), tuple(each[number] for number in range(count)))
    write_pieces(out / MANIFEST, _pieces(manifest))
    with _failing(out):
        _remove_leftovers(out)
        shutil.rmtree(out / _UNFINISHED)
    return manifest


def _remove_leftovers(folder: Path) -> None:
    for left in folder.glob(".codec-*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def recorded(out: Path) -> Iterator[Entry]:
    """What has been recorded of the shards that are done."""
    for path in sorted((out / _UNFINISHED).glob("[0-9]*.json")):
        yield _entry(_load(path))


def _pieces(manifest: Manifest) -> Iterator[bytes]:
    head = {
        "format": _FORMAT,
        "version": _VERSION,
        "job": manifest.job,
        "images": manifest.images,
        "left_out": len(manifest.left_out),
        "bytes": manifest.bytes,
    }
    yield _line(head)[:-2] + b', "shards": [\n'
    for i, entry in enumerate(manifest.shards):
        yield (b",\n" if i else b"") + _line(asdict(entry))[:-1]
    yield b"\n]}\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a job that is done.

    Raises:
        FileError: there is none.
        BulkError: it is not one that this version can read.
    """
    path = folder / MANIFEST
    values = _load(path)
    if values.get("format") != _FORMAT or values.get("version") != _VERSION:
        raise BulkError(
            f"{path}: expected format {_FORMAT!r}, version {_VERSION}, "
            f"found {values.get('format')!r}, {values.get('version')!r}"
        )
    if not isinstance(values.get("job"), dict) or not isinstance(values.get("shards"), list):
        raise BulkError(f"{path}: expected a job and its shards; the file is damaged")
    shards = tuple(_entry(shard) for shard in values["shards"])
    if [entry.number for entry in shards] != list(range(len(shards))):
        raise BulkError(f"{path}: expected shards numbered from 0; the file is damaged")
    return Manifest(values["job"], shards)


def _entry(values: Any) -> Entry:
    """An entry from JSON, whose file is a plain name: it is never a path out of the folder."""
    try:
        entry = replace(Entry(**values), left_out=tuple(LeftOut(**image) for image in values["left_out"]))
        for name in ("number", "first", "records", "images", "bytes"):
            if type(getattr(entry, name)) is not int or getattr(entry, name) < 0:
                raise ValueError(name)
        check_name(entry.file)
    except (TypeError, KeyError, ValueError, CodecError) as error:
        raise BulkError(f"record of a shard: not as this version writes it: {error}") from None
    return entry


def _load(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(read_bytes(path, DEFAULT_LIMITS.packet_bytes, "record"))
    except (ValueError, RecursionError):
        raise BulkError(f"{path}: expected JSON; the file is damaged") from None
    if not isinstance(values, dict):
        raise BulkError(f"{path}: expected a JSON object; the file is damaged")
    return values


def _line(values: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(values)}\n".encode()


def _record_path(out: Path, number: int) -> Path:
    return out / _UNFINISHED / f"{number:06d}.json"


def file_digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file; of a folder, of its files by name, each behind its name.

    Raises:
        FileError: it cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    with _failing(path):
        listed = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in listed:
            if file is not path:
                digest.update(os.fsencode(file.name) + b"/")
            with file.open("rb") as opened:
                while piece := opened.read(1 << 20):
                    digest.update(piece)
                    size += len(piece)
    return size, digest.hexdigest()


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{error.filename or path}: {error.strerror}") from None

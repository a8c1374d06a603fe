"""The commands on archives, and what ``codec encode``, ``decode`` and ``inspect`` do where they meet one."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codec.cli_data import ConvertOption, GuardOption
from codec.cli_keys import TrustOption
from codec.errors import CodecError, OptionError
from codec.terminal import counted, say, tell

if TYPE_CHECKING:
    from codec.archive_encoder import ImageArchiveWriter
    from codec.archive_reader import Archive, ArchiveEntry
    from codec.cli_encode import Reader
    from codec.decoder import Decoder

__all__ = [
    "FolderLabelsOption",
    "LabelsOption",
    "OnlyOption",
    "PerPacketOption",
    "app",
    "decode_archive",
    "encode_archive",
    "facts_of",
    "is_archive_file",
    "is_archive_name",
]

_SUFFIX = ".archive"
METADATA_FILE = "metadata.jsonl"

app = typer.Typer(
    help="Join archives, append to one, save what is left of a damaged one, list what is in one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ArchiveArgument = Annotated[str, typer.Argument(metavar="ARCHIVE", help="An archive.")]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="Where the new archive goes.")
]
PerPacketOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Images a packet of an archive, 64 if left out; more saves bytes, fewer reads faster.",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Metadata for an archive's images: .csv whose first column is the file name, or .jsonl of "
        "objects with a name.",
    ),
]
FolderLabelsOption = Annotated[
    bool, typer.Option("--folder-labels", help="Label an archive's images with the names of their folders.")
]
OnlyOption = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="Of an archive: numbers, ranges and names, such as 17,30:40,cat.png."),
]


def is_archive_name(path: str) -> bool:
    """Whether a file of this name is to be an archive."""
    return path.lower().endswith(_SUFFIX)


def is_archive_file(path: str) -> bool:
    """Whether a file is there and begins like an archive."""
    from codec.archive import MAGIC, is_archive

    if path == "-" or not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return is_archive(file.read(len(MAGIC)))


# Encoding


def facts_of(
    paths: Sequence[Path], names: bool, labels: Path | None, folder_labels: bool
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """A name, or None, and metadata for each file."""
    from codec.packet import check_name

    rows = {} if labels is None else _read_labels(labels)
    missing = sum(path.name not in rows for path in paths) if labels else 0
    if missing:
        tell(f"{labels}: {missing:,} of {len(paths):,} images are not in it and get no metadata from it")
    for path in paths:
        if names:
            check_name(path.name)
    label = [{"label": path.absolute().parent.name} if folder_labels else {} for path in paths]
    return (
        (path.name if names else None, own | rows.get(path.name, {}))
        for path, own in zip(paths, label, strict=True)
    )


def _read_labels(file: Path) -> dict[str, dict[str, Any]]:
    """Metadata by the name of an image."""
    from codec.files import read_bytes
    from codec.limits import DEFAULT_LIMITS

    data = read_bytes(file, DEFAULT_LIMITS.image_file_bytes, "labels")
    rows: dict[str, dict[str, Any]] = {}
    try:
        text = data.decode("utf-8-sig")
        for name, values in _csv_rows(text) if file.suffix.lower() == ".csv" else _json_rows(text):
            if name in rows:
                raise ValueError(f"{name!r} is in it twice")
            rows[name] = values
    except (ValueError, csv.Error, RecursionError) as error:
        raise OptionError(
            f"{file}: expected a .csv with a line of column names, the first column being image names, or a "
            f".jsonl of objects with a name: {error}"
        ) from None
    return rows


def _csv_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    if len(header) < 2 or len(set(header)) < len(header):
        raise ValueError(f"found the columns {', '.join(header) or 'of an empty file'}")
    for row in reader:
        if row and len(row) != len(header):
            raise ValueError(f"line {reader.line_num} has {len(row)} values for {len(header)} columns")
        if row:
            values = zip(header[1:], map(_number, row[1:]), strict=True)
            yield row[0], {key: value for key, value in values if value != ""}


def _number(text: str) -> int | float | str:
    """A number where the text is one as anyone would write it."""
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]+\.[0-9]+(e[-+]?[0-9]{1,3})?", text) else text


def _json_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for i, line in enumerate(text.split("\n"), 1):
        if line.strip():
            values = json.loads(line)
            if not isinstance(values, dict) or not isinstance(values.get("name"), str):
                raise ValueError(f"line {i} is no object with a name")
            yield values.pop("name"), values


def encode_archive(
    paths: Sequence[Path],
    facts: Iterator[tuple[str | None, dict[str, Any]]],
    writer: "ImageArchiveWriter",
    reader: "Reader",
    output: str,
    *,
    named: bool,
) -> None:
    """Encode image files to an archive; those that cannot be read are listed and left out."""
    from codec.errors import ImageError, LimitError

    taken = 0

    def leave_out(path: Path, error: CodecError) -> None:
        tell(f"{error}{f'; left out: the next image is number {writer.images}' * (not named)}")

    with writer:
        listed = zip(paths, facts, strict=True)
        for path, image in reader.read(paths, leave_out, mixed=True):
            name, metadata = next(fact for at, fact in listed if at is path)
            try:
                writer.add(image, name, metadata)
            except (ImageError, LimitError) as error:
                leave_out(path, type(error)(f"{path}: {error}"))
                continue
            taken += 1
        if not taken:
            raise ImageError(f"none of {len(paths):,} images can be encoded; nothing is written")
    reader.tell_converted()
    typer.echo(f"{counted(taken)}, {Path(output).stat().st_size:,} bytes in all", err=True)
    if taken < len(paths):
        left_out = len(paths) - taken
        raise ImageError(f"{left_out:,} of {len(paths):,} images cannot be encoded; they are listed above")


# Decoding


def decode_archive(path: str, output: Path, decoder: "Decoder", only: str | None) -> None:
    """Decode images of an archive to PNG files, and write their metadata beside them."""
    from codec.archive_reader import open_archive
    from codec.files import sync_folder, write_bytes, write_pieces
    from codec.imagefiles import png_bytes

    archive = open_archive(path, decoder)
    entries = iter(archive) if only is None else archive.entries(_numbers(only, archive))
    written: set[str] = set()
    output.mkdir(parents=True, exist_ok=True)

    def lines() -> Iterator[bytes]:
        for entry in entries:
            name = _file_name(entry, written)
            write_bytes(output / name, png_bytes(entry.image), lasting=False)
            if entry.metadata:
                yield f"{json.dumps({'name': name} | entry.metadata, ensure_ascii=False)}\n".encode()

    rows = lines()
    first = next(rows, None)  # images without metadata are all written by now
    if first is not None:
        write_pieces(output / METADATA_FILE, chain([first], rows), lasting=False)
    sync_folder(output)
    typer.echo(f"{len(written):,} image{'s' * (len(written) != 1)} in {output}", err=True)


def _file_name(entry: "ArchiveEntry", written: set[str]) -> str:
    """A name that no image before has, also where file systems ignore case."""
    stem = f"{entry.number:06d}" if entry.name is None else Path(entry.name).stem
    while stem.casefold() in written:
        stem = f"{stem}-{entry.number:06d}"
    written.add(stem.casefold())
    return f"{stem}.png"


def _numbers(only: str, archive: "Archive") -> list[int]:
    """The images of a list of numbers, ranges and names."""
    count = len(archive)
    numbers: list[int] = []
    for part in only.split(","):
        found = re.fullmatch(r"([0-9]*):([0-9]*)|([0-9]+)", part)
        if found is None:
            numbers += [archive.number(archive[part].number)] if part else []
            continue
        low, high, single = found.groups()
        start = int(single or low or 0)
        end = start + 1 if single else int(high or count)
        if not start < end <= count:
            raise OptionError(f"--only: expected numbers below {count:,}, and ranges that rise, found {part}")
        numbers += range(start, end)
    return numbers


# Commands of their own


@app.command()
def concat(
    archives: Annotated[list[str], typer.Argument(metavar="ARCHIVES...", help="Archives of one pair.")],
    output: OutputOption,
) -> None:
    """Write one archive of the images of several, in their order; packets are copied as they are."""
    from codec.archive_repair import concat_archives

    images = concat_archives(archives, output)
    typer.echo(f"{images:,} images of {len(archives):,} archives in {output}", err=True)


@app.command()
def append(
    archive: ArchiveArgument,
    images: Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Image files or folders of them.")],
    encoder: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The archive's pair: a shipped one's name or a bundle.")
    ] = "mnist",
    quality: Annotated[
        int | None, typer.Option("--quality", "-q", help="As for codec encode; so are the others.")
    ] = None,
    names: Annotated[bool, typer.Option("--names/--no-names")] = True,
    effort: Annotated[int, typer.Option()] = 0,
    images_per_packet: PerPacketOption = None,
    labels: LabelsOption = None,
    folder_labels: FolderLabelsOption = False,
    convert: ConvertOption = False,
    guard: GuardOption = None,
    trust: TrustOption = None,
) -> None:
    """Encode images behind those of an archive; if that fails, the archive stays as it was."""
    from codec.archive_encoder import IMAGES_PER_PACKET, append_archive
    from codec.cli_encode import Reader
    from codec.encoder import load_encoder
    from codec.imagefiles import image_paths

    sender = load_encoder(encoder, trusted=trust or None)
    reader = Reader(sender, quality, convert=convert, guard=None if guard is None else guard.value)
    paths = image_paths(images)
    facts = facts_of(paths, names, labels, folder_labels)
    most = IMAGES_PER_PACKET if images_per_packet is None else images_per_packet
    writer = append_archive(archive, sender, quality=quality, effort=effort, images_per_packet=most)
    encode_archive(paths, facts, writer, reader, archive, named=names)


@app.command()
def recover(
    archive: ArchiveArgument,
    output: OutputOption,
    decoder: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="The pair's decoder, where the file's header is damaged too."),
    ] = None,
) -> None:
    """Write an archive of all whole records of a damaged one, or of one without index; tell what is gone."""
    from codec.archive_repair import recover_archive
    from codec.errors import DamagedArchiveError

    pair = None
    if decoder is not None:
        from codec.loading import load_bundle

        pair = load_bundle(decoder, "decoder").pair.digest
    found = recover_archive(archive, output, pair=pair)
    typer.echo(f"{found.images:,} images in {found.records:,} packets saved in {output}", err=True)
    gaps = [(first, count) for first, count in found.missing if count is not None]
    if len(gaps) < len(found.missing):
        tell(f"the end is gone: of images from number {found.missing[-1][0]:,} on nothing is known")
    if gaps:
        lost = [f"{first} to {first + count - 1}" for first, count in gaps]
        if len(lost) > 10:
            lost[9:-1] = [f"... ({len(lost) - 10:,} more gaps) ..."]
        raise DamagedArchiveError(f"archive: damaged; the images from number {', '.join(lost)} are missing")


@app.command("list")
def list_images(archive: ArchiveArgument) -> None:
    """Print the number, name and metadata of each image, a JSON object a line."""
    from codec.archive_reader import open_archive
    from codec.inspection import json_values

    for entry in open_archive(archive):
        own = {"number": entry.number} | ({} if entry.name is None else {"name": entry.name})
        say(json.dumps(json_values(own | entry.metadata), allow_nan=False))

"""The commands for bulk jobs: ``codec bulk encode`` and ``codec bulk decode``."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from codec.cli_keys import TrustOption
from codec.errors import BulkError, OptionError
from codec.terminal import tell

if TYPE_CHECKING:
    from codec.bulk.jobs import Engine, Job
    from codec.bulk.manifest import Entry, Manifest

__all__ = ["app"]

app = typer.Typer(
    help="Any number of images to sharded archives with a manifest, and back, on one machine or many.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_TOLD = 20
"""Images left out that are listed; the manifest has all of them."""
_LINE_SECONDS = 10
"""Between lines of progress where there is no terminal."""

OutArgument = Annotated[
    Path, typer.Argument(metavar="DST", help="Folder for the shards and manifest.json; made if missing.")
]
EngineOption = Annotated[
    str, typer.Option(help="ray, over the workers of a Ray cluster or of this machine; or serial.")
]
WorkersOption = Annotated[int | None, typer.Option(help="Of Ray; as many as there is room for if left out.")]
CpusOption = Annotated[float, typer.Option("--cpus-per-worker", help="That Ray sets aside for each.")]
GpusOption = Annotated[float, typer.Option("--gpus-per-worker", help="That Ray sets aside for each.")]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of a Ray cluster; auto for the one of this machine."),
]


@app.command()
def encode(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A folder of image or Parquet files, a .parquet, a .npy, or a dataset's NAME:SPLIT.",
        ),
    ],
    out: OutArgument,
    encoder: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped pair's name or an encoder bundle.")
    ],
    quality: Annotated[
        int | None,
        typer.Option("--quality", "-q", help="0 is the coarsest; the pair's default if left out."),
    ] = None,
    effort: Annotated[int, typer.Option(help="0, the fastest, to 3; more takes longer and saves bytes.")] = 0,
    images_per_shard: Annotated[int, typer.Option(help="The last shard has the rest.")] = 10_000,
    images_per_packet: Annotated[
        int | None,
        typer.Option(help="Fewer are faster to read one by one, more take fewer bytes; 64 if left out."),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Whether images that have file names keep them.")
    ] = True,
    column: Annotated[str, typer.Option(help="Of the images in Parquet.")] = "image",
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="To keep as metadata, such as label; of image files, folder. Give several."
        ),
    ] = None,
    engine: EngineOption = "ray",
    workers: WorkersOption = None,
    cpus: CpusOption = 1,
    gpus: GpusOption = 0,
    address: AddressOption = None,
    trust: TrustOption = None,
) -> None:
    """Encode images to archives; the same command goes on with a job that was interrupted."""
    run = _engine(engine, workers, cpus, gpus, address)
    from codec.bulk.jobs import encode_job

    job = encode_job(
        source,
        out,
        encoder,
        quality=quality,
        effort=effort,
        images_per_shard=images_per_shard,
        images_per_packet=images_per_packet,
        names=names,
        column=column,
        metadata=metadata or (),
        trusted=trust or (),
    )
    _report(job, _run(job, run, _threads(engine, cpus)))


@app.command()
def decode(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="The folder of a finished encoding job, or an archive."),
    ],
    out: OutArgument,
    decoder: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped pair's name or a decoder bundle.")
    ],
    form: Annotated[
        str, typer.Option("--format", help="Of each shard: png, a folder of files; npy; or parquet.")
    ] = "png",
    engine: EngineOption = "ray",
    workers: WorkersOption = None,
    cpus: CpusOption = 1,
    gpus: GpusOption = 0,
    address: AddressOption = None,
    trust: TrustOption = None,
) -> None:
    """Decode archives to images; the same command goes on with a job that was interrupted."""
    run = _engine(engine, workers, cpus, gpus, address)
    from codec.bulk.jobs import decode_job

    job = decode_job(source, out, decoder, form=form, trusted=trust or ())
    _report(job, _run(job, run, _threads(engine, cpus)))


def _engine(name: str, workers: int | None, cpus: float, gpus: float, address: str | None) -> "Engine":
    """What runs the job; told before any work if Ray is missing."""
    if name == "serial":
        return map
    if name != "ray":
        raise OptionError(f"--engine: expected ray or serial, found {name!r}")
    from codec.bulk.ray_engine import imported, run

    imported()
    return partial(run, workers=workers, cpus=cpus, gpus=gpus, address=address)


def _threads(engine: str, cpus: float) -> int | None:
    """Threads of a worker: this process has all cores, one of Ray's what was set aside for it."""
    return None if engine == "serial" else max(1, int(cpus))


def _run(job: "Job", engine: "Engine", threads: int | None) -> "Manifest":
    with _quiet_libraries() as console, _progress(job, console) as on_shard:
        return job.run(engine, threads=threads, on_shard=on_shard)


def _report(job: "Job", done: "Manifest") -> None:
    """Tell what was made, and end with status 1 where images were left out."""
    shards = f"{len(job.shards):,} shard{'s' * (len(job.shards) != 1)}"
    each = done.bytes / max(1, done.images)
    typer.echo(
        f"{done.images:,} images in {shards} in {job.out}, {done.bytes:,} bytes, {each:.1f} an image",
        err=True,
    )
    left_out = done.left_out
    if not left_out:
        return
    for image in left_out[:_TOLD]:
        tell(f"number {image.record}: {image.reason}; left out")
    more = f"; {_TOLD} are listed above" if len(left_out) > _TOLD else "; they are listed above"
    total = sum(shard.records for shard in job.shards)
    raise BulkError(
        f"{len(left_out):,} of {total:,} images could not be taken{more}, and all in "
        f"{job.out / 'manifest.json'}"
    )


@contextmanager
def _progress(job: "Job", stream: TextIO) -> "Iterator[Any]":
    """What to call with each shard that is done: a bar on a terminal, a line now and then elsewhere."""
    images = sum(shard.records for shard in job.shards)
    if stream.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=stream)) as bar:
            task = bar.add_task("images", total=images)
            yield lambda entry: bar.advance(task, entry.records)
        return
    start = told = time.monotonic()
    shards = seen = 0

    def line(entry: "Entry") -> None:
        nonlocal shards, seen, told
        shards, seen, now = shards + 1, seen + entry.records, time.monotonic()
        if now - told >= _LINE_SECONDS or shards == len(job.shards):
            told = now
            speed = seen / max(now - start, 1e-9)
            print(
                f"codec: {shards:,} of {len(job.shards):,} shards, {seen:,} of {images:,} images, "
                f"{speed:,.0f} a second, {(images - seen) / speed:,.0f} s left",
                file=stream,
                flush=True,
            )

    yield line


@contextmanager
def _quiet_libraries() -> Iterator[TextIO]:
    """Standard error for this module alone: Ray's own processes and C++ libraries print there too."""
    sys.stderr.flush()
    descriptor = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        with open(descriptor, "w", closefd=False, errors="backslashreplace") as stream:
            yield stream
    finally:
        os.dup2(descriptor, 2)
        os.close(descriptor)

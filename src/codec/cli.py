"""The command line: one thin function a command. Heavy imports stay inside the functions.

How a command ends, whatever happens, is ``codec.terminal``'s.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codec.cli_archive import (
    FolderLabelsOption,
    LabelsOption,
    OnlyOption,
    PerPacketOption,
    decode_archive,
    encode_archive,
    facts_of,
    is_archive_file,
    is_archive_name,
)
from codec.cli_archive import app as archive_app
from codec.cli_bulk import app as bulk_app
from codec.cli_data import (
    ColumnOption,
    ConvertOption,
    CropOption,
    CropsOption,
    GuardOption,
    ImagesOption,
    tile_size,
)
from codec.cli_keys import (
    SealOption,
    TrustOption,
    UnsealOption,
    keygen,
    opened,
    sealing_key,
    sign,
    verify,
)
from codec.cli_train import train
from codec.errors import CodecError, OptionError
from codec.terminal import Commands, counted, run, say, tell

if TYPE_CHECKING:
    from codec.encoder import Encoder

__all__ = ["app", "main"]

app = typer.Typer(
    name="codec",
    cls=Commands,
    help="Learned image compression with split weights: encode with one bundle, decode with the other.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEFAULT_PAIR = "mnist"
_GAPS_TOLD = 10
"""Gaps of a damaged packet that are listed; a stranger's packet may have any number."""


EffortOption = Annotated[
    int, typer.Option(help="Of the encoder: 0, the fastest, to 3; more takes longer and saves bytes.")
]
EncoderOption = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="A shipped pair's name or an encoder bundle.")
]
DecoderOption = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="A shipped pair's name or a decoder bundle.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def _version(wanted: bool) -> None:
    if wanted:
        import codec

        typer.echo(f"split-codec {codec.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def encode(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES...", help="Image files or folders of them; - reads one."),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Where the packet goes; - is standard output."),
    ],
    encoder: EncoderOption = DEFAULT_PAIR,
    quality: Annotated[
        int | None,
        typer.Option("--quality", "-q", help="0 is the coarsest; the pair's default if left out."),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Whether file names travel with the images.")
    ] = True,
    effort: EffortOption = 0,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="Six bytes of framing for one image; no name travels with it."),
    ] = False,
    archive: Annotated[
        bool, typer.Option("--archive", help="Write an archive; also where FILE ends in .archive.")
    ] = False,
    images_per_packet: PerPacketOption = None,
    labels: LabelsOption = None,
    folder_labels: FolderLabelsOption = False,
    convert: ConvertOption = False,
    guard: GuardOption = None,
    seal: SealOption = None,
    trust: TrustOption = None,
) -> None:
    """Encode images to a packet or an archive of packets, of any sizes if the pair takes any.

    Those that cannot be read are listed and left out.
    """
    from codec.archive_encoder import IMAGES_PER_PACKET, create_archive
    from codec.cli_encode import Reader, encode_packet
    from codec.encoder import load_encoder
    from codec.imagefiles import image_paths

    key = sealing_key(seal)
    to_archive = archive or is_archive_name(output)
    if to_archive and (output == "-" or images == ["-"] or compact or seal is not None):
        raise OptionError(
            "archive: expected image files and an output file, and neither --compact nor --seal, which "
            "are a packet's; for a packet, choose an output that does not end in .archive"
        )
    if not to_archive and (images_per_packet is not None or labels is not None or folder_labels):
        raise OptionError(
            "--images-per-packet, --labels, --folder-labels: expected with an archive; add --archive, or "
            "choose an output that ends in .archive"
        )
    sender = load_encoder(encoder, trusted=trust or None)
    reader = Reader(sender, quality, convert=convert, guard=None if guard is None else guard.value)
    paths = [Path("-")] if images == ["-"] else image_paths(images)
    if to_archive:
        facts = facts_of(paths, names, labels, folder_labels)
        most = IMAGES_PER_PACKET if images_per_packet is None else images_per_packet
        writer = create_archive(output, sender, quality=quality, effort=effort, images_per_packet=most)
        encode_archive(paths, facts, writer, reader, output, named=names)
    else:
        encode_packet(
            reader, paths, output, quality=quality, named=names, effort=effort, compact=compact, key=key
        )


@app.command()
def decode(
    packet: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A packet or an archive; - reads a packet from standard input."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the PNG files; made if missing."),
    ],
    decoder: DecoderOption = DEFAULT_PAIR,
    salvage: Annotated[
        bool,
        typer.Option(
            "--salvage", help="Pass over damage in a long packet, write the rest, tell what is gone."
        ),
    ] = False,
    only: OnlyOption = None,
    key: UnsealOption = None,
    trust: TrustOption = None,
) -> None:
    """Decode a packet or an archive to PNG files, named as the images were or by their number."""
    from codec.decoder import load_decoder
    from codec.errors import DamagedPacketError, FileError, PacketError
    from codec.files import sync_folder, write_bytes
    from codec.imagefiles import png_bytes
    from codec.salvage import Gap, joined

    secret = sealing_key(key)
    if is_archive_file(packet):
        if salvage or secret is not None:
            raise OptionError(
                "archive: expected neither --salvage nor --key; codec archive recover saves what is left"
            )
        decode_archive(packet, output, load_decoder(decoder, trusted=trust or None), only)
        return
    if only is not None:
        raise OptionError("--only: expected an archive, found another file; a packet is decoded whole")
    receiver = load_decoder(decoder, trusted=trust or None)
    written: set[str] = set()
    gaps: list[Gap] = []
    try:
        with opened(packet, secret) as file:
            on_missing = (lambda *gap: gaps.append(gap)) if salvage else None
            for picture in receiver.decode_pictures(file, on_missing):
                output.mkdir(parents=True, exist_ok=True)
                name = Path(picture.name).stem if picture.name else f"{picture.number:06d}"
                if name.casefold() in written:  # one file where file systems ignore case
                    raise PacketError(f"packet: two images are called {name}")
                write_bytes(output / f"{name}.png", png_bytes(picture.image), lasting=False)
                written.add(name.casefold())
            if written:
                sync_folder(output)
    except OSError as error:
        raise FileError(f"{error.filename or packet}: {error.strerror}") from None
    except CodecError as error:
        if written:
            raise type(error)(f"{error}; {counted(len(written))} written to {output}") from None
        raise
    typer.echo(f"{counted(len(written))} in {output}", err=True)
    if gaps:
        missing = joined(gaps)
        lost = [f"{first} on" if n is None else f"{first} to {first + n - 1}" for first, n in missing]
        if len(lost) > _GAPS_TOLD:
            lost[_GAPS_TOLD - 1 : -1] = [f"... ({len(lost) - _GAPS_TOLD:,} more gaps) ..."]
        raise DamagedPacketError(f"packet: damaged; the images from number {', '.join(lost)} are missing")


@app.command()
def inspect(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A packet, a bundle or an archive; - reads one of the first two."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a packet, a bundle or an archive and tell what it holds; of a sealed packet, its key's id."""
    from codec.files import read_bytes
    from codec.inspection import inspect as inspect_bytes
    from codec.limits import DEFAULT_LIMITS

    if is_archive_file(file):
        from codec.archive_inspection import inspect_archive

        checked = inspect_archive(file)
        say(checked.to_json() if as_json else checked.to_text())
        return
    report = inspect_bytes(read_bytes(file, DEFAULT_LIMITS.packet_bytes, "packet or bundle"))
    say(report.to_json() if as_json else report.to_text())


@app.command()
def evaluate(
    encoder: EncoderOption = DEFAULT_PAIR,
    decoder: DecoderOption = DEFAULT_PAIR,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A tensorflow-datasets dataset, such as mnist."),
    ] = None,
    split: Annotated[str, typer.Option(help="The dataset's split.")] = "test",
    images: ImagesOption = None,
    convert: ConvertOption = False,
    crop: CropOption = None,
    crops: CropsOption = None,
    column: ColumnOption = None,
    quality: Annotated[str, typer.Option("--quality", "-q", help="A number, or all.")] = "all",
    effort: EffortOption = 0,
    trust: TrustOption = None,
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Encode the images with noise of this standard deviation, on the scale of 0 to 1, and count "
            "errors from the images as they are.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the noise; 0 if left out.")] = None,
    formats: Annotated[
        bool | None,
        typer.Option(
            "--formats/--no-formats",
            help="Whether image formats are measured beside it; if left out they are, but for --noise.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images that formats are measured on; 200, or fewer large ones, if left out."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A chart of the formats' bytes and PSNR, as PNG.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure rate, distortion and speed for each quality, beside image formats; warn of unlike images.

    A shipped pair is measured on the test images of its own dataset if none are named.
    """
    from codec.cli_evaluate import Noise, report
    from codec.decoder import load_decoder
    from codec.encoder import load_encoder
    from codec.loading import pretrained

    if noise is not None and (formats or plot is not None or sample is not None):
        raise OptionError(
            "--noise: image formats keep noise, and do not go beside it; leave out --formats, --sample and "
            "--plot"
        )
    if noise is None and seed is not None:
        raise OptionError("--seed: of the noise; add --noise, or leave it out")
    if plot is not None and formats is False:
        raise OptionError("--plot: a chart of formats; leave out --no-formats")
    added = None if noise is None else Noise(noise, seed or 0)
    trusted = trust or None
    sender, receiver = load_encoder(encoder, trusted=trusted), load_decoder(decoder, trusted=trusted)
    chosen = _qualities(quality, sender)
    tile, channels = tile_size(crop, crops), sender.bundle.pair.architecture.image_channels
    options = {"convert": convert, "channels": channels, "crop": tile, "crops": crops, "column": column}
    if dataset is None and images is None and encoder in pretrained():
        dataset = str(sender.bundle.provenance["dataset"])
        tell(f"measuring on {dataset}, {split}")
    pixels = _evaluation_images(dataset, split, images, options)
    report(
        sender,
        receiver,
        pixels,
        chosen,
        effort=effort,
        noise=added,
        formats=noise is None if formats is None else formats,
        count=sample,
        plot=plot,
        as_json=as_json,
    )


def _qualities(text: str, encoder: "Encoder") -> list[int]:
    if text == "all":
        return list(range(encoder.qualities))
    if not text.isdecimal() or int(text) >= encoder.qualities:
        raise OptionError(f"--quality: expected all or 0 to {encoder.qualities - 1}, found {text!r}")
    return [int(text)]


def _evaluation_images(dataset: str | None, split: str, images: str | None, options: dict[str, Any]) -> Any:
    from rich.console import Console

    from codec.training.data import Reading, load_dataset, load_images

    if (not dataset) == (not images):
        raise OptionError("expected one of --dataset and --images")
    reading = Reading(tell=tell, console=Console(stderr=True, highlight=False), **options)
    return load_dataset(dataset, split, reading) if dataset else load_images(str(images), reading)


@app.command()
def show(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...",
            help="A packet or an archive; image files, folders of them or a .npy; or a pair: a shipped one's "
            "name, or PATH of PATH.encoder.msgpack. - is a packet on standard input.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .png or .svg file; left out, the terminal is drawn in."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            "-k",
            metavar="KIND",
            help="rows or codes; of images and pairs also noise, difference, ladder, rate or distribution. "
            "If left out rows, of a pair ladder.",
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help=f"Of images; {DEFAULT_PAIR} if left out.")
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help=f"Of images, packets and archives; {DEFAULT_PAIR} if left out."
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Of a pair: the images to show it with, if not the package's digits."
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option("--quality", "-q", help="0 is the coarsest; the pair's default if left out."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images at most; if left out 10, 3 of codes and rate, or what the terminal has room for.",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the noise of --kind noise, on the scale of 0 to 1; 0.5 if left out."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the noise; 0 if left out.")] = None,
    convert: ConvertOption = False,
    key: UnsealOption = None,
    trust: TrustOption = None,
) -> None:
    """Draw a packet, an archive, images or a pair: reconstructions, noise, qualities, codes or their cost."""
    from codec.cli_show import Request, show_pictures

    request = Request(
        what=what,
        output=output,
        kind=kind,
        encoder=encoder,
        decoder=decoder,
        images=images or [],
        quality=quality,
        count=count,
        noise=noise,
        seed=seed,
        convert=convert,
        key=sealing_key(key),
        trust=trust,
    )
    show_pictures(request)


for command in (train, keygen, sign, verify):
    app.command()(command)
app.add_typer(archive_app, name="archive")
app.add_typer(bulk_app, name="bulk")


def main() -> None:
    """Run the command line; every failure but wrong usage is one line on standard error, whatever it is."""
    run(app)

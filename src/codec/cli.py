"""The command line: one thin function a command. Heavy imports stay inside the functions.

How a command ends, whatever happens, is ``codec.terminal``'s.
"""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codec.cli_keys import (
    SealOption,
    TrustOption,
    UnsealOption,
    keygen,
    opened,
    sealed,
    sealing_key,
    sign,
    verify,
)
from codec.errors import CodecError, OptionError
from codec.terminal import Commands, run, say, tell

if TYPE_CHECKING:
    from codec.encoder import Encoder
    from codec.imagefiles import OnBad

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
    seal: SealOption = None,
    trust: TrustOption = None,
) -> None:
    """Encode images of one size to a packet; those that cannot be read are listed and left out."""
    from codec.encoder import load_encoder
    from codec.errors import ImageError
    from codec.files import write_pieces
    from codec.imagefiles import image_paths, read_images

    key = sealing_key(seal)
    sender = load_encoder(encoder, trusted=trust or None)
    # The bytes of standard input are no file that could name itself.
    paths = [Path("-")] if images == ["-"] else image_paths(images)
    named = names and not compact and images != ["-"]
    if named:
        _check_names(paths)
    taken: list[Path] = []
    carried = (path.name for path in taken) if named else None  # read along with the images

    def leave_out(path: Path, error: CodecError) -> None:
        tell(f"{error}{f'; left out: the next image is number {len(taken)}' * (not named)}")

    def pixels(on_bad: "OnBad | None" = None) -> Iterator[Any]:
        for path, image in read_images(paths, sender.bundle.pair, on_bad):
            taken.append(path)
            yield image

    if compact or len(paths) == 1:
        if len(paths) != 1:
            raise OptionError(f"--compact: expected one image, found {len(paths)}")
        (image,) = pixels()
        packet = sender.encode(image, quality=quality, names=carried, compact=compact, effort=effort)
        length = write_pieces(output, sealed([packet], key))
    else:
        good = pixels(leave_out)
        first = next(good, None)
        if first is None:
            raise ImageError(f"none of {len(paths):,} images can be encoded; nothing is written")
        pieces = sender.encode_stream(chain([first], good), quality=quality, names=carried, effort=effort)
        length = write_pieces(output, sealed(pieces, key))
    each = length / len(taken)
    typer.echo(f"{_counted(len(taken))}, {length:,} bytes, {each:.1f} an image", err=True)
    if len(taken) < len(paths):
        left_out = len(paths) - len(taken)
        raise ImageError(f"{left_out:,} of {len(paths):,} images cannot be encoded; they are listed above")


def _counted(images: int) -> str:
    return f"{images:,} image{'s' * (images != 1)}"


def _check_names(paths: list[Path]) -> None:
    """Refuse names that cannot travel, and two of one stem, in any case: one file at the receiver's."""
    from codec.packet import check_name

    stems: dict[str, Path] = {}
    for path in paths:
        check_name(path.name)
        other = stems.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise OptionError(
                f"expected image names that differ, found {other} and {path}; rename one or add --no-names"
            )


@app.command()
def decode(
    packet: Annotated[str, typer.Argument(metavar="FILE", help="A packet; - reads standard input.")],
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
    key: UnsealOption = None,
    trust: TrustOption = None,
) -> None:
    """Decode a packet to PNG files, named as the images were or by their number."""
    from codec.decoder import load_decoder
    from codec.errors import DamagedPacketError, FileError, PacketError
    from codec.files import sync_folder, write_bytes
    from codec.imagefiles import png_bytes
    from codec.salvage import Gap, joined

    secret = sealing_key(key)
    receiver = load_decoder(decoder, trusted=trust or None)
    written: set[str] = set()
    gaps: list[Gap] = []
    try:
        with opened(packet, secret) as file:
            on_missing = (lambda *gap: gaps.append(gap)) if salvage else None
            for part in receiver.decode_stream(file, on_missing):
                output.mkdir(parents=True, exist_ok=True)
                for i, image in enumerate(part.images):
                    name = Path(part.names[i]).stem if part.names else f"{part.first + i:06d}"
                    if name.casefold() in written:  # one file where file systems ignore case
                        raise PacketError(f"packet: two images are called {name}")
                    write_bytes(output / f"{name}.png", png_bytes(image), lasting=False)
                    written.add(name.casefold())
            if written:
                sync_folder(output)
    except OSError as error:
        raise FileError(f"{error.filename or packet}: {error.strerror}") from None
    except CodecError as error:
        if written:
            raise type(error)(f"{error}; {_counted(len(written))} written to {output}") from None
        raise
    typer.echo(f"{_counted(len(written))} in {output}", err=True)
    if gaps:
        missing = joined(gaps)
        lost = [f"{first} on" if n is None else f"{first} to {first + n - 1}" for first, n in missing]
        if len(lost) > _GAPS_TOLD:
            lost[_GAPS_TOLD - 1 : -1] = [f"... ({len(lost) - _GAPS_TOLD:,} more gaps) ..."]
        raise DamagedPacketError(f"packet: damaged; the images from number {', '.join(lost)} are missing")


@app.command()
def inspect(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A packet or a bundle; - reads standard input.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a packet or a bundle and tell what it holds; of a sealed packet, which key it needs."""
    from codec.files import read_bytes
    from codec.inspection import inspect as inspect_bytes
    from codec.limits import DEFAULT_LIMITS

    report = inspect_bytes(read_bytes(file, DEFAULT_LIMITS.packet_bytes, "packet or bundle"))
    say(report.to_json() if as_json else report.to_text())


@app.command()
def train(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pair, metrics and checkpoints.")],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A tensorflow-datasets dataset, such as mnist."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Your own: a folder of image files, a .npy or a .npz."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the pair; the data's name if left out.")
    ] = None,
    objective: Annotated[
        str, typer.Option(help="rate-distortion, or distortion: the article's, which does not look at rate.")
    ] = "rate-distortion",
    model: Annotated[
        str | None,
        typer.Option(
            help="dense (many small images of one size), residual (images of any size) or article; chosen by "
            "the data if left out."
        ),
    ] = None,
    lambdas: Annotated[
        str | None,
        typer.Option(
            "--lambda",
            metavar="LOW:HIGH | L,L,...",
            help="Bits that a mean squared error of 1 is worth: a range, or one number for each quality.",
        ),
    ] = None,
    qualities: Annotated[
        int | None, typer.Option(help="How many, over the range of lambda; 10 if left out.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the training images; as many as make 25,740 steps if left out "
            "(15,000 with the residual model), but at most 200; "
            "50 for distortion alone."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images in one step; 128 if left out, fewer large ones with the residual model."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Adam's; 0.002 if left out, 0.001 for distortion alone.")
    ] = None,
    loss: Annotated[
        str, typer.Option(help="bce (binary cross-entropy), mse or l1; for distortion alone.")
    ] = "bce",
    noise: Annotated[
        float, typer.Option(help="Standard deviation of noise on the input; the article's is 0.4.")
    ] = 0.0,
    augment: Annotated[
        float | None,
        typer.Option(help="Share of images warped in each epoch; 0.3 for dense if left out, else 0."),
    ] = None,
    code_channels: Annotated[
        int | None,
        typer.Option(help="Channels of the codes; if left out 32, or 16 (residual, grey images)."),
    ] = None,
    layers: Annotated[int, typer.Option(help="Halvings of height and width.")] = 2,
    filters: Annotated[
        int | None,
        typer.Option(help="Channels of hidden layers; if left out 32 (article) or 128 (residual)."),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the weights, the order of the images, their warps and the noise.")
    ] = 0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="PAIR",
            help="Go on from a trained pair: a shipped one's name, or PATH of PATH.encoder.msgpack.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
) -> None:
    """Train a pair on a dataset or on your own images, and export its two bundles."""
    from codec.errors import MissingExtraError

    try:
        from rich.console import Console

        from codec.training.data import load_training
        from codec.training.loop import InterruptedRunError
        from codec.training.run import run
        from codec.training.settings import model_for, settings_for
    except ImportError as error:
        raise MissingExtraError(
            f"codec train: an optional part is not installed ({error}); run: pip install 'split-codec[train]'"
        ) from None

    data = load_training(dataset, images, seed)
    settings = settings_for(
        data.training,
        data.name,
        name=name,
        objective=objective,
        model=model,
        lambdas=_lambdas(lambdas, qualities),
        qualities=qualities,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        loss=loss,
        noise=noise,
        augment=augment,
        code_channels=code_channels,
        layers=layers,
        filters=filters,
        seed=seed,
        start=start,
    )
    console = Console(stderr=True, highlight=False)
    why = None
    if model is None:
        why = "model {}: {}".format(*model_for(data.training, settings.objective, layers))
    try:
        run(settings, data, out, resume=resume, console=console, why=why)
    except InterruptedRunError as stop:
        typer.echo(f"codec: {stop}", err=True)
        raise typer.Exit(130) from None


def _lambdas(text: str | None, qualities: int | None) -> tuple[float, ...] | None:
    """The numbers of ``--lambda``."""
    from codec.training.settings import QUALITIES, spread

    if text is None:
        return None
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        low, high = (float(part) for part in text.split(":"))
        return spread(low, high, QUALITIES if qualities is None else qualities)
    except ValueError:
        raise OptionError(f"--lambda: expected LOW:HIGH or numbers with commas, found {text!r}") from None


@app.command()
def evaluate(
    encoder: EncoderOption = DEFAULT_PAIR,
    decoder: DecoderOption = DEFAULT_PAIR,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A tensorflow-datasets dataset, such as mnist."),
    ] = None,
    split: Annotated[str, typer.Option(help="The dataset's split.")] = "test",
    images: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Your own: a folder of image files, a .npy or a .npz."),
    ] = None,
    quality: Annotated[str, typer.Option("--quality", "-q", help="A number, or all.")] = "all",
    effort: EffortOption = 0,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure rate (bytes of a real packet), distortion (after decoding it) and speed, for each quality."""
    from dataclasses import asdict

    from codec.decoder import load_decoder
    from codec.encoder import load_encoder
    from codec.evaluation import evaluate as measure
    from codec.inspection import json_values

    trusted = trust or None
    sender, receiver = load_encoder(encoder, trusted=trusted), load_decoder(decoder, trusted=trusted)
    qualities = _qualities(quality, sender)
    pixels = _evaluation_images(dataset, split, images)
    rows = measure(sender, receiver, pixels, qualities, effort)
    if not as_json:
        say("quality  bytes/image  bits/pixel  PSNR dB     MAE  encode/s  decode/s")
    for m in rows:
        if as_json:
            say(json.dumps(json_values(asdict(m)), allow_nan=False))
        else:
            say(
                f"{m.quality:7}  {m.bytes_per_image:11.2f}  {m.bits_per_pixel:10.4f}  {m.psnr:7.2f}  "
                f"{m.mae:6.4f}  {m.encode_images_per_s:8,.0f}  {m.decode_images_per_s:8,.0f}"
            )


def _qualities(text: str, encoder: "Encoder") -> list[int]:
    if text == "all":
        return list(range(encoder.qualities))
    if not text.isdecimal() or int(text) >= encoder.qualities:
        raise OptionError(f"--quality: expected all or 0 to {encoder.qualities - 1}, found {text!r}")
    return [int(text)]


def _evaluation_images(dataset: str | None, split: str, images: Path | None) -> Any:
    from codec.training.data import load_dataset, load_images

    if (dataset is None) == (images is None):
        raise OptionError("expected one of --dataset and --images")
    return load_dataset(dataset, split) if dataset else load_images(str(images))


for command in (keygen, sign, verify):
    app.command()(command)


def main() -> None:
    """Run the command line; every failure but wrong usage is one line on standard error, whatever it is."""
    run(app)

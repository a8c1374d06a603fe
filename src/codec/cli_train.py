"""``codec train``: its options, and from them data, settings and a run. Heavy imports stay inside."""

from pathlib import Path
from typing import Annotated

import typer

from codec.cli_data import ColumnOption, ConvertOption, CropOption, CropsOption, ImagesOption, tile_size
from codec.cli_hosts import CoordinatorOption, DevicesOption, ProcessesOption, ProcessOption, shared
from codec.errors import OptionError
from codec.terminal import tell

__all__ = ["train"]


@shared
def train(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pair, metrics and checkpoints.")],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A tensorflow-datasets dataset, such as mnist."),
    ] = None,
    images: ImagesOption = None,
    convert: ConvertOption = False,
    crop: CropOption = None,
    crops: CropsOption = None,
    column: ColumnOption = None,
    split: Annotated[str, typer.Option(help="The dataset's split.")] = "train",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the pair; the data's name if left out.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="rate-distortion, or distortion: the article's, which does not look at rate, and what the "
            "denoise model is trained for if left out."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="dense (many small images of one size), residual (images of any size), article or denoise "
            "(the tutorial's, which cleans noisy images); chosen by the data if left out."
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
            "for distortion alone 50, or 10 with the denoise model."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images in one step; 128 if left out, fewer large ones with the residual model."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Adam's 0.002 if left out, 0.001 for distortion alone; Adadelta's 1."),
    ] = None,
    optimiser: Annotated[
        str | None,
        typer.Option(help="adam or, for distortion alone, adadelta: the denoise model's if left out."),
    ] = None,
    loss: Annotated[
        str, typer.Option(help="bce (binary cross-entropy), mse or l1; for distortion alone.")
    ] = "bce",
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="D | LOW:HIGH",
            help="Standard deviation of noise on the input, or a range that each image's is drawn from; the "
            "images stay the target. 0.5 with the denoise model if left out, else 0.",
        ),
    ] = None,
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
        typer.Option(help="Channels of hidden layers; if left out 32 (article, denoise) or 128 (residual)."),
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
    devices: DevicesOption = "1",
    coordinator: CoordinatorOption = None,
    processes: ProcessesOption = None,
    process: ProcessOption = None,
) -> None:
    """Train a pair on a dataset or on your own images, and export its two bundles."""
    from codec.errors import MissingExtraError

    try:
        from rich.console import Console

        from codec.training.data import Reading, load_training
        from codec.training.devices import devices_for
        from codec.training.hosts import join
        from codec.training.loop import InterruptedRunError
        from codec.training.run import follow, run
        from codec.training.settings import model_for, settings_for
    except ImportError as error:
        raise MissingExtraError(
            f"codec train: an optional part is not installed ({error}); run: pip install 'split-codec[train]'"
        ) from None

    if coordinator is not None and processes is not None and process is not None:
        join(coordinator, processes, process)
    several = devices_for(devices)
    console = Console(stderr=True, highlight=False)
    tile = tile_size(crop, crops)
    reading = Reading(convert=convert, crop=tile, crops=crops, column=column, tell=tell, console=console)
    data = load_training(dataset, images, seed, reading, split)
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
        optimiser=optimiser,
        loss=loss,
        noise=_noise(noise),
        augment=augment,
        code_channels=code_channels,
        layers=layers,
        filters=filters,
        seed=seed,
        start=start,
        any_size=tile is not None,
    )
    why = None
    if model is None:
        choice, reason = model_for(data.training, settings.objective, layers, any_size=tile is not None)
        why = f"model {choice}: {reason}"
    try:
        if not several.first:
            follow(settings, data, several, resume=resume)
        else:
            run(settings, data, out, resume=resume, console=console, devices=several, why=why)
    except InterruptedRunError as stop:
        typer.echo(f"codec: {stop}", err=True)
        raise typer.Exit(130) from None


def _noise(text: str | None) -> tuple[float, float] | None:
    """The range of ``--noise``."""
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise OptionError(f"--noise: expected a number or LOW:HIGH, found {text!r}") from None


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

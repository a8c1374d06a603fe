"""Options of the commands that read images: where they are, and what becomes of those that are not plain."""

import re
from enum import StrEnum
from typing import Annotated

import typer

from codec.errors import OptionError

__all__ = [
    "ColumnOption",
    "ConvertOption",
    "CropOption",
    "CropsOption",
    "Guard",
    "GuardOption",
    "ImagesOption",
    "tile_size",
]


class Guard(StrEnum):
    """What becomes of images outside the domain."""

    refuse = "refuse"
    flag = "flag"


GuardOption = Annotated[
    Guard | None,
    typer.Option(
        help="Images outside the domain the pair was trained for: refuse leaves them out, flag warns."
    ),
]
ConvertOption = Annotated[
    bool,
    typer.Option(
        "--convert",
        help="Convert files that are not 8-bit grey or RGB, which are refused else: alpha goes over white, "
        "16 bits are rounded to 8, palettes and CMYK become RGB, of an animation the first picture is taken, "
        "pictures are turned as EXIF tells, grey and RGB are made alike. What was converted is told.",
    ),
]
ImagesOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Your own: a folder of image files or of Parquet files, searched with the folders in it, or one "
        "image file, .parquet, .npy or .npz.",
    ),
]
CropOption = Annotated[
    str | None,
    typer.Option(
        metavar="HxW", help="Cut tiles of this size from images of any size; smaller images are left out."
    ),
]
CropsOption = Annotated[
    int | None,
    typer.Option(help="How many tiles; left out, what the images hold, up to 2^30 values (a gibibyte)."),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The column of a Parquet file, feature of a dataset or array of a .npz; found if left out.",
    ),
]


def tile_size(crop: str | None, crops: int | None) -> tuple[int, int] | None:
    """Height and width of ``--crop``; ``OptionError`` unless they and ``--crops`` make sense."""
    if crop is None:
        if crops is not None:
            raise OptionError("--crops: expected --crop HxW with it, the size of the tiles")
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", crop, re.ASCII)
    if found is None:
        raise OptionError(f"--crop: expected HxW in pixels, such as 64x64, found {crop!r}")
    if crops is not None and crops < 1:
        raise OptionError(f"--crops: expected at least 1, found {crops}")
    return int(found[1]), int(found[2])

"""Names and paths -> bundles: the pairs that ship with the package, and files."""

import os
from importlib.resources import files
from typing import get_args

from codec.architecture import Side
from codec.bundle import Bundle
from codec.bundle_reader import read_bundle
from codec.errors import FileError
from codec.files import read_bytes
from codec.limits import DEFAULT_LIMITS, Limits

__all__ = ["load_bundle", "pretrained"]

_SUFFIX = ".msgpack"


def pretrained() -> tuple[str, ...]:
    """Names of the pairs that ship with the package."""
    suffix = f".{get_args(Side)[0]}{_SUFFIX}"
    shipped = (file.name for file in files("codec.shipped").iterdir())
    return tuple(sorted(name.removesuffix(suffix) for name in shipped if name.endswith(suffix)))


def load_bundle(name_or_path: str | os.PathLike[str], side: Side, limits: Limits = DEFAULT_LIMITS) -> Bundle:
    """One side's bundle: of a shipped pair, by name, or from a file.

    A name is looked up among the shipped pairs only; anything else is a path.

    Raises:
        FileError: no such pair or file.
        BundleError, WrongSideError, LimitError: see ``codec.bundle_reader.read_bundle``.
    """
    text = os.fspath(name_or_path)
    if text in pretrained():
        data = files("codec.shipped").joinpath(f"{text}.{side}{_SUFFIX}").read_bytes()
        return read_bundle(data, side, limits)
    if not os.path.exists(text):
        raise FileError(
            f"{side} {text!r}: neither a file nor a shipped pair; shipped: {', '.join(pretrained())}"
        )
    return read_bundle(read_bytes(text, limits.bundle_bytes, f"{side} bundle"), side, limits)

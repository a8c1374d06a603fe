"""Names and paths -> bundles: the pairs that ship with the package, and files."""

import os
from importlib.resources import files
from typing import get_args

from codec.architecture import Side
from codec.bundle import Bundle
from codec.bundle_reader import read_bundle
from codec.errors import FileError, SignatureError
from codec.files import read_bytes
from codec.limits import DEFAULT_LIMITS, Limits
from codec.signing import Trusted, read_signed, trusted_keys

__all__ = ["load_bundle", "pretrained"]

_SUFFIX = ".msgpack"


def pretrained() -> tuple[str, ...]:
    """Names of the pairs that ship with the package."""
    suffix = f".{get_args(Side)[0]}{_SUFFIX}"
    shipped = (file.name for file in files("codec.shipped").iterdir())
    return tuple(sorted(name.removesuffix(suffix) for name in shipped if name.endswith(suffix)))


def load_bundle(
    name_or_path: str | os.PathLike[str],
    side: Side,
    limits: Limits = DEFAULT_LIMITS,
    trusted: Trusted | None = None,
) -> Bundle:
    """One side's bundle: of a shipped pair, by name, or from a file.

    A name is looked up among the shipped pairs only; anything else is a path.

    Args:
        trusted: if given, public keys one of which must have signed the file, which is not looked into
            before. Shipped pairs are not signed: they are as much to be trusted as the installed package.

    Raises:
        FileError: no such pair or file.
        SignatureError: see ``codec.signing.verify_bundle``, which may raise more.
        BundleError, WrongSideError, LimitError: see ``codec.bundle_reader.read_bundle``.
    """
    text = os.fspath(name_or_path)
    if trusted is not None:
        trusted = trusted_keys(trusted)
    if text in pretrained():
        if trusted is not None:
            raise SignatureError(
                f"{side} {text!r}: expected a bundle signed by a trusted key, found a shipped pair, which is "
                "part of the installed package and not signed; give a signed bundle's path, or trust none"
            )
        data = files("codec.shipped").joinpath(f"{text}.{side}{_SUFFIX}").read_bytes()
        return read_bundle(data, side, limits)
    if not os.path.exists(text):
        raise FileError(
            f"{side} {text!r}: neither a file nor a shipped pair; shipped: {', '.join(pretrained())}"
        )
    if trusted is not None:
        return read_bundle(read_signed(text, trusted, limits)[0], side, limits)
    return read_bundle(read_bytes(text, limits.bundle_bytes, f"{side} bundle"), side, limits)

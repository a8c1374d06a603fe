"""A bundle -> its file, as ``docs/bundle.md`` specifies it; a pair -> its two files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import msgpack

from codec import bundle as fmt
from codec.bundle import Bundle, pack_tensors
from codec.bundle_reader import read_bundle
from codec.errors import BundleError
from codec.files import write_together

__all__ = ["write_bundle", "write_pair"]


def write_bundle(bundle: Bundle) -> bytes:
    """The file of a bundle; equal content gives equal bytes, and ``read_bundle`` takes them.

    Raises:
        BundleError, LimitError: a part that no reader would take, told as the reader tells it.
    """
    values = (bundle.side, bundle.pair.packed, pack_tensors(bundle.weights), dict(bundle.provenance))
    try:
        body = msgpack.packb(dict(zip(fmt.BODY_KEYS, values, strict=True)))
    except (TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"bundle, provenance: not writable as MessagePack: {error}") from None
    digest = hashlib.sha256(body).digest()
    data = cast(
        bytes,
        msgpack.packb(dict(zip(fmt.FILE_KEYS, (fmt.FORMAT, fmt.VERSION, digest, body), strict=True))),
    )
    read_bundle(data)
    return data


def write_pair(folder: Path, name: str, bundles: Iterable[Bundle]) -> list[Path]:
    """Write FOLDER/NAME.SIDE.msgpack for each of a pair's bundles, and return the paths.

    Both are on disk before either takes its name. Whatever stops this, each file is the older one or the new
    one, whole; if one of each is left, decoding says that they are not of one pair.

    Raises:
        FileError: they cannot be written; where that shows before the first takes its name, as a full disk
            does, older ones stay as they were.
        BundleError, LimitError: as ``write_bundle``.
    """
    contents = {folder / f"{name}.{bundle.side}.msgpack": write_bundle(bundle) for bundle in bundles}
    write_together(contents)
    return list(contents)

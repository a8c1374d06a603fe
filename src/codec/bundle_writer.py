"""A bundle -> its file, as ``docs/bundle.md`` specifies it."""

import hashlib
from typing import cast

import msgpack

from codec import bundle as fmt
from codec.bundle import Bundle, pack_tensors
from codec.bundle_reader import read_bundle
from codec.errors import BundleError

__all__ = ["write_bundle"]


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

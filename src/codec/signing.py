"""A bundle's file -> its signature beside it, and back: whether someone trusted signed these very bytes.

``docs/bundle.md`` has the signature's file under "Signatures". The bundle's bytes are read once, and what was
checked is what is used; nothing looks into them before. ``cryptography`` is imported when it is needed.
"""

import base64
import os
from collections.abc import Iterable

from codec.errors import OptionError, SignatureError
from codec.files import read_bytes, write_bytes
from codec.keys import PublicKey, SigningKey
from codec.limits import DEFAULT_LIMITS, Limits

__all__ = ["Trusted", "read_signed", "sign_bundle", "trusted_keys", "verify_bundle"]

LABEL = b"codec-signature-v1"
SUFFIX = ".sig"
ID_BYTES = 8
SIGNATURE_BYTES = 64
_FILE_BYTES = 256
"""More than any signature's file has."""

Trusted = PublicKey | str | os.PathLike[str] | Iterable[PublicKey | str | os.PathLike[str]]
"""Public keys, or paths of their files: one, or several any of which will do."""


def sign_bundle(
    path: str | os.PathLike[str],
    key: SigningKey | str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """Sign the bundle at ``path`` and return the path of its signature, which replaces an older one.

    Raises:
        BundleError, LimitError: it is no whole bundle.
        FileError, KeyFileError: a file that cannot be read or written, or is not the key it should be.
        MissingExtraError: ``cryptography`` is not installed.
    """
    from codec.bundle_reader import read_bundle  # with NumPy, which checking a signature can do without

    target = _signature_path(path)
    secret = SigningKey.of(key)
    data = read_bytes(path, limits.bundle_bytes, "bundle")
    read_bundle(data, None, limits)
    signature = secret.public.id + secret.sign(_message(data))
    write_bytes(target, LABEL + b" " + base64.b64encode(signature) + b"\n")
    return target


def verify_bundle(
    path: str | os.PathLike[str], trusted: Trusted, limits: Limits = DEFAULT_LIMITS
) -> PublicKey:
    """The key among ``trusted`` that signed the bundle at ``path``.

    Raises:
        SignatureError: unsigned, signed by another key, or the bundle or its signature was changed.
        LimitError: over the limits.
        FileError, KeyFileError: a file that cannot be read, or is not the key it should be.
        OptionError: no key at all.
        MissingExtraError: ``cryptography`` is not installed.
    """
    return read_signed(path, trusted, limits)[1]


def read_signed(path: str | os.PathLike[str], trusted: Trusted, limits: Limits) -> tuple[bytes, PublicKey]:
    """The bytes of the bundle at ``path``, and who signed them; raises as ``verify_bundle``."""
    keys = trusted_keys(trusted)
    beside = _signature_path(path)
    data = read_bytes(path, limits.bundle_bytes, "bundle")
    if not os.path.exists(beside):
        raise SignatureError(
            f"bundle {os.fspath(path)}: not signed: expected its signature in {beside}; "
            "have its maker run codec sign"
        )
    identity, signature = _parse(read_bytes(beside, _FILE_BYTES, "signature"), beside)
    for key in keys:
        if key.id == identity:
            if key.verifies(signature, _message(data)):
                return data, key
            raise SignatureError(
                f"bundle {os.fspath(path)}: its signature by {identity.hex()} does not match; the bundle or "
                "the signature was changed, get both again from their maker"
            )
    raise SignatureError(
        f"bundle {os.fspath(path)}: signed by the key {identity.hex()}, expected one of those trusted: "
        f"{', '.join(key.id.hex() for key in keys)}"
    )


def trusted_keys(trusted: Trusted) -> tuple[PublicKey, ...]:
    """The public keys that ``trusted`` means, at least one: no key would be no check."""
    several = [trusted] if isinstance(trusted, PublicKey | str | os.PathLike) else trusted
    keys = tuple(PublicKey.of(key) for key in several)
    if not keys:
        raise OptionError("trusted: expected at least one public key, found none")
    return keys


def _signature_path(path: str | os.PathLike[str]) -> str:
    if os.fspath(path) == "-":
        raise OptionError("bundle: expected a file, which its signature lies beside, found -")
    return os.fspath(path) + SUFFIX


def _message(data: bytes) -> bytes:
    """What is signed: nothing signed for another purpose begins like it."""
    return LABEL + b"\0" + data


def _parse(data: bytes, path: str) -> tuple[bytes, bytes]:
    """The id of the key and the signature that a file holds."""
    line = data.rstrip(b"\r\n")
    label, _, text = line.partition(b" ")
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        content = b""
    if (
        label != LABEL
        or len(content) != ID_BYTES + SIGNATURE_BYTES
        or line != label + b" " + base64.b64encode(content)
    ):
        raise SignatureError(
            f"signature {path}: expected one line as codec sign writes it, beginning with {LABEL.decode()}; "
            "it is damaged, no signature or one of a later version"
        )
    return content[:ID_BYTES], content[ID_BYTES:]

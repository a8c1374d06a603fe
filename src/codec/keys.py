"""Key files <-> keys: a secret to seal packets with, and a pair of keys that signs bundles and checks them.

A key file is one line, ``SECURITY.md`` has it. A secret one is written with mode 600 from its first moment,
and refused where others than its owner may read it; none is ever overwritten. No secret shows its bytes in
its ``repr``, in an error or in a pickle. Only signing needs ``cryptography``, and imports it when it does.
"""

import base64
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NoReturn, Self

from codec.errors import FileError, KeyFileError, MissingExtraError, OptionError
from codec.files import creating

__all__ = ["PublicKey", "SealingKey", "SigningKey", "secure_extra"]

_KEY_BYTES = 32
_CHECK_BYTES = 4
_FILE_BYTES = 256
"""More than any key file has."""


@contextmanager
def secure_extra() -> Iterator[None]:
    """Where ``cryptography`` is imported: tells how to install it if that fails."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"sealing and signing: an optional part is not installed ({error}); "
            "run: pip install 'split-codec[secure]'"
        ) from None


class _Key:
    """What the three kinds have in common: 32 bytes, and a file of one line.

    Wherever an error is raised here, no variable of the function holds a secret: some tools print them.
    """

    __slots__ = ("_raw",)
    what: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, raw: bytes) -> None:
        if type(raw) is not bytes or len(raw) != _KEY_BYTES:
            found = f"{len(raw)} bytes" if type(raw) is bytes else type(raw).__name__
            del raw
            raise OptionError(f"{self.what}: expected {_KEY_BYTES} bytes, found {found}")
        self._raw = raw

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The key in the file at ``path``.

        Raises:
            FileError: it cannot be read.
            KeyFileError: no key, a damaged one or one of another kind, or a secret that others may read.
        """
        _check_path(path, cls)
        found = _key_in(_read(path, cls))
        if not isinstance(found, cls):
            there = f"a {found.what}" if found else "none, a damaged one or one of a later version"
            raise KeyFileError(
                f"{cls.what} {os.fspath(path)}: expected the one line of a {cls.what} as codec keygen "
                f"writes it, found {there}"
            )
        return found

    @classmethod
    def of(cls, key: Self | str | os.PathLike[str]) -> Self:
        """``key`` itself, or the one in the file of that path."""
        return key if isinstance(key, cls) else cls.load(key)  # type: ignore[arg-type]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a new file, a secret one with mode 600.

        Raises:
            FileError: the file is there already, or cannot be written or kept from others.
        """
        with creating(path, private=isinstance(self, _Secret)) as file:
            file.write(self._line())

    def _line(self) -> bytes:
        content = self._raw + self._fingerprint(_CHECK_BYTES)
        return self.label.encode() + b" " + base64.b64encode(content) + b"\n"

    def _fingerprint(self, length: int) -> bytes:
        return hashlib.sha256(self.label.encode() + b"\0" + self._raw).digest()[:length]


class _Secret(_Key):
    """A key that nobody but its owners may have."""

    __slots__ = ()

    @classmethod
    def generate(cls) -> Self:
        """A new key, at random."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {self.what} is neither pickled nor copied; save it to a file of its own")


class SealingKey(_Secret):
    """A secret that seals packets and opens them: sender and receiver have the same. Immutable.

    Args:
        raw: 32 bytes from a source of randomness made for keys, such as ``SealingKey.generate`` asks. Never a
            password.
    """

    __slots__ = ()
    what = "sealing key"
    label = "codec-sealing-key-v1"

    @property
    def id(self) -> bytes:
        """4 bytes by which a sealed packet names its key; they do not tell the key."""
        return self._fingerprint(4)

    def __repr__(self) -> str:
        return f"<SealingKey {self.id.hex()}>"


class SigningKey(_Secret):
    """A secret that signs bundles: the half of an Ed25519 pair that stays with their maker. Immutable.

    Args:
        raw: 32 random bytes, which RFC 8032 calls the private key.
    """

    __slots__ = ()
    what = "signing key"
    label = "codec-signing-key-v1"

    @property
    def public(self) -> "PublicKey":
        """The other half, for everyone.

        Raises:
            MissingExtraError: ``cryptography`` is not installed.
        """
        with secure_extra():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        return PublicKey(Ed25519PrivateKey.from_private_bytes(self._raw).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of ``message``: 64 bytes."""
        with secure_extra():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        return Ed25519PrivateKey.from_private_bytes(self._raw).sign(message)


class PublicKey(_Key):
    """What checks the signatures of one ``SigningKey``; no secret. Immutable.

    Args:
        raw: the 32 bytes of RFC 8032.
    """

    __slots__ = ()
    what = "public key"
    label = "codec-public-key-v1"

    @property
    def id(self) -> bytes:
        """8 bytes by which a signature names its key. To compare keys compare the whole of them."""
        return self._fingerprint(8)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` is this key's of ``message``, by Ed25519."""
        with secure_extra():
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        try:
            Ed25519PublicKey.from_public_bytes(self._raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        """The line that its file holds."""
        return self._line().decode().rstrip()

    def __repr__(self) -> str:
        return f"<PublicKey {self.id.hex()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)


_KINDS: tuple[type[_Key], ...] = (SealingKey, SigningKey, PublicKey)


def _check_path(path: object, kind: type[_Key]) -> None:
    """Refuse a key where the path of its file belongs, before a message about a missing file shows it."""
    if not isinstance(path, str | os.PathLike):
        raise OptionError(
            f"{kind.what}: expected a {kind.__name__} or the path of its file, found {type(path).__name__}"
        )
    if any(f"{other.label} " in os.fspath(path) for other in _KINDS):
        del path
        raise OptionError(f"{kind.what}: expected the path of its file, found the line of a key; save it")


def _read(path: str | os.PathLike[str], kind: type[_Key]) -> bytes:
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if issubclass(kind, _Secret) and mode & 0o077:
                raise KeyFileError(
                    f"{kind.what} {os.fspath(path)}: expected a file that only its owner can read, found "
                    f"mode {mode:o}; run chmod 600 on it, and make a new key if others may have read it"
                )
            return file.read(_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FileError(f"{kind.what} {os.fspath(path)}: cannot be read: {reason}") from None


def _key_in(data: bytes) -> _Key | None:
    """The key that is the one line of a file, or None where it is not exactly as ``save`` writes it."""
    line = data.rstrip(b"\r\n")
    label, _, text = line.partition(b" ")
    try:
        raw = base64.b64decode(text, validate=True)[:_KEY_BYTES]
    except ValueError:
        return None
    for kind in _KINDS:
        if label == kind.label.encode() and len(raw) == _KEY_BYTES:
            key = kind(raw)
            return key if key._line() == line + b"\n" else None
    return None

"""A packet <-> a sealed packet, encrypted and authenticated: "Sealed packets" in ``docs/packet.md``.

Whoever lacks the key learns the packet's length and nothing else of it, and cannot make or change one. A
sealed packet that was seen before is as good as new: replay is for the application to notice. No NumPy, no
JAX, and ``cryptography`` only once something is sealed or opened.
"""

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codec.errors import LimitError, SealError
from codec.keys import SealingKey, secure_extra
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import is_packet

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["OVERHEAD", "SealHeader", "cipher", "is_sealed", "read_seal_header", "seal", "unseal"]

MAGIC = b"\x5e\xa1"
VERSION = 1
KEY_ID_BYTES = 4
NONCE_BYTES = 12
TAG_BYTES = 16
HEADER_BYTES = len(MAGIC) + 1 + KEY_ID_BYTES + NONCE_BYTES
OVERHEAD = HEADER_BYTES + TAG_BYTES
"""Bytes that sealing adds."""
_MOST_BYTES = (1 << 31) - 1
"""Longest sealed packet: what the cipher's implementations take at once."""


@dataclass(frozen=True)
class SealHeader:
    """What a sealed packet says of itself without the key.

    Attributes:
        version: of the sealed framing.
        key: id of the key, 4 bytes.
        nonce: 12 bytes.
    """

    version: int
    key: bytes
    nonce: bytes


def is_sealed(data: bytes) -> bool:
    """Whether ``data`` begins like a sealed packet of any version."""
    return data[: len(MAGIC)] == MAGIC


def seal(
    packet: bytes,
    key: SealingKey | str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The packet, sealed: 35 bytes longer, and different each time.

    Args:
        packet: in any framing.
        key: the sender's and receiver's, or the path of its file. It is good for 2^32 packets.
        limits: ``packet_bytes`` bounds what is made.

    Raises:
        SealError: what is given is no packet.
        LimitError: it would be over the limits.
        FileError, KeyFileError: see ``SealingKey.load``.
        MissingExtraError: ``cryptography`` is not installed.
    """
    secret = SealingKey.of(key)
    if not is_packet(packet):
        raise SealError(f"sealing: expected a packet, found {_told(packet)}")
    _check_length(len(packet) + OVERHEAD, limits)
    nonce = secrets.token_bytes(NONCE_BYTES)
    header = MAGIC + bytes([VERSION]) + secret.id + nonce
    return header + cipher(secret).encrypt(nonce, packet, header)


def unseal(
    sealed: bytes,
    key: SealingKey | str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The packet in a sealed packet, just as it was sealed.

    Args:
        sealed: a sealed packet; nothing else is let through, an unsealed packet neither.
        key: the one it was sealed with, or the path of its file.
        limits: ``packet_bytes`` bounds ``sealed``.

    Raises:
        SealError: not sealed, an unknown version, another key's, truncated, or changed in any bit.
        LimitError: over the limits.
        FileError, KeyFileError: see ``SealingKey.load``.
        MissingExtraError: ``cryptography`` is not installed.
    """
    secret = SealingKey.of(key)
    _check_length(len(sealed), limits)
    header = read_seal_header(sealed)
    if header.key != secret.id:
        raise SealError(
            f"sealed packet: sealed with the key {header.key.hex()}, but this is {secret.id.hex()}; "
            "use the sender's key"
        )
    with secure_extra():
        from cryptography.exceptions import InvalidTag
    rest = memoryview(sealed)
    try:
        packet = cipher(secret).decrypt(header.nonce, rest[HEADER_BYTES:], rest[:HEADER_BYTES])
    except InvalidTag:
        raise SealError(
            "sealed packet: its tag does not match; it is damaged, truncated or was changed by someone "
            "without the key"
        ) from None
    if not is_packet(packet):
        raise SealError(f"sealed packet: expected a packet in it, found {_told(packet)}")
    return packet


def read_seal_header(sealed: bytes) -> SealHeader:
    """What a sealed packet says of itself, with nothing proved yet.

    Raises:
        SealError: not sealed, an unknown version, or too short.
    """
    if not is_sealed(sealed):
        raise SealError(
            f"sealed packet: expected it to begin with {MAGIC.hex(' ')}, found {_told(sealed)}; "
            "it is not sealed, and nobody vouches for it"
        )
    if len(sealed) > len(MAGIC) and sealed[len(MAGIC)] != VERSION:
        raise SealError(
            f"sealed packet: expected version {VERSION}, found {sealed[len(MAGIC)]}; "
            "update split-codec to read it"
        )
    if len(sealed) <= OVERHEAD:
        raise SealError(
            f"sealed packet: expected more than {OVERHEAD} bytes, found {len(sealed)}; it is truncated"
        )
    nonce = HEADER_BYTES - NONCE_BYTES
    return SealHeader(VERSION, bytes(sealed[nonce - KEY_ID_BYTES : nonce]), bytes(sealed[nonce:HEADER_BYTES]))


def cipher(key: SealingKey) -> "AESGCM":
    """AES-256-GCM under ``key``, with nonces of 12 bytes and tags of 16."""
    with secure_extra():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    return AESGCM(key._raw)


def _check_length(length: int, limits: Limits) -> None:
    limits.check("packet_bytes", length, "sealed packet: bytes")
    if length > _MOST_BYTES:
        raise LimitError(f"sealed packet: expected at most {_MOST_BYTES:,} bytes, found {length:,}")


def _told(data: bytes) -> str:
    if is_sealed(data):
        return "a sealed packet"
    if is_packet(data):
        return "a packet"
    return f"{len(data)} bytes that begin with {bytes(data[:8]).hex(' ')}" if data else "nothing"

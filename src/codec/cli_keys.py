"""The commands that make and use keys, and what others need for ``--seal``, ``--key`` and ``--trust``.

No command prints a secret, on purpose or by mistake: what is told of it is its id.
"""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from codec.errors import OptionError
from codec.terminal import say

if TYPE_CHECKING:
    from codec.keys import SealingKey

__all__ = [
    "SealOption",
    "TrustOption",
    "UnsealOption",
    "keygen",
    "opened",
    "sealed",
    "sealing_key",
    "sign",
    "verify",
]

SealOption = Annotated[
    Path | None, typer.Option(metavar="KEYFILE", help="Seal the packet with this sealing key.")
]
UnsealOption = Annotated[
    Path | None,
    typer.Option(
        metavar="KEYFILE", help="The sealing key of a sealed packet; one that is not sealed is then refused."
    ),
]
TrustOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PUBLICKEY",
        help="Refuse bundles not signed by this public key; give several, and one will do.",
    ),
]
BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A bundle; BUNDLE.sig is its signature.")
]


def keygen(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A new file for the secret key, mode 600.")
    ],
    signing: Annotated[
        bool, typer.Option("--signing", help="A pair that signs bundles; its public key goes to FILE.pub.")
    ] = False,
) -> None:
    """Make a key that seals packets, or with --signing a pair of keys that signs bundles."""
    from codec.keys import SealingKey, SigningKey

    if str(output) == "-":
        raise OptionError("--output: expected a file, found -; keys are never printed")
    if not signing:
        key = SealingKey.generate()
        key.save(output)
        typer.echo(
            f"sealing key {key.id.hex()} in {output}; sender and receiver need it, nobody else", err=True
        )
        return
    pair = SigningKey.generate()
    public, public_file = pair.public, Path(f"{output}.pub")
    public.save(public_file)
    try:
        pair.save(output)
    except BaseException:
        public_file.unlink()
        raise
    typer.echo(f"signing key in {output}; public key {public.id.hex()} in {public_file}: {public}", err=True)


def sign(
    bundle: BundleArgument,
    key: Annotated[Path, typer.Option(metavar="KEYFILE", help="The signing key.")],
) -> None:
    """Sign a bundle: its signature goes to BUNDLE.sig."""
    from codec.signing import sign_bundle

    typer.echo(f"signed: {sign_bundle(bundle, key)}", err=True)


def verify(
    bundle: BundleArgument,
    key: Annotated[
        list[Path], typer.Option(metavar="PUBLICKEY", help="A public key; give several, and one will do.")
    ],
) -> None:
    """Check that a bundle is signed by a public key, and is what was signed."""
    from codec.signing import verify_bundle

    say(f"{bundle}: signed by {verify_bundle(bundle, key).id.hex()}")


def sealing_key(path: Path | None) -> "SealingKey | None":
    """The key that an option names; told before any work if the library that uses it is missing."""
    if path is None:
        return None
    from codec.keys import SealingKey
    from codec.sealing import cipher

    key = SealingKey.load(path)
    cipher(key)
    return key


def sealed(pieces: Iterable[bytes], key: "SealingKey | None") -> Iterator[bytes]:
    """The pieces of a packet as they are, or the whole of it sealed if there is a key."""
    if key is None:
        yield from pieces
        return
    from codec.limits import DEFAULT_LIMITS
    from codec.sealing import seal

    held, length = [], 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        DEFAULT_LIMITS.check("packet_bytes", length, "packet to be sealed: bytes")
    yield seal(b"".join(held), key)


def opened(packet: str, key: "SealingKey | None") -> BinaryIO:
    """A packet to decode: the file itself, or what is sealed in it if there is a key."""
    from codec.files import read_bytes, standard_input
    from codec.limits import DEFAULT_LIMITS

    if key is None:
        return standard_input() if packet == "-" else open(packet, "rb")
    from codec.sealing import unseal

    return io.BytesIO(unseal(read_bytes(packet, DEFAULT_LIMITS.packet_bytes, "packet"), key))

"""Signed bundles: what a loader that trusts someone lets through, and all that it refuses."""

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

import codec
from codec import loading, signing
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.errors import (
    BundleError,
    CodecError,
    DamagedBundleError,
    FileError,
    KeyFileError,
    LimitError,
    OptionError,
    SignatureError,
    WrongSideError,
)
from codec.keys import PublicKey, SealingKey, SigningKey
from codec.limits import Limits
from codec.signing import sign_bundle, verify_bundle

MAKER = SigningKey(bytes(range(32)))
STRANGER = SigningKey(bytes(range(1, 33)))
SIDES = ["encoder", "decoder"]
LOADERS: dict[str, Callable[..., Any]] = {"encoder": codec.load_encoder, "decoder": codec.load_decoder}


@pytest.fixture
def folder(tmp_path: Path, small_bundles: tuple[Bundle, Bundle]) -> Path:
    """Both bundles of a small pair, signed by MAKER, and the maker's and a stranger's public key."""
    for bundle in small_bundles:
        (tmp_path / bundle.side).write_bytes(write_bundle(bundle))
        sign_bundle(tmp_path / bundle.side, MAKER)
    MAKER.public.save(tmp_path / "maker.pub")
    STRANGER.public.save(tmp_path / "stranger.pub")
    return tmp_path


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever parses a bundle fails the test."""

    def read(*_: object) -> None:
        raise AssertionError("the bundle was looked into")

    monkeypatch.setattr(loading, "read_bundle", read)


def signature_line(data: bytes, key: SigningKey) -> bytes:
    """The file that the document describes, made from it alone."""
    signature = key.sign(b"codec-signature-v1\0" + data)
    return b"codec-signature-v1 " + base64.b64encode(key.public.id + signature) + b"\n"


def test_a_signature_is_what_the_document_says(folder: Path) -> None:
    data = (folder / "decoder").read_bytes()
    line = (folder / "decoder.sig").read_bytes()
    assert line == signature_line(data, MAKER)
    label, text = line.split()
    content = base64.b64decode(text)
    assert (label, content[:8]) == (b"codec-signature-v1", MAKER.public.id)
    public = Ed25519PublicKey.from_public_bytes(MAKER.public._raw)
    public.verify(content[8:], b"codec-signature-v1\0" + data)
    assert sign_bundle(folder / "decoder", MAKER) == f"{folder}/decoder.sig"
    assert (folder / "decoder.sig").read_bytes() == line


@pytest.mark.parametrize("side", SIDES)
def test_a_bundle_signed_by_someone_trusted_is_loaded(folder: Path, side: str) -> None:
    load, path = LOADERS[side], folder / side
    maker, stranger = MAKER.public, STRANGER.public
    several = [folder / "stranger.pub", str(folder / "maker.pub")]
    for trusted in (maker, folder / "maker.pub", str(folder / "maker.pub"), [stranger, maker], several):
        loaded = load(path, trusted=trusted)
        assert loaded.bundle.pair.digest == load(path).bundle.pair.digest
    assert verify_bundle(path, iter([maker])) == maker


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.usefixtures("unread")
def test_an_unsigned_bundle_is_refused_unread(folder: Path, side: str) -> None:
    (folder / f"{side}.sig").unlink()
    message = (
        f"bundle {folder}/{side}: not signed: expected its signature in {folder}/{side}.sig; "
        "have its maker run codec sign"
    )
    with pytest.raises(SignatureError, match=f"^{re.escape(message)}$"):
        LOADERS[side](folder / side, trusted=MAKER.public)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.usefixtures("unread")
def test_a_strangers_bundle_is_refused_unread(folder: Path, side: str) -> None:
    ids = MAKER.public.id.hex(), STRANGER.public.id.hex()
    message = f"bundle {folder}/{side}: signed by the key {ids[0]}, expected one of those trusted: {ids[1]}"
    with pytest.raises(SignatureError, match=f"^{re.escape(message)}$"):
        LOADERS[side](folder / side, trusted=folder / "stranger.pub")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.usefixtures("unread")
def test_a_changed_bundle_is_refused_unread(folder: Path, side: str) -> None:
    data = (folder / side).read_bytes()
    changes = [data[:-1], data + b"\0", b"", (folder / next(s for s in SIDES if s != side)).read_bytes()]
    for at in range(0, len(data), 97):
        changes.append(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for change in changes:
        (folder / side).write_bytes(change)
        with pytest.raises(SignatureError, match="does not match; the bundle or the signature was changed"):
            LOADERS[side](folder / side, trusted=MAKER.public)


def test_a_stranger_who_names_the_makers_key_is_refused(folder: Path) -> None:
    data = (folder / "decoder").read_bytes()
    forged = MAKER.public.id + STRANGER.sign(b"codec-signature-v1\0" + data)
    (folder / "decoder.sig").write_bytes(b"codec-signature-v1 " + base64.b64encode(forged) + b"\n")
    with pytest.raises(SignatureError, match="does not match"):
        verify_bundle(folder / "decoder", [STRANGER.public, MAKER.public])


def test_what_was_signed_for_another_purpose_is_no_signature(folder: Path) -> None:
    data = (folder / "decoder").read_bytes()
    for message in (data, b"codec-signature-v2\0" + data):
        content = MAKER.public.id + MAKER.sign(message)
        (folder / "decoder.sig").write_bytes(b"codec-signature-v1 " + base64.b64encode(content) + b"\n")
        with pytest.raises(SignatureError, match="does not match"):
            verify_bundle(folder / "decoder", MAKER.public)


def test_every_flipped_bit_and_every_prefix_of_a_signature_is_refused(folder: Path) -> None:
    line = (folder / "decoder.sig").read_bytes()
    data = (folder / "decoder").read_bytes()
    key = MAKER.public
    changes = [line[:length] for length in range(len(line) - 1)]  # the line's end may be missing
    changes += [line + b"x", line * 2, b" " + line, line.replace(b"v1", b"v2")]
    changes += [line[:-1] + more for more in (b"=", b"==", b"====", b" ", b"\t\n", b"\n\n \n")]
    for i in range(8 * len(line)):
        flipped = bytearray(line)
        flipped[i // 8] ^= 1 << i % 8
        changes.append(bytes(flipped))
    refused = 0
    for change in changes:
        try:
            identity, signature = signing._parse(change, "x.sig")
        except SignatureError:
            refused += 1
        else:
            refused += identity != key.id or not key.verifies(signature, b"codec-signature-v1\0" + data)
    assert refused == len(changes)
    (folder / "decoder.sig").write_bytes(line[:-1] + b"\r\n")
    assert verify_bundle(folder / "decoder", key) == key


def test_what_is_no_signature_is_told(folder: Path) -> None:
    (folder / "decoder.sig").write_bytes(b"codec-signature-v2 AAAA\n")
    message = (
        f"signature {folder}/decoder.sig: expected one line as codec sign writes it, beginning with "
        "codec-signature-v1; it is damaged, no signature or one of a later version"
    )
    with pytest.raises(SignatureError, match=f"^{re.escape(message)}$"):
        verify_bundle(folder / "decoder", MAKER.public)
    (folder / "decoder.sig").write_bytes(bytes(1 << 20))
    with pytest.raises(LimitError, match="expected at most 256 bytes"):
        verify_bundle(folder / "decoder", MAKER.public)


@given(st.binary(max_size=200))
@example(b"codec-signature-v1 ")
@example(b"codec-signature-v1 \xff")
def test_any_bytes_are_refused_with_the_projects_own_error(data: bytes) -> None:
    for attempt in (data, b"codec-signature-v1 " + data):
        with pytest.raises(SignatureError):
            signing._parse(attempt, "x.sig")


def test_the_file_is_read_once_and_what_was_checked_is_what_is_loaded(
    folder: Path, small_bundles: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = small_bundles[1].pair.digest
    plain = PublicKey.verifies

    def swapping(self: PublicKey, signature: bytes, message: bytes) -> bool:
        good = plain(self, signature, message)
        (folder / "decoder").write_bytes(b"another file, put there after the check")
        return good

    monkeypatch.setattr(PublicKey, "verifies", swapping)
    assert codec.load_decoder(folder / "decoder", trusted=MAKER.public).bundle.pair.digest == digest
    with pytest.raises(BundleError):
        codec.load_decoder(folder / "decoder")


@pytest.mark.parametrize("side", SIDES)
def test_shipped_pairs_are_not_signed_and_refused_where_someone_is_trusted(side: str) -> None:
    message = (
        f"{side} 'mnist': expected a bundle signed by a trusted key, found a shipped pair, which is part of "
        "the installed package and not signed; give a signed bundle's path, or trust none"
    )
    with pytest.raises(SignatureError, match=f"^{re.escape(message)}$"):
        LOADERS[side]("mnist", trusted=MAKER.public)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.usefixtures("unread")
def test_trusting_nobody_is_not_trusting_everybody(folder: Path, side: str) -> None:
    nobodies: list[Any] = [[], (), iter([])]
    for nobody in nobodies:
        for name in (folder / side, "mnist"):
            with pytest.raises(OptionError, match=r"^trusted: expected at least one public key, found none$"):
                LOADERS[side](name, trusted=nobody)


def test_only_public_keys_can_be_trusted(folder: Path) -> None:
    MAKER.save(folder / "maker")
    with pytest.raises(KeyFileError, match=r"expected the one line of a public key .* found a signing key"):
        codec.load_decoder(folder / "decoder", trusted=folder / "maker")
    with pytest.raises(FileError, match=r"^public key gone: cannot be read"):
        codec.load_decoder(folder / "decoder", trusted=["gone"])
    for key in (MAKER, SealingKey(bytes(32))):
        with pytest.raises(OptionError, match="expected a PublicKey or the path of its file"):
            codec.load_decoder(folder / "decoder", trusted=[key])  # type: ignore[list-item]


def test_only_a_whole_bundle_is_signed(folder: Path) -> None:
    data = (folder / "decoder").read_bytes()
    (folder / "damaged").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedBundleError):
        sign_bundle(folder / "damaged", MAKER)
    (folder / "text").write_text("not a bundle")
    with pytest.raises(BundleError, match="this is not a bundle"):
        sign_bundle(folder / "text", MAKER)
    with pytest.raises(LimitError):
        sign_bundle(folder / "decoder", MAKER, Limits(bundle_bytes=100))
    with pytest.raises(FileError, match="cannot be read"):
        sign_bundle(folder / "gone", MAKER)
    for call in (lambda: sign_bundle("-", MAKER), lambda: verify_bundle("-", MAKER.public)):
        with pytest.raises(OptionError, match=r"^bundle: expected a file, which its signature lies beside"):
            call()
    assert sorted(path.name for path in folder.glob("*.sig")) == ["decoder.sig", "encoder.sig"]


def test_a_signed_bundle_is_held_to_all_other_rules_too(folder: Path) -> None:
    with pytest.raises(WrongSideError):
        codec.load_encoder(folder / "decoder", trusted=MAKER.public)
    with pytest.raises(LimitError):
        codec.load_decoder(folder / "decoder", Limits(bundle_bytes=100), trusted=MAKER.public)
    (folder / "text").write_text("not a bundle")
    (folder / "text.sig").write_bytes(signature_line(b"not a bundle", MAKER))
    with pytest.raises(BundleError, match="this is not a bundle"):
        codec.load_decoder(folder / "text", trusted=MAKER.public)
    with pytest.raises(CodecError, match="neither a file nor a shipped pair"):
        codec.load_decoder(folder / "gone", trusted=MAKER.public)


def test_signing_again_replaces_the_signature_of_another(folder: Path) -> None:
    os.chmod(folder / "decoder.sig", 0o644)
    sign_bundle(folder / "decoder", STRANGER)
    assert verify_bundle(folder / "decoder", [MAKER.public, STRANGER.public]) == STRANGER.public

"""Keys and their files: modes, what is refused, and that no secret shows."""

import base64
import copy
import os
import pickle
import re
import stat
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codec import keys
from codec.errors import CodecError, FileError, KeyFileError, OptionError
from codec.files import creating
from codec.keys import PublicKey, SealingKey, SigningKey

RAW = bytes(range(32))
KINDS: list[type[Any]] = [SealingKey, SigningKey, PublicKey]
SECRETS: list[type[Any]] = [SealingKey, SigningKey]
LINES = {
    SealingKey: "codec-sealing-key-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh/PAEGT",
    SigningKey: "codec-signing-key-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh/CLTkc",
    PublicKey: "codec-public-key-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8Ufve3",
}
RFC_8032 = [  # section 7.1, tests 1 to 3: secret key, public key, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def shown(raw: bytes, text: str) -> bool:
    """Whether ``text`` shows a good part of ``raw`` in one of the ways in which bytes are written."""
    part = raw[6:18]  # whole groups of base64's three
    forms = [
        part.hex(),
        part.hex(" "),
        base64.b64encode(part).decode(),
        repr(part)[2:-1],
        str(list(part))[1:-1],
    ]
    return any(form in text for form in forms)


@pytest.mark.parametrize("vector", RFC_8032, ids=["1", "2", "3"])
def test_signing_gives_the_known_answers(vector: tuple[str, ...]) -> None:
    secret, public, message, signature = map(bytes.fromhex, vector)
    key = SigningKey(secret)
    assert key.public == PublicKey(public)
    assert key.sign(message) == signature
    assert key.public.verifies(signature, message)
    assert not key.public.verifies(signature, message + b"\0")
    assert not key.public.verifies(signature[:-1], message)
    assert not PublicKey(bytes(32)).verifies(signature, message)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_file_is_the_one_line_that_the_document_has(tmp_path: Path, kind: type[Any]) -> None:
    kind(RAW).save(tmp_path / "key")
    assert (tmp_path / "key").read_text() == LINES[kind] + "\n"
    assert kind.load(tmp_path / "key")._raw == RAW
    (tmp_path / "key").write_text(LINES[kind])
    assert kind.load(str(tmp_path / "key"))._raw == RAW
    (tmp_path / "key").write_text(LINES[kind] + "\r\n")
    assert kind.of(tmp_path / "key")._raw == RAW


def test_the_ids_are_the_known_ones() -> None:
    assert SealingKey(RAW).id.hex() == "cf004193"
    assert PublicKey(RAW).id.hex() == "147ef7b743f4c04b"


def test_new_keys_differ(tmp_path: Path) -> None:
    assert (
        len({SealingKey.generate()._raw for _ in range(50)} | {SigningKey.generate()._raw for _ in range(50)})
        == 100
    )


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o377, 0o777])
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_has_mode_600_from_its_first_moment_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any], mask: int
) -> None:
    seen = []
    plain_open, plain_write = os.open, kind._line

    def watched_open(*arguments: Any, **options: Any) -> int:
        descriptor = plain_open(*arguments, **options)
        found = os.fstat(descriptor).st_mode
        if stat.S_ISREG(found):  # and not the folder, which is flushed in the end
            seen.append(stat.S_IMODE(found))
        return descriptor

    def watched_line(self: Any) -> bytes:
        seen.extend(mode(path) for path in tmp_path.iterdir())
        line: bytes = plain_write(self)
        return line

    monkeypatch.setattr(os, "open", watched_open)
    monkeypatch.setattr(kind, "_line", watched_line)
    before = os.umask(mask)
    try:
        kind(RAW).save(tmp_path / "key")
    finally:
        os.umask(before)
    assert len(seen) == 2
    assert all(one & 0o177 == 0 for one in seen)
    assert mode(tmp_path / "key") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_public_key_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        PublicKey(RAW).save(tmp_path / "key.pub")
    finally:
        os.umask(before)
    assert mode(tmp_path / "key.pub") == 0o640


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: type[Any], there: str) -> None:
    path = tmp_path / "key"
    if there == "file":
        path.write_text("dear")
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "gone")
    message = f"{path}: is there already and stays as it is; choose another name"
    with pytest.raises(FileError, match=f"^{re.escape(message)}$"):
        kind(RAW).save(path)
    assert [one.name for one in tmp_path.iterdir()] == ["key"]
    if there == "file":
        assert path.read_text() == "dear"


def test_a_new_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def stop() -> None:
        with creating(tmp_path / "new") as file:
            file.write(b"half")
            assert not (tmp_path / "new").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match=r"cannot be written: No such file or directory$"):
        SealingKey(RAW).save(tmp_path / "no" / "key")
    with pytest.raises(FileError, match="cannot be written: "):
        SealingKey(RAW).save("a\0b")


def test_where_a_file_cannot_be_kept_from_others_no_secret_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chmod = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: chmod(descriptor, 0o755))  # as FAT has it
    message = "cannot be kept from others: this file system gives it mode 755; choose another folder"
    with pytest.raises(FileError, match=message):
        SealingKey(RAW).save(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_that_others_may_reach_is_refused(tmp_path: Path, kind: type[Any], open_to: int) -> None:
    path = tmp_path / "key"
    kind(RAW).save(path)
    path.chmod(open_to)
    message = (
        f"{kind.what} {path}: expected a file that only its owner can read, found mode {open_to:o}; "
        "run chmod 600 on it, and make a new key if others may have read it"
    )
    with pytest.raises(KeyFileError, match=f"^{re.escape(message)}$"):
        kind.load(path)
    path.chmod(0o400)
    assert kind.load(path)._raw == RAW


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_key_of_another_kind_is_named(tmp_path: Path, kind: type[Any], other: type[Any]) -> None:
    if kind is other:
        return
    path = tmp_path / "key"
    other(RAW).save(path)
    path.chmod(0o600)
    message = (
        f"{kind.what} {path}: expected the one line of a {kind.what} as codec keygen writes it, "
        f"found a {other.what}"
    )
    with pytest.raises(KeyFileError, match=f"^{re.escape(message)}$"):
        kind.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_and_every_prefix_of_a_key_file_is_noticed(kind: type[Any]) -> None:
    line = LINES[kind].encode()
    assert keys._key_in(line + b"\n") is not None
    for i in range(8 * len(line)):
        flipped = bytearray(line)
        flipped[i // 8] ^= 1 << i % 8
        assert keys._key_in(bytes(flipped)) is None
    for length in range(len(line)):
        assert keys._key_in(line[:length]) is None
    for more in (b" ", b"\n\n x", b"=", b"\n" + line):
        assert keys._key_in(line + more) is None


@given(st.binary(max_size=120))
@example(b"codec-sealing-key-v1 ")
@example(b"codec-sealing-key-v1 " + b"A" * 48)
@example(b"codec-sealing-key-v1 " + b"\xff" * 48)
@example(b"codec-sealing-key-v1 " + b"A" * 300)
def test_any_bytes_are_no_key(data: bytes) -> None:
    for attempt in (data, b"codec-sealing-key-v1 " + data):
        assert keys._key_in(attempt) is None


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=f"^sealing key {tmp_path}/gone: cannot be read: No such file"):
        SealingKey.load(tmp_path / "gone")
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        PublicKey.load(tmp_path)
    with pytest.raises(FileError, match="cannot be read: "):
        PublicKey.load("a\0b")


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), bytearray(32), "x" * 32, None])
def test_keys_are_32_bytes(raw: Any) -> None:
    for kind in KINDS:
        with pytest.raises(OptionError, match=f"^{kind.what}: expected 32 bytes, found "):
            kind(raw)


def test_a_key_given_for_the_path_of_its_file_is_not_shown() -> None:
    for attempt in (lambda: SealingKey.load(LINES[SealingKey]), lambda: PublicKey.of(LINES[SigningKey])):
        with pytest.raises(
            OptionError, match="expected the path of its file, found the line of a key"
        ) as caught:
            attempt()
        assert not shown(RAW, str(caught.value))
    with pytest.raises(OptionError, match=r"found bytes$"):
        SealingKey.load(RAW)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_does_not_show_itself(kind: type[Any]) -> None:
    key = kind(RAW)
    for text in (repr(key), str(key), f"{key}", f"{[key]!r}", "%s" % key, str(dir(key))):  # noqa: UP031
        assert not shown(RAW, text)
    assert not hasattr(key, "__dict__")
    for escape in (pickle.dumps, copy.copy, copy.deepcopy, lambda value: pickle.dumps(value, 0)):
        with pytest.raises(TypeError, match="is neither pickled nor copied"):
            escape(key)
    with pytest.raises(TypeError):
        bytes(key)


def test_a_public_key_may_be_shown_compared_and_pickled() -> None:
    key = PublicKey(RAW)
    assert str(key) == LINES[PublicKey]
    assert repr(key) == f"<PublicKey {key.id.hex()}>"
    assert {key, PublicKey(RAW)} == {key}
    assert key != PublicKey(bytes(32))
    assert key != RAW
    assert pickle.loads(pickle.dumps(key)) == key


@pytest.mark.parametrize("kind", SECRETS)
def test_no_traceback_shows_a_secret_not_even_one_with_the_variables(tmp_path: Path, kind: type[Any]) -> None:
    path = tmp_path / "key"
    kind(RAW).save(path)
    line = path.read_bytes()
    key = kind.load(path)
    broken = tmp_path / "broken"
    broken.write_bytes(line.replace(b"v1", b"v2"))
    broken.chmod(0o600)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(line[:-4] + b"AAA\n")
    damaged.chmod(0o600)
    another = SealingKey if kind is SigningKey else SigningKey
    sealed = b"\x5e\xa1\x01" + bytes(60)

    from codec.sealing import unseal

    def seal_something() -> None:
        unseal(sealed, key)

    def open_damage() -> None:
        unseal(sealed[:3] + key.id + sealed[7:], key)

    attempts: list[Any] = [
        lambda: key.save(path),
        lambda: key.save(tmp_path / "no" / "key"),
        lambda: key.save(tmp_path),
        lambda: another.load(path),
        lambda: PublicKey.load(path),
        lambda: kind.load(broken),
        lambda: kind.load(damaged),
    ]
    if kind is SealingKey:
        attempts += [seal_something, open_damage]
    del line
    for attempt in attempts:
        with pytest.raises(CodecError) as caught:
            attempt()
        told = "".join(
            traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        )
        inside = told.split("attempt()", 1)[1]
        assert "self = <" in inside or "key = <" in inside or "cls = " in inside
        assert not shown(RAW, inside), inside

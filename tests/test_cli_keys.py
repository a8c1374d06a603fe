"""The commands and options for keys: files in and out, exit status, and that no secret is ever printed."""

import base64
import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec import cli_keys, limits
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.cli import main
from codec.errors import LimitError
from codec.imagefiles import png_bytes, read_image
from codec.keys import PublicKey, SealingKey, SigningKey
from codec.limits import Limits
from codec.packet import is_packet
from codec.sealing import OVERHEAD, unseal

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, digits: NDArray[np.uint8], small_bundles: tuple[Bundle, Bundle]
) -> Path:
    """Digits, keys, and the bundles of a small pair, signed, with an image for it."""
    path = tmp_path_factory.mktemp("keys")
    (path / "digits").mkdir()
    for i in range(3):
        (path / "digits" / f"{i}.png").write_bytes(png_bytes(digits[i]))
    (path / "small.png").write_bytes(png_bytes(np.arange(64, dtype=np.uint8).reshape(8, 8, 1)))
    for name in ("key", "other key"):
        SealingKey.generate().save(path / name)
    for name in ("maker", "stranger"):
        key = SigningKey.generate()
        key.save(path / name)
        key.public.save(path / f"{name}.pub")
    for bundle in small_bundles:
        (path / bundle.side).write_bytes(write_bundle(bundle))
        codec.sign_bundle(path / bundle.side, path / "maker")
    return path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, in ``folder``: exit status and all that it printed."""
    monkeypatch.chdir(folder)

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["codec", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return int(stop.value.code or 0), output.out + output.err

    return call


def fails(run: Run, *arguments: str | Path, status: int = 1) -> str:
    code, said = run(*arguments)
    assert code == status, said
    assert said.startswith("codec: ")
    assert said.count("\n") == 1
    return said


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keygen_makes_a_sealing_key_that_only_its_owner_can_read(run: Run, tmp_path: Path) -> None:
    code, said = run("keygen", "-o", tmp_path / "new")
    assert code == 0
    assert mode(tmp_path / "new") == 0o600
    assert f"sealing key {SealingKey.load(tmp_path / 'new').id.hex()} in {tmp_path}/new" in said
    before = (tmp_path / "new").read_bytes()
    assert "is there already and stays as it is" in fails(run, "keygen", "-o", tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == before


def test_keygen_makes_a_pair_of_signing_keys(run: Run, tmp_path: Path) -> None:
    code, said = run("keygen", "--signing", "-o", tmp_path / "new")
    assert code == 0
    assert mode(tmp_path / "new") == 0o600
    public = PublicKey.load(tmp_path / "new.pub")
    assert SigningKey.load(tmp_path / "new").public == public
    assert str(public) in said


@pytest.mark.parametrize("there", ["new", "new.pub"])
def test_keygen_leaves_no_half_of_a_pair_behind(run: Run, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("dear")
    assert "is there already" in fails(run, "keygen", "--signing", "-o", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "dear"


@pytest.mark.parametrize("options", [[], ["--signing"]])
def test_keygen_prints_no_key(run: Run, options: list[str]) -> None:
    assert "keys are never printed" in fails(run, "keygen", "-o", "-", *options, status=2)
    assert not Path("-").exists()
    assert not Path("-.pub").exists()


def test_what_is_sealed_by_the_sender_is_decoded_by_the_receiver(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "packet"
    code, said = run("encode", "digits", "-o", target, "--seal", "key")
    assert code == 0, said
    sealed = target.read_bytes()
    assert f"3 images, {len(sealed)} bytes" in said
    packet = unseal(sealed, "key")
    assert is_packet(packet)
    code, said = run("decode", target, "-o", tmp_path / "out", "--key", "key")
    assert code == 0, said
    images = np.stack([read_image(tmp_path / "out" / f"{i}.png") for i in range(3)])
    np.testing.assert_array_equal(images, codec.decode(packet, "mnist"))


def test_one_image_is_sealed_in_the_compact_framing_too(run: Run, tmp_path: Path) -> None:
    sizes = {}
    for name, options in {"plain": [], "sealed": ["--seal", "key"]}.items():
        arguments = ["encode", "digits/1.png", "-o", str(tmp_path / name), "--compact", *options]
        assert run(*arguments)[0] == 0
        sizes[name] = (tmp_path / name).stat().st_size
    assert sizes["sealed"] == sizes["plain"] + OVERHEAD
    assert unseal((tmp_path / "sealed").read_bytes(), "key") == (tmp_path / "plain").read_bytes()


def test_a_sealed_packet_needs_its_key_and_an_unsealed_one_is_refused_with_one(
    run: Run, tmp_path: Path
) -> None:
    for name, options in {"plain": [], "sealed": ["--seal", "key"]}.items():
        assert run("encode", "digits", "-o", tmp_path / name, *options)[0] == 0
    decode: list[str | Path] = ["decode", "-o", tmp_path / "out"]
    sealed, plain = tmp_path / "sealed", tmp_path / "plain"
    assert "packet: it is sealed; open it with its key" in fails(run, *decode, sealed)
    assert "found a packet; it is not sealed" in fails(run, *decode, plain, "--key", "key")
    assert "sealed with the key" in fails(run, *decode, sealed, "--key", "other key")
    assert "found a signing key" in fails(run, *decode, sealed, "--key", "maker")
    assert "cannot be read" in fails(run, *decode, sealed, "--key", "gone")
    sealed.write_bytes(sealed.read_bytes()[:-1])
    assert "its tag does not match" in fails(run, *decode, sealed, "--key", "key")
    assert "its tag does not match" in fails(run, *decode, sealed, "--key", "key", "--salvage")
    assert not (tmp_path / "out").exists()


def test_a_key_that_cannot_be_used_is_told_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "packet"
    assert "found a public key" in fails(run, "encode", "digits", "-o", target, "--seal", loose(tmp_path))
    (tmp_path / "open").write_bytes(Path("key").read_bytes())
    (tmp_path / "open").chmod(0o644)
    said = fails(run, "encode", "digits", "-o", target, "--seal", tmp_path / "open")
    assert "expected a file that only its owner can read, found mode 644" in said
    assert not target.exists()


def loose(folder: Path) -> Path:
    """A public key in a file with a secret's mode."""
    path = folder / "public"
    path.write_bytes(Path("maker.pub").read_bytes())
    path.chmod(0o600)
    return path


def test_inspect_tells_that_a_packet_is_sealed_and_with_which_key(run: Run, tmp_path: Path) -> None:
    run("encode", "digits", "-o", tmp_path / "packet", "--seal", "key")
    code, said = run("inspect", tmp_path / "packet", "--json")
    size = (tmp_path / "packet").stat().st_size
    assert code == 0
    assert json.loads(said) == {
        "kind": "sealed packet",
        "version": 1,
        "key": SealingKey.load("key").id.hex(),
        "bytes": size,
        "packet_bytes": size - OVERHEAD,
    }


def test_a_stream_longer_than_may_be_held_is_not_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def pieces() -> Iterator[bytes]:
        for i in range(100):
            taken.append(i)
            yield bytes(1000)

    monkeypatch.setattr(limits, "DEFAULT_LIMITS", Limits(packet_bytes=10_000))
    with pytest.raises(LimitError, match="packet to be sealed: bytes: expected at most 10,000, found 11,000"):
        list(cli_keys.sealed(pieces(), SealingKey(bytes(32))))
    assert len(taken) == 11


def test_sign_and_verify_agree(run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_bytes(Path("decoder").read_bytes())
    code, said = run("sign", bundle, "--key", "stranger")
    assert (code, said) == (0, f"signed: {bundle}.sig\n")
    signer = PublicKey.load("stranger.pub")
    both = ["--key", "maker.pub", "--key", "stranger.pub"]
    for options in (["--key", "stranger.pub"], both):
        assert run("verify", bundle, *options) == (0, f"{bundle}: signed by {signer.id.hex()}\n")
    assert "expected one of those trusted" in fails(run, "verify", bundle, "--key", "maker.pub")
    assert "found a signing key" in fails(run, "verify", bundle, "--key", "stranger")
    assert "found a sealing key" in fails(run, "sign", bundle, "--key", "key")
    bundle.write_bytes(bundle.read_bytes() + b"\0")
    assert "does not match" in fails(run, "verify", bundle, *both)
    Path(f"{bundle}.sig").unlink()
    assert "not signed" in fails(run, "verify", bundle, *both)


def test_encode_decode_and_evaluate_refuse_what_nobody_trusted_signed(run: Run, tmp_path: Path) -> None:
    packet, out = tmp_path / "packet", tmp_path / "out"
    trust = ["--trust", "maker.pub"]
    commands: list[list[str | Path]] = [
        ["encode", "small.png", "-o", packet, "--encoder", "encoder"],
        ["decode", packet, "-o", out, "--decoder", "decoder"],
        [
            "evaluate",
            "--images",
            one_image(tmp_path),
            "--encoder",
            "encoder",
            "--decoder",
            "decoder",
            "-q",
            "0",
        ],
    ]
    for command in commands:
        assert "expected one of those trusted" in fails(run, *command, "--trust", "stranger.pub")
        code, said = run(*command, "--trust", "stranger.pub", *trust)
        assert code == 0, said
        shipped = [argument for argument in command if argument not in ("--encoder", "encoder")]
        shipped = [argument for argument in shipped if argument not in ("--decoder", "decoder")]
        assert "found a shipped pair" in fails(run, *shipped, *trust)


@pytest.mark.parametrize("foreign", ["encoder", "decoder"])
def test_evaluate_wants_both_bundles_signed(run: Run, tmp_path: Path, foreign: str) -> None:
    evaluate: list[str | Path] = [
        "evaluate",
        "--images",
        one_image(tmp_path),
        "-q",
        "0",
        "--trust",
        "maker.pub",
    ]
    for side in ("encoder", "decoder"):
        (tmp_path / side).write_bytes(Path(side).read_bytes())
        codec.sign_bundle(tmp_path / side, "stranger" if side == foreign else "maker")
        evaluate += [f"--{side}", tmp_path / side]
    said = fails(run, *evaluate)
    assert f"bundle {tmp_path}/{foreign}: signed by the key" in said


def one_image(folder: Path) -> Path:
    np.save(folder / "one.npy", np.zeros((1, 8, 8, 1), np.uint8))
    return folder / "one.npy"


def test_no_secret_is_in_anything_that_any_command_prints_or_logs(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="codec")
    packet, out, bundle = tmp_path / "packet", tmp_path / "out", tmp_path / "bundle"
    bundle.write_bytes(Path("decoder").read_bytes())
    assert run("keygen", "-o", tmp_path / "new")[0] == 0
    assert run("keygen", "-o", tmp_path / "pair", "--signing")[0] == 0
    text = (tmp_path / "new").read_text()
    for name, line in {"v2": text.replace("v1", "v2"), "damaged": text[:-3] + "AA\n", "open": text}.items():
        (tmp_path / name).write_text(line)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    secrets: list[str | Path] = [tmp_path / name for name in ("new", "pair", "v2", "damaged", "open")]
    commands: list[list[str | Path]] = [["encode", "digits", "-o", packet, "--seal", tmp_path / "new"]]
    for secret in secrets:
        commands += [
            ["keygen", "-o", secret],
            ["keygen", "--signing", "-o", secret],
            ["encode", "digits", "-o", tmp_path / "again", "--seal", secret],
            ["encode", "small.png", "-o", tmp_path / "again", "--encoder", "encoder", "--trust", secret],
            ["decode", packet, "-o", out, "--key", secret],
            ["decode", packet, "-o", out, "--decoder", "decoder", "--trust", secret],
            ["decode", secret, "-o", out],
            ["sign", bundle, "--key", secret],
            ["verify", bundle, "--key", secret],
            ["sign", secret, "--key", tmp_path / "pair"],
            ["evaluate", "--images", "digits", "--trust", secret],
        ]
    commands += [
        ["encode", "digits", "-o", packet, "--seal", text.strip()],
        ["decode", packet, "-o", out, "--key", text.strip()],
        ["sign", bundle, "--key", text.strip()],
        ["verify", bundle, "--key", text.strip()],
        ["decode", packet, "-o", out, "--trust", text.strip()],
        ["inspect", packet],
        ["inspect", packet, "--json"],
    ]
    told, statuses = "", set()
    for command in commands:
        status, said = run(*command)
        told += said
        statuses.add(status)
    told += caplog.text
    assert statuses == {0, 1, 2}
    assert len(told.splitlines()) >= len(commands)
    keys: list[Any] = [SealingKey.load(tmp_path / "new"), SigningKey.load(tmp_path / "pair")]
    for key in keys:
        part = key._raw[6:18]  # whole groups of base64's three
        for form in (part.hex(), part.hex(" "), base64.b64encode(part).decode(), repr(part)[2:-1]):
            assert form not in told


def test_the_commands_work_in_a_process_of_their_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def codec_command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "codec", *map(str, arguments)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert codec_command("keygen", "-o", tmp_path / "key").returncode == 0
    assert mode(tmp_path / "key") == 0o600
    done = codec_command("verify", "decoder", "--key", "stranger.pub")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("codec: bundle decoder: signed by the key")
    assert "keygen" in codec_command("--help").stdout
    odd = os.fsencode(tmp_path) + b"/\xff"  # a name that is no text
    Path(os.fsdecode(odd)).write_bytes((folder / "decoder").read_bytes())
    assert codec_command("sign", os.fsdecode(odd), "--key", "stranger").returncode == 0
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    done = codec_command("verify", os.fsdecode(odd), "--key", "stranger.pub")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}/\\udcff: signed by ")


def test_without_the_optional_part_the_commands_name_the_way_to_get_it(folder: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['cryptography'] = None; from codec.cli import main; main()"
    sealed = tmp_path / "sealed"
    sealed.write_bytes(b"\x5e\xa1\x01" + SealingKey.load(folder / "key").id + bytes(50))
    for arguments in (
        ["keygen", "--signing", "-o", str(tmp_path / "pair")],
        ["verify", "decoder", "--key", "maker.pub"],
        ["decode", str(sealed), "-o", str(tmp_path / "out"), "--key", "key"],
        ["encode", "no such image", "-o", str(tmp_path / "packet"), "--seal", "key"],  # before any is read
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, arguments
        assert done.stderr.count("\n") == 1
        assert done.stderr.endswith("run: pip install 'split-codec[secure]'\n")
    assert not (tmp_path / "pair").exists()
    assert not (tmp_path / "pair.pub").exists()

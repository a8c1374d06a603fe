"""Sealed packets: known answers, an independent AES-GCM, and every way in which one must not open."""

import re
import secrets
import subprocess
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import example, given
from hypothesis import strategies as st

import codec
from codec import sealing
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import CodecError, LimitError, OptionError, PacketError, SealError
from codec.keys import SealingKey
from codec.limits import Limits
from codec.sealing import OVERHEAD, is_sealed, seal, unseal

KEY = SealingKey(bytes(range(32)))
OTHER = SealingKey(bytes(range(1, 33)))
PACKET = bytes.fromhex("a6c69ecb") + b"any bytes, as sealing looks only at how a packet begins"
NONCE = bytes(range(100, 112))
SEALED = bytes.fromhex(
    "5ea1"  # magic
    "01"  # version
    "cf004193"  # id of the key
    "6465666768696a6b6c6d6e6f"  # nonce
    "eedd40ad18872fbe5c1b2b8da9494a9c31e2756fea009a1cc0f1c02794c8d668"
    "fb872cb96c73ef24959c0f1f9c62baae7830fd930028244f939fdf"  # ciphertext
    "64a425c463ad3fcba1adb49a910b03ad"  # tag
)
HEADER = 2 + 1 + 4 + 12


def gcm(key: bytes, nonce: bytes, text: bytes, associated: bytes) -> tuple[bytes, bytes]:
    """AES-GCM as NIST SP 800-38D defines it, from the block cipher alone: the other text, and the tag.

    ``text`` is the plaintext; of a ciphertext the first result is the plaintext, and the tag is meaningless.
    """

    def block(data: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        return encryptor.update(data) + encryptor.finalize()

    def product(x: int, y: int) -> int:
        z = 0
        for i in range(127, -1, -1):
            if x >> i & 1:
                z ^= y
            y = (y >> 1) ^ (0xE1 << 120 if y & 1 else 0)
        return z

    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 16)

    stream = b"".join(block(nonce + (2 + i).to_bytes(4, "big")) for i in range((len(text) + 15) // 16))
    output = bytes(a ^ b for a, b in zip(text, stream, strict=False))
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(output)).to_bytes(8, "big")
    hashed, h = 0, int.from_bytes(block(bytes(16)), "big")
    data = padded(associated) + padded(output) + lengths
    for start in range(0, len(data), 16):
        hashed = product(hashed ^ int.from_bytes(data[start : start + 16], "big"), h)
    mask = int.from_bytes(block(nonce + (1).to_bytes(4, "big")), "big")
    return output, (hashed ^ mask).to_bytes(16, "big")


GCM_VECTORS = [  # test cases 13, 14 and 16 of "The Galois/Counter Mode of Operation", McGrew and Viega
    ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]


@pytest.mark.parametrize("vector", GCM_VECTORS, ids=["13", "14", "16"])
def test_the_cipher_gives_the_known_answers(vector: tuple[str, ...]) -> None:
    key, nonce, plain, associated, ciphertext, tag = map(bytes.fromhex, vector)
    assert sealing.cipher(SealingKey(key)).encrypt(nonce, plain, associated) == ciphertext + tag
    assert gcm(key, nonce, plain, associated) == (ciphertext, tag)


def test_a_sealed_packet_is_what_the_document_says_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fixed(count: int) -> bytes:
        assert count == 12
        return NONCE

    monkeypatch.setattr(secrets, "token_bytes", fixed)
    assert seal(PACKET, KEY) == SEALED
    assert unseal(SEALED, KEY) == PACKET


def test_a_sealed_packet_is_read_by_hand() -> None:
    sealed = seal(PACKET, KEY)
    assert len(sealed) == len(PACKET) + OVERHEAD == len(PACKET) + 35
    header, ciphertext, tag = sealed[:HEADER], sealed[HEADER:-16], sealed[-16:]
    assert header[:3] == b"\x5e\xa1\x01"
    assert header[3:7] == KEY.id
    plain, _ = gcm(bytes(range(32)), header[7:], ciphertext, header)
    assert plain == PACKET
    assert gcm(bytes(range(32)), header[7:], plain, header) == (ciphertext, tag)


def test_a_packet_of_every_framing_comes_back_as_it_was(
    small_pair: tuple[Encoder, Decoder],
) -> None:
    encoder, decoder = small_pair
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), np.uint8)
    packets = [
        encoder.encode(images[0], names=["a.png"]),
        encoder.encode(images),
        b"".join(encoder.encode_stream([images])),
        encoder.encode(images[0], compact=True),
    ]
    for packet in packets:
        opened = unseal(seal(packet, KEY), KEY)
        assert opened == packet
        np.testing.assert_array_equal(decoder.decode(opened), decoder.decode(packet))


def test_no_two_sealed_packets_are_alike() -> None:
    sealed = [seal(PACKET, KEY) for _ in range(500)]
    assert len({one[7:HEADER] for one in sealed}) == 500
    assert len({one[HEADER:] for one in sealed}) == 500


def test_a_sealed_packet_begins_like_no_packet_and_no_bundle() -> None:
    from codec.bundle import is_bundle
    from codec.packet import is_packet

    assert is_sealed(SEALED)
    assert not is_packet(SEALED)
    assert not is_bundle(SEALED)
    with pytest.raises(UnicodeDecodeError):
        SEALED[:2].decode()


def test_every_flipped_bit_is_noticed() -> None:
    for i in range(8 * len(SEALED)):
        flipped = bytearray(SEALED)
        flipped[i // 8] ^= 1 << i % 8
        with pytest.raises(SealError):
            unseal(bytes(flipped), KEY)


@pytest.mark.parametrize("at", range(HEADER))
def test_every_byte_of_the_header_is_authenticated(at: int) -> None:
    """The nonce too, which the ciphertext depends on anyway: the tag covers it as such."""
    changed = bytearray(SEALED[:HEADER])
    changed[at] ^= 255
    cipher = sealing.cipher(KEY)
    assert cipher.decrypt(NONCE, SEALED[HEADER:], SEALED[:HEADER]) == PACKET
    forged = bytes(changed) + cipher.encrypt(bytes(changed[7:]), PACKET, SEALED[:HEADER])
    with pytest.raises(SealError):
        unseal(forged, KEY)


def test_the_key_id_is_authenticated_beside_being_compared() -> None:
    forged = SEALED[:3] + OTHER.id + SEALED[7:HEADER]
    forged += sealing.cipher(OTHER).encrypt(NONCE, PACKET, SEALED[:HEADER])
    with pytest.raises(SealError, match="its tag does not match"):
        unseal(forged, OTHER)


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_every_prefix_is_refused(length: int) -> None:
    with pytest.raises(SealError):
        unseal(SEALED[:length], KEY)


def test_more_bytes_behind_the_tag_are_refused() -> None:
    for more in (b"\0", SEALED):
        with pytest.raises(SealError, match="its tag does not match"):
            unseal(SEALED + more, KEY)


def test_another_key_is_named_and_not_taken_for_damage() -> None:
    ids = KEY.id.hex(), OTHER.id.hex()
    message = f"sealed packet: sealed with the key {ids[0]}, but this is {ids[1]}; use the sender's key"
    with pytest.raises(SealError, match=f"^{re.escape(message)}$"):
        unseal(SEALED, OTHER)


def test_another_version_is_named_before_anything_behind_it_is_read() -> None:
    message = "sealed packet: expected version 1, found 2; update split-codec to read it"
    for rest in (b"", SEALED[3:]):
        with pytest.raises(SealError, match=f"^{message}$"):
            unseal(SEALED[:2] + b"\x02" + rest, KEY)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (PACKET, "a packet"),
        (b"\xc3\x7a" + bytes(40), "a packet"),
        (b"hello", "5 bytes that begin with 68 65 6c 6c 6f"),
        (b"", "nothing"),
    ],
)
def test_a_receiver_who_demands_sealing_gets_nothing_unsealed(data: bytes, found: str) -> None:
    message = f"sealed packet: expected it to begin with 5e a1, found {found}; it is not sealed"
    with pytest.raises(SealError, match=f"^{re.escape(message)}"):
        unseal(data, KEY)


@pytest.mark.parametrize(
    ("data", "found"), [(SEALED, "a sealed packet"), (b"text", "4 bytes that begin with 74 65 78 74")]
)
def test_only_packets_are_sealed(data: bytes, found: str) -> None:
    with pytest.raises(SealError, match=f"^sealing: expected a packet, found {found}$"):
        seal(data, KEY)


def test_what_a_key_holder_sealed_that_is_no_packet_is_refused() -> None:
    sealed = SEALED[:HEADER] + sealing.cipher(KEY).encrypt(NONCE, b"text", SEALED[:HEADER])
    with pytest.raises(SealError, match=r"^sealed packet: expected a packet in it, found 4 bytes"):
        unseal(sealed, KEY)


def test_sealed_packets_are_held_to_the_limits_by_both_sides() -> None:
    tight = Limits(packet_bytes=len(SEALED) - 1)
    for side, data in ((seal, PACKET), (unseal, SEALED)):
        with pytest.raises(LimitError, match=rf"^sealed packet: bytes: expected at most {len(SEALED) - 1}"):
            side(data, KEY, tight)
    assert unseal(seal(PACKET, KEY, Limits(packet_bytes=len(SEALED))), KEY, Limits(packet_bytes=len(SEALED)))


def test_what_the_cipher_cannot_take_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_MOST_BYTES", len(SEALED) - 1)
    wide = Limits(packet_bytes=1 << 40)
    for side, data in ((seal, PACKET), (unseal, SEALED)):
        with pytest.raises(LimitError, match=r"^sealed packet: expected at most"):
            side(data, KEY, wide)


def test_a_decoder_says_that_a_packet_is_sealed(small_pair: tuple[Encoder, Decoder]) -> None:
    message = "packet: it is sealed; open it with its key: codec.unseal, or codec decode --key"
    with pytest.raises(PacketError, match=f"^{message}$"):
        small_pair[1].decode(SEALED)


def test_inspect_tells_of_a_sealed_packet_what_can_be_told_without_the_key() -> None:
    report = codec.inspect(SEALED)
    assert report.kind == "sealed packet"
    assert (
        report.to_text().split()
        == (
            f"kind sealed packet version 1 key {KEY.id.hex()} bytes {len(SEALED)} packet_bytes {len(PACKET)}"
        ).split()
    )
    for broken in (SEALED[:2] + b"\x02", SEALED[:30]):
        with pytest.raises(SealError):
            codec.inspect(broken)
    with pytest.raises(LimitError):
        codec.inspect(SEALED, Limits(packet_bytes=30))


@given(st.binary(max_size=200))
@example(b"")
@example(SEALED[:HEADER])
def test_any_bytes_are_refused_with_the_projects_own_error(data: bytes) -> None:
    for attempt in (data, SEALED[:2] + data, SEALED[:7] + data, SEALED[:HEADER] + data):
        with pytest.raises(CodecError):
            unseal(attempt, KEY)


@given(st.binary(max_size=300))
def test_any_packet_comes_back(rest: bytes) -> None:
    for start in (b"\xc3\x7a", b"\xa0"):
        assert unseal(seal(start + rest, KEY), KEY) == start + rest


@pytest.mark.parametrize(
    "key", [bytes(range(32)), bytearray(32), None, 5], ids=["bytes", "bytearray", "None", "5"]
)
def test_what_is_no_key_is_refused_without_showing_it(key: object) -> None:
    message = f"sealing key: expected a SealingKey or the path of its file, found {type(key).__name__}"
    with pytest.raises(OptionError, match=f"^{message}$"):
        seal(PACKET, key)  # type: ignore[arg-type]


def test_sealing_loads_neither_numpy_nor_jax_and_no_cryptography_before_it_is_used() -> None:
    code = """
import sys, codec
key = codec.SealingKey(bytes(32))
assert "cryptography" not in sys.modules
codec.unseal(codec.seal(b"\\xa0 packet", key), key)
assert "cryptography" in sys.modules
assert not {"numpy", "jax", "msgpack"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_the_optional_part_the_way_to_get_it_is_told() -> None:
    code = """
import sys, codec
sys.modules["cryptography"] = None
key = codec.SealingKey(bytes(32))
signer = codec.SigningKey(bytes(32))
sealed = b"\\x5e\\xa1\\x01" + key.id + bytes(50)
calls = [
    lambda: codec.seal(b"\\xa0 packet", key), lambda: codec.unseal(sealed, key),
    lambda: signer.public, lambda: signer.sign(b""),
    lambda: codec.PublicKey(bytes(32)).verifies(bytes(64), b""),
]
for call in calls:
    try:
        call()
    except codec.MissingExtraError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.count("run: pip install 'split-codec[secure]'\n") == 5, done.stderr

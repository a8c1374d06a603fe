"""A second, independent reader of bundles and packets, written from docs/bundle.md and
docs/packet.md alone: plain, slow and strict, so that the library and the two pages can be tested
against it. It shares no code with the library and raises `ValueError` for whatever it refuses.
"""

import binascii
import math
import re
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SYMBOLS, MAX_DEPTH = 2**24, 16
BATCH, STREAM, SHAPE, NAMES = 1, 2, 4, 8
SHARED = "architecture image context steps table_low table_length table_frequencies"
SHARED += " analysis_sha256 synthesis_sha256"
SIZED = {  # MessagePack's first byte: kind, bytes of the value or length, the least of these
    **{0xC4: ("bin", 1, 0), 0xC5: ("bin", 2, 2**8), 0xC6: ("bin", 4, 2**16)},
    **{0xCC: ("int", 1, 2**7), 0xCD: ("int", 2, 2**8), 0xCE: ("int", 4, 2**16)},
    **{0xCF: ("int", 8, 2**32), 0xDC: ("array", 2, 2**4), 0xDD: ("array", 4, 2**16)},
    **{0xD9: ("str", 1, 2**5), 0xDA: ("str", 2, 2**8), 0xDB: ("str", 4, 2**16)},
    **{0xDE: ("map", 2, 2**4), 0xDF: ("map", 4, 2**16)},
}
NAME = re.compile(r"(?!\.\.?\Z)[^/\\\x00-\x1f\x7f]+")
Table = tuple[int, list[int]]  # lowest symbol; bounds of the entries, 0 to 2^24, none if certain
FLAT = [entry * 2**16 for entry in range(257)]


@dataclass(frozen=True)
class Bundle:
    """One side of a pair; `tables` is indexed by quality, then by context."""

    side: str
    pair: bytes
    architecture: dict[str, Any]
    image: tuple[int, int]
    steps: NDArray[np.float32]
    tables: list[list[Table]]
    weights: dict[str, NDArray[np.float32]]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Decoded:
    """The content of one packet; `symbols` and `codes` are [image, row, column, channel]."""

    quality: int
    height: int
    width: int
    names: list[str] | None
    symbols: NDArray[np.int32]
    codes: NDArray[np.float32]


def require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


class Cursor:
    """Bytes and a place in them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        require(0 <= count <= len(self.data) - self.at, "cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            group = self.number(1)
            value |= (group & 127) << shift
            require(group > 0 or shift == 0, "varint with a superfluous zero group")
            if group < 128:
                return value
        raise ValueError("varint of more than five bytes")


class Map(dict[str, Any]):
    """A MessagePack map, with the bytes that it was read from."""

    encoding = b""


def read_value(cursor: Cursor, depth: int = 0) -> Any:
    """The MessagePack value at the cursor, if all in it is in its shortest form."""
    require(depth < MAX_DEPTH, "nested too deeply")
    start, first = cursor.at, cursor.number(1)
    if first < 0x80 or first >= 0xE0:
        return first if first < 0x80 else first - 256
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first]
    if first == 0xCB:
        return struct.unpack(">d", cursor.take(8))[0]
    if 0xD0 <= first <= 0xD3:
        size = 1 << (first - 0xD0)
        value = int.from_bytes(cursor.take(size), "big", signed=True)
        require(value < min(-(2**5), -(2 ** (4 * size - 1))), "not in its shortest form")
        return value
    if first < 0xC0:
        short = {0x80: ("map", first & 15), 0x90: ("array", first & 15)}
        kind, count = short.get(first & 0xF0, ("str", first & 31))
    else:
        require(first in SIZED, f"MessagePack type {first:#x} is not used here")
        kind, size, least = SIZED[first]
        count = int.from_bytes(cursor.take(size), "big")
        require(count >= least, "not in its shortest form")
    if kind == "int":
        return count
    if kind in ("bin", "str"):
        data = cursor.take(count)
        return data.decode() if kind == "str" else data
    if kind == "array":
        return [read_value(cursor, depth + 1) for _ in range(count)]
    result = Map()
    for _ in range(count):
        key = read_value(cursor, depth + 1)
        require(isinstance(key, str) and key not in result, "key not a string, or twice")
        result[key] = read_value(cursor, depth + 1)
    result.encoding = cursor.data[start : cursor.at]
    return result


def unpack(data: Any) -> Any:
    require(isinstance(data, bytes), "not bytes")
    cursor = Cursor(data)
    value = read_value(cursor)
    require(cursor.at == len(data), "bytes after the value")
    return value


def fields(value: Any, keys: str) -> list[Any]:
    """The values of a map that has to have exactly these keys, in this order."""
    require(isinstance(value, Map) and list(value) == keys.split(), f"not a map of {keys}")
    return list(value.values())


def integer(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def plain(value: Any) -> bool:
    parts = value.values() if isinstance(value, Map) else value if isinstance(value, list) else ()
    return not isinstance(value, bytes) and all(plain(part) for part in parts)


def tensor(value: Any, name: str, dtype: str, *shape: int | None) -> NDArray[Any]:
    """A tensor that has to have this name, type and shape (None: any length)."""
    *kind, lengths, data = fields(value, "name dtype shape data")
    require(kind == [name, dtype], f"{name}: other name or type")
    whole = isinstance(lengths, list) and all(integer(n, 0, 2**32) for n in lengths)
    require(whole and len(lengths) == len(shape), f"{name}: other dimensions")
    require(all(b in (a, None) for a, b in zip(lengths, shape, strict=True)), f"{name}: shape")
    stored = np.dtype(dtype).newbyteorder("<")
    fits = isinstance(data, bytes) and len(data) == math.prod(lengths) * stored.itemsize
    require(fits, f"{name}: not as many values as its shape says")
    array = np.frombuffer(data, stored).reshape(lengths).astype(dtype)
    require(np.isfinite(array).all(), f"{name}: not finite")
    return array


def read_tables(tensors: list[Any], qualities: int, contexts: int) -> list[list[Table]]:
    low = tensor(tensors[0], "table_low", "int32", qualities, contexts)
    length = tensor(tensors[1], "table_length", "int32", qualities, contexts)
    require(((length == 0) | (length >= 2)).all(), "table length below 0, or 1")
    total = int(length.sum(dtype=np.int64))
    rest = tensor(tensors[2], "table_frequencies", "uint16", total).astype(np.int64)
    tables: list[Table] = []
    for least, count in zip(low.ravel().tolist(), length.ravel().tolist(), strict=True):
        most = least + max(count - 2, 0)
        require(least >= -(2**15) and most < 2**15, "table symbol beyond 16 bits")
        own, rest = rest[:count], rest[count:]
        good = (own >= 1).all() and own.sum() == (2**16 if count else 0)
        require(good, "table frequencies not at least 1 with a sum of 65,536")
        tables.append((least, [0, *(np.cumsum(own) * 256).tolist()] if count else []))
    return [tables[q * contexts : (q + 1) * contexts] for q in range(qualities)]


def read_weights(values: Any, side: str, architecture: Map) -> dict[str, NDArray[np.float32]]:
    image, code, layers, filters = list(architecture.values())[1:]
    if side == "encoder":
        names = [f"convolution_{i}" for i in range(layers)]
        widths = [image, *[filters] * (layers - 1), code]
    else:
        names = [*(f"transposed_{i}" for i in range(layers)), "convolution"]
        widths = [code, *[filters] * layers, image]
    require(isinstance(values, list) and len(values) == 2 * len(names), "not as many weights")
    weights = {}
    for i, name in enumerate(names):
        bias, kernel, shape = f"{name}/bias", f"{name}/kernel", (3, 3, *widths[i : i + 2])
        weights[bias] = tensor(values[2 * i], bias, "float32", shape[-1])
        weights[kernel] = tensor(values[2 * i + 1], kernel, "float32", *shape)
    return weights


def read_bundle(data: bytes) -> Bundle:
    """Read one file of a pair."""
    file = unpack(data)
    require(isinstance(file, Map) and file.get("format") == "codec bundle", "not a codec bundle")
    require(integer(file.get("version"), 1, 1), f"unknown version {file.get('version')!r}")
    *_, digest, body = fields(file, "format version sha256 body")
    require(isinstance(body, bytes) and sha256(body).digest() == digest, "bundle is damaged")
    side, shared, values, provenance = fields(unpack(body), "side shared weights provenance")
    require(side in ("encoder", "decoder"), "neither encoder nor decoder")
    require(isinstance(provenance, Map) and plain(provenance), "provenance not plain values")

    architecture, image, context, steps, *tensors, inward, outward = fields(unpack(shared), SHARED)
    kind, *numbers = fields(architecture, "kind image_channels code_channels layers filters")
    require(kind == "convolutional" and context == "channel", "unknown architecture or context")
    require(all(integer(n, 1, 2**16) for n in numbers), "architecture out of bounds")
    require(isinstance(image, list) and len(image) == 2, "image size not two integers")
    require(all(integer(n, 1, 2**16 - 1) for n in image), "image size out of bounds")
    for digest in (inward, outward):
        require(isinstance(digest, bytes) and len(digest) == 32, "digest not 32 bytes")
    contexts = architecture["code_channels"]
    steps = tensor(steps, "steps", "float32", None, contexts)
    require(1 <= len(steps) <= 256, "not 1 to 256 qualities")
    require((steps > 0).all(), "step not positive")
    tables = read_tables(tensors, len(steps), contexts)
    weights = read_weights(values, side, architecture)
    digest = sha256(b"".join(value.encoding for value in values)).digest()
    require(digest == (inward if side == "encoder" else outward), "weights are not the pair's")
    pair, size = sha256(shared).digest(), (image[0], image[1])
    return Bundle(side, pair, architecture, size, steps, tables, weights, provenance)


class RangeDecoder:
    """The range decoder, in the words of docs/packet.md."""

    def __init__(self, payload: bytes) -> None:
        require(not payload.endswith(b"\0"), "payload ends with a zero byte")
        self.payload, self.words = payload, 0
        self.lower, self.range = 0, 2**64 - 1
        self.point = self.word() << 32 | self.word()

    def word(self) -> int:
        word = self.payload[4 * self.words : 4 * self.words + 4]
        self.words += 1
        return int.from_bytes(word.ljust(4, b"\0"), "big")

    def entries(self, bounds: list[int], count: int) -> list[int]:
        """The next `count` entries, of one table."""
        found = []
        for _ in range(count):
            scale = self.range >> 24
            quantile = (self.point - self.lower) % 2**64 // scale
            require(quantile < 2**24, "payload is no string of this coder")
            entry = bisect_right(bounds, quantile) - 1
            found.append(entry)
            self.lower = (self.lower + scale * bounds[entry]) % 2**64
            self.range = scale * (bounds[entry + 1] - bounds[entry])
            if self.range < 2**32:
                self.lower = (self.lower << 32) % 2**64
                self.range <<= 32
                self.point = (self.point << 32) % 2**64 | self.word()
        return found


def read_payload(payload: bytes, tables: list[Table], shape: list[int]) -> NDArray[np.int32]:
    """The symbols of one chunk, [N, h, w, C]."""
    symbols = np.empty(shape, np.int32)
    decoder = RangeDecoder(payload)
    for context, (low, bounds) in enumerate(tables):
        symbols[..., context] = low
        if bounds:
            entries = decoder.entries(bounds, math.prod(shape[:3]))
            run, escape = np.array(entries, np.int32) + low, len(bounds) - 2
            escaped = [place for place, entry in enumerate(entries) if entry == escape]
            octets = decoder.entries(FLAT, 2 * len(escaped))
            for place, high, rest in zip(escaped, octets[::2], octets[1::2], strict=True):
                run[place] = 256 * high + rest - 32768
                require(not low <= run[place] < low + escape, "escaped symbol that has an entry")
            symbols[..., context] = run.reshape(shape[:3])
    require(len(payload) <= 4 * decoder.words, "payload longer than the words read")
    return symbols


def read_names(cursor: Cursor, count: int) -> list[str]:
    names = cursor.take(cursor.varint()).decode().split("/")
    require(len(names) == count, "not one name for each image")
    require(all(NAME.fullmatch(name) for name in names), "name empty, a path or of odd characters")
    require(all(len(name.encode()) <= 255 for name in names), "name of more than 255 bytes")
    return names


def read_stream(cursor: Cursor, header: bytes) -> list[tuple[int, bytes]]:
    """The number of images and the body of each chunk."""
    require(cursor.number(4) == zlib.crc32(header), "header is damaged")
    chunks: list[tuple[int, bytes]] = []
    marker, images = b"", 0
    while marker != b"\xf1END":
        start, marker = cursor.at, cursor.take(4)
        require(marker in (b"\xf1CHK", b"\xf1END"), "neither chunk nor trailer")
        require(cursor.number(4) == images, "images are missing")
        if marker == b"\xf1CHK":
            count = cursor.number(2)
            require(count >= 1, "chunk without images")
            chunks.append((count, cursor.take(cursor.number(4))))
            images += count
        check = zlib.crc32(header + cursor.data[start : cursor.at])
        require(check == cursor.number(4), "chunk or trailer is damaged")
    require(cursor.at == len(cursor.data), "bytes after the trailer")
    return chunks


def read_packet(packet: bytes, bundle: Bundle) -> Decoded:
    """Decode one packet of any of the four framings."""
    require(len(packet) >= 6, "too short for a packet")
    cursor, flags, (height, width) = Cursor(packet), 0, bundle.image
    if packet[0] >> 4 == 0xA:
        quality, digest = cursor.number(1) & 15, cursor.take(3)
        check = binascii.crc_hqx(packet[:-2], 0xFFFF).to_bytes(2, "little")
        require(packet.endswith(check), "packet is damaged")
        chunks = [(1, packet[4:-2])]
    else:
        require(cursor.take(2) == b"\xc3\x7a", "not a packet")
        version, flags = divmod(cursor.number(1), 16)
        require(version == 1, f"unknown version {version}")
        quality, digest = cursor.number(1), cursor.take(4)
        require(flags & (BATCH | STREAM) != BATCH | STREAM, "both batch and stream")
        if flags & SHAPE:
            height, width = cursor.number(2), cursor.number(2)
            require(height >= 1 and width >= 1, "image without pixels")
            require((height, width) != bundle.image, "states the pair's own image size")
        if flags & STREAM:
            chunks = read_stream(cursor, packet[: cursor.at])
        else:
            cursor.data, check = packet[:-4], zlib.crc32(packet[:-4]).to_bytes(4, "little")
            require(packet.endswith(check), "packet is damaged")
            images = cursor.varint() if flags & BATCH else 1
            require(images >= 2 or not flags & BATCH, "batch of fewer than two images")
            chunks = [(images, cursor.take(len(cursor.data) - cursor.at))]
    require(bundle.pair.startswith(digest), "packet of another pair")
    require(quality < len(bundle.steps), "quality that the pair does not have")

    stride, channels = 2 ** bundle.architecture["layers"], bundle.architecture["code_channels"]
    grid = [-(-height // stride), -(-width // stride), channels]
    claim = sum(count for count, _ in chunks) * math.prod(grid)
    require(claim <= MAX_SYMBOLS, "packet claims too many symbols")
    names: list[str] = []
    parts = [np.empty((0, *grid), np.int32)]
    for count, body in chunks:
        cursor = Cursor(body)
        names += read_names(cursor, count) if flags & NAMES else []
        parts.append(read_payload(body[cursor.at :], bundle.tables[quality], [count, *grid]))
    symbols = np.concatenate(parts)
    with np.errstate(over="ignore"):
        codes = symbols.astype(np.float32) * bundle.steps[quality]
    return Decoded(quality, height, width, names if flags & NAMES else None, symbols, codes)


def synthesise(bundle: Bundle, codes: NDArray[np.float32]) -> NDArray[np.float64]:
    """The images [N, H, W, K], in 0 to 1 and of whole multiples of the stride, of some codes."""
    require(bundle.side == "decoder", "images need a decoder bundle")
    weights = {name: array.astype(np.float64) for name, array in bundle.weights.items()}
    x = codes.astype(np.float64)
    for i in range(bundle.architecture["layers"]):
        kernel, bias = weights[f"transposed_{i}/kernel"], weights[f"transposed_{i}/bias"]
        n, h, w, _ = x.shape
        y = np.zeros((n, 2 * h + 1, 2 * w + 1, len(bias)))
        for r, c in np.ndindex(3, 3):
            y[:, 2 - r : 2 - r + 2 * h : 2, 2 - c : 2 - c + 2 * w : 2] += x @ kernel[r, c]
        x = np.maximum(y[:, :-1, :-1] + bias, 0)
    kernel, bias, (n, h, w, _) = weights["convolution/kernel"], weights["convolution/bias"], x.shape
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = sum(x[:, r : r + h, c : c + w] @ kernel[r, c] for r, c in np.ndindex(3, 3)) + bias
    return np.exp(-np.logaddexp(0, -y))

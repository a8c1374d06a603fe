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
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SYMBOLS, MAX_DEPTH, TILE = 2**24, 16, 512
BATCH, STREAM, SHAPE, NAMES = 1, 2, 4, 8
SHARED = "architecture image context steps table_low table_length table_frequencies"
SHARED += " analysis_sha256 synthesis_sha256"
KINDS = {  # the most that each value of an architecture may be; the least is 1, but for `blocks` 0
    "convolutional": {"image_channels": 4, "code_channels": 1024, "layers": 6, "filters": 1024},
    "upsampling": {"image_channels": 4, "code_channels": 1024, "layers": 6, "filters": 1024},
    "dense": {
        **{"image_channels": 4, "code_channels": 1024, "layers": 6, "rows": 1024, "columns": 1024},
        **{"filters": 1024, "units": 16384, "elements": 65536, "qualities": 256},
    },
    "residual": {
        **{"image_channels": 4, "code_channels": 1024, "layers": 6},
        **{"filters": 1024, "blocks": 16, "qualities": 256},
    },
}
CONTEXT = "groups units weights input_gain hidden_bias hidden_shift output_gain output_bias table_index"
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


Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Context:
    """A context model; `matrices` are the H and the O of each group or, if spatial, pass but the first."""

    spatial: bool
    groups: list[int]
    matrices: list[tuple[Integers, Integers]]
    input_gain: Integers
    hidden_bias: Integers
    hidden_shift: Integers
    output_gain: Integers
    output_bias: Integers
    table_index: Integers


@dataclass(frozen=True)
class Bundle:
    """One side of a pair; `tables` has a row for each quality, or one alone if there is a `context`."""

    side: str
    pair: bytes
    architecture: dict[str, Any]
    image: tuple[int, int]
    context: Context | None
    steps: NDArray[np.float32]
    tables: list[list[Table]]
    weights: dict[str, NDArray[Any]]
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


def grid(architecture: dict[str, Any], height: int, width: int) -> tuple[int, int, int]:
    """Rows, columns and channels of the codes of an image."""
    stride, cells = 2 ** architecture["layers"], 2 if architecture["kind"] == "residual" else 1
    rows, columns = (-(-size // (stride * cells)) * cells for size in (height, width))
    return rows, columns, architecture["code_channels"]


def read_architecture(value: Any) -> Map:
    require(isinstance(value, Map) and value.get("kind") in [*KINDS], "unknown architecture")
    most = KINDS[value["kind"]]
    _, *values = fields(value, " ".join(["kind", *most]))
    for (key, bound), given in zip(most.items(), values, strict=True):
        if several := value["kind"] == "dense" and key == "filters":
            require(isinstance(given, list) and len(given) == value["layers"], "filters: one a layer")
        numbers = given if several else [given]
        least = 0 if key == "blocks" else 1
        require(all(integer(n, least, bound) for n in numbers), f"{key} out of bounds")
    if value["kind"] == "dense":
        values = [value["rows"], value["columns"], value["code_channels"]]
        require(value["elements"] <= math.prod(values), "more elements than codes")
    if value["kind"] == "residual":
        require(value["filters"] % 2 == 0, "filters not even")
    assert isinstance(value, Map)
    return value


def matrix_shapes(groups: list[int], units: int, spatial: bool) -> list[tuple[int, int]]:
    """H and O of each group or, if spatial, of each pass, but of the first."""
    shapes = []
    for step in range(1, len(groups) * (1 + spatial)):
        g, odd = divmod(step, 2) if spatial else (step, 0)
        n, m = sum(groups[:g]), groups[g]
        if spatial:
            r = 9 * n + 4 * m * odd
            shapes += [(r, units), (r + units, 2 * m)]
        else:
            shapes += [(n, units), (n + g * units, 2 * m)]
    return shapes


def read_context(value: Any, architecture: Map, codes: int, qualities: int, tables: int) -> Context:
    if spatial := isinstance(value, Map) and "kind" in value:
        require(architecture["kind"] == "residual", "spatial context model of another architecture")
        kind, groups, units, *tensors = fields(value, f"kind {CONTEXT}")
        require(kind == "spatial", "unknown kind of context model")
    else:
        groups, units, *tensors = fields(value, CONTEXT)
    require(isinstance(groups, list) and 1 <= len(groups) <= 64, "not 1 to 64 groups")
    require(all(integer(n, 1, 2**16) for n in [*groups, units]), "groups or units out of bounds")
    total, later = sum(groups), len(groups) * (1 + spatial) - 1
    require(total <= codes, "more elements than codes")
    if spatial:
        require(total == 4 * architecture["code_channels"], "not as many elements as a block")
    shapes = matrix_shapes(groups, units, spatial)
    parities = (2,) if spatial else ()
    sizes = [math.prod(shape) for shape in shapes]

    limits: list[tuple[int, int, tuple[int | None, ...]]] = [
        (-127, 127, (sum(sizes),)),
        (0, 2**20, (qualities, total)),
        (1 - 2**24, 2**24 - 1, (qualities, later, units)),
        (0, 23, (later, units)),
        (0, 2**28 - 1, (qualities, *parities, 2, total)),
        (-(2**20), 2**20, (qualities, *parities, 2, total)),
        (0, tables - 1, (None, 16)),
    ]
    arrays = []
    for name, given, (least, most, shape) in zip(CONTEXT.split()[2:], tensors, limits, strict=True):
        array = tensor(given, name, "int8" if name == "weights" else "int32", *shape).astype(np.int64)
        require(((array >= least) & (array <= most)).all(), f"{name} out of bounds")
        arrays.append(array)
    weights, input_gain, hidden_bias, *others = arrays
    require(len(others[-1]) >= 1, "no scales")

    parts = np.split(weights, np.cumsum(sizes))[: len(sizes)]
    given = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    matrices = list(zip(given[::2], given[1::2], strict=True))
    for g, (inward, outward) in enumerate(matrices):
        sums = 127 * abs(inward).sum(axis=0) + abs(hidden_bias[:, g]).max(axis=0)
        require(sums.max() < 2**24 and 127 * abs(outward).sum(axis=0).max() < 2**24, "sums too large")
    return Context(spatial, groups, matrices, input_gain, hidden_bias, *others)


def read_tables(tensors: list[Any], rows: int, tables: int | None) -> list[list[Table]]:
    low = tensor(tensors[0], "table_low", "int32", rows, tables)
    require(1 <= low.shape[1] <= 2**16, "not 1 to 65,536 tables")
    length = tensor(tensors[1], "table_length", "int32", *low.shape)
    require(((length == 0) | (length >= 2)).all(), "table length below 0, or 1")
    total = int(length.sum(dtype=np.int64))
    rest = tensor(tensors[2], "table_frequencies", "uint16", total).astype(np.int64)
    found: list[Table] = []
    for least, count in zip(low.ravel().tolist(), length.ravel().tolist(), strict=True):
        most = least + max(count - 2, 0)
        require(least >= -(2**15) and most < 2**15, "table symbol beyond 16 bits")
        own, rest = rest[:count], rest[count:]
        good = (own >= 1).all() and own.sum() == (2**16 if count else 0)
        require(good, "table frequencies not at least 1 with a sum of 65,536")
        found.append((least, [0, *(np.cumsum(own) * 256).tolist()] if count else []))
    return [found[row * low.shape[1] : (row + 1) * low.shape[1]] for row in range(rows)]


def convolutional_shapes(side: str, architecture: Map) -> dict[str, tuple[int, ...]]:
    image, code, layers, filters = list(architecture.values())[1:]
    if side == "encoder":
        names = [f"convolution_{i}" for i in range(layers)]
        widths = [image, *[filters] * (layers - 1), code]
    else:
        hidden = "convolution" if architecture["kind"] == "upsampling" else "transposed"
        names = [*(f"{hidden}_{i}" for i in range(layers)), "convolution"]
        widths = [code, *[filters] * layers, image]
    shapes: dict[str, tuple[int, ...]] = {}
    for i, name in enumerate(names):
        shapes |= {f"{name}/bias": (widths[i + 1],), f"{name}/kernel": (3, 3, *widths[i : i + 2])}
    return shapes


def dense_shapes(side: str, architecture: Map) -> dict[str, tuple[int, ...]]:
    image, _, layers, rows, columns, filters, units, elements, qualities = [*architecture.values()][1:]
    pixels, inner = rows * columns * 4**layers * image, rows * columns * filters[-1]
    widths = [image, *filters]
    middle = {"dense_1/bias": (qualities, units), "dense_1/kernel": (units, units)}
    codes = {"codes/bias": (qualities, elements), "codes/log_gain": (qualities, elements)}
    shapes: dict[str, tuple[int, ...]]
    if side == "encoder":
        shapes = {"linear/kernel": (pixels, elements)}
        for i in range(layers):
            shapes[f"convolution_{i}/bias"] = (widths[i + 1],)
            shapes[f"convolution_{i}/kernel"] = (3, 3, 4 * widths[i], widths[i + 1])
        shapes |= {"dense_0/bias": (qualities, units), "dense_0/kernel": (inner, units), **middle}
        shapes |= {"dense_2/kernel": (units, elements), **codes}
        return shapes | {"feedback/gain": (qualities, elements), "feedback/live": (432,)}
    shapes = {**codes, "linear/bias": (pixels,), "linear/kernel": (elements, pixels)}
    shapes |= {"dense_0/bias": (qualities, units), "dense_0/kernel": (elements, units), **middle}
    shapes |= {"dense_2/bias": (qualities, filters[-1]), "dense_2/kernel": (units, inner)}
    for i, (before, after) in enumerate(zip(widths[:0:-1], widths[-2::-1], strict=True)):
        shapes[f"convolution_{i}/bias"] = (4 * after,)
        shapes[f"convolution_{i}/kernel"] = (3, 3, before, 4 * after)
    return shapes


def residual_shapes(side: str, architecture: Map) -> dict[str, tuple[int, ...]]:
    image, channels, layers, filters, blocks, qualities = [*architecture.values()][1:]
    pixels, elements, half = 4 ** (layers + 1) * image, 4 * channels, filters // 2
    codes = {"codes/bias": (qualities, elements), "codes/log_gain": (qualities, elements)}

    def convolution(name: str, before: int, after: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}/bias": (qualities, after), f"{name}/kernel": (3, 3, before, after)}

    middle: dict[str, tuple[int, ...]] = {}
    for i in range(blocks):
        middle |= convolution(f"residual_{i}", filters, filters) | {f"mix_{i}/kernel": (filters, filters)}
    if side == "encoder":
        shapes = {"linear/kernel": (pixels, elements), **convolution("convolution_0", pixels // 4, half)}
        shapes |= convolution("convolution_1", 2 * filters, filters) | middle
        return shapes | {"elements/kernel": (filters, elements), **codes}
    shapes = {**codes, "linear/bias": (pixels,), "linear/kernel": (elements, pixels)}
    shapes |= convolution("convolution_0", elements, filters) | middle
    shapes |= convolution("convolution_1", filters, 2 * filters)
    return shapes | convolution("convolution_2", half, pixels // 4)


SHAPES = {
    "convolutional": convolutional_shapes,
    "upsampling": convolutional_shapes,
    "dense": dense_shapes,
    "residual": residual_shapes,
}


def read_weights(values: Any, side: str, architecture: Map) -> dict[str, NDArray[Any]]:
    halves = architecture["kind"] in ("dense", "residual")
    shapes = SHAPES[architecture["kind"]](side, architecture)
    require(isinstance(values, list) and len(values) == len(shapes), "not as many weights")
    weights = {}
    for value, (name, shape) in zip(values, shapes.items(), strict=True):
        half = halves and name.endswith("/kernel")
        weights[name] = tensor(value, name, "float16" if half else "float32", *shape)
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
    architecture = read_architecture(architecture)
    require(isinstance(image, list) and len(image) == 2, "image size not two integers")
    require(all(integer(n, 1, 2**16 - 1) for n in image), "image size out of bounds")
    for digest in (inward, outward):
        require(isinstance(digest, bytes) and len(digest) == 32, "digest not 32 bytes")
    shape = grid(architecture, *image)
    steps = tensor(steps, "steps", "float32", None, shape[2])
    require(1 <= len(steps) <= 256, "not 1 to 256 qualities")
    require(((steps >= 2.0**-40) & (steps <= 2.0**40)).all(), "step out of bounds")
    if architecture["kind"] == "dense":
        require(shape[:2] == (architecture["rows"], architecture["columns"]), "image size not taken")
    if "qualities" in architecture:
        require(architecture["qualities"] == len(steps), "other number of qualities")
    if context == "channel":
        model, tables = None, read_tables(tensors, len(steps), shape[2])
    else:
        tables = read_tables(tensors, 1, None)
        require(all(bounds for _, bounds in tables[0]), "certain table with a context model")
        model = read_context(context, architecture, math.prod(shape), len(steps), len(tables[0]))
    weights = read_weights(values, side, architecture)
    digest = sha256(b"".join(value.encoding for value in values)).digest()
    require(digest == (inward if side == "encoder" else outward), "weights are not the pair's")
    pair, size = sha256(shared).digest(), (image[0], image[1])
    return Bundle(side, pair, architecture, size, model, steps, tables, weights, provenance)


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


def read_run(decoder: RangeDecoder, table: Table, offsets: Integers) -> Integers:
    """The symbols of a run, of these offsets."""
    low, bounds = table
    if not bounds:
        return np.full(len(offsets), low)
    entries, escape = np.array(decoder.entries(bounds, len(offsets)), np.int64), len(bounds) - 2
    run = low + entries + offsets
    escaped = np.flatnonzero(entries == escape).tolist()
    octets = decoder.entries(FLAT, 2 * len(escaped))
    for place, high, rest in zip(escaped, octets[::2], octets[1::2], strict=True):
        run[place] = 256 * high + rest - 32768
        least = low + offsets[place]
        require(not least <= run[place] < least + escape, "escaped symbol that has an entry")
    require(((run >= -(2**15)) & (run < 2**15)).all(), "symbol beyond 16 bits")
    return run


def read_group(decoder: RangeDecoder, model: Context, row: list[Table], values: Integers) -> Integers:
    """The elements [n, m] of one group or pass, of these outputs [n, 2 m]."""
    m = values.shape[1] // 2
    elements = np.zeros((len(values), m), np.int64)
    mean = np.clip(values[:, :m], -(2**19), 2**19 - 1)
    scale = np.clip(values[:, m:], 0, len(model.table_index) - 1)
    tables, offsets = model.table_index[scale, mean % 16], mean >> 4
    for table in np.unique(tables).tolist():
        members = tables == table
        elements[members] = read_run(decoder, row[table], offsets[members])
    return elements


def gained(model: Context, quality: int, elements: Integers, own: slice) -> Integers:
    """The inputs `u` of these elements."""
    products = np.clip(elements, -127, 127) * model.input_gain[quality, own] + 128
    return np.asarray(np.clip(products >> 8, -127, 127))


def read_elements(
    decoder: RangeDecoder, model: Context, row: list[Table], quality: int, count: int
) -> Integers:
    """The elements [count, D] of some images, by a context model and its row of tables."""
    n = 0
    elements = np.zeros((count, sum(model.groups)), np.int64)
    inputs, hidden = np.zeros((2, count, 0), np.int64)
    for g, m in enumerate(model.groups):
        own = slice(n, n + m)
        values = np.tile(model.output_bias[quality, :, own].ravel(), (count, 1))
        if g:
            inward, outward = model.matrices[g - 1]
            sums = inputs @ inward + model.hidden_bias[quality, g - 1]
            hidden = np.hstack([hidden, np.clip(sums >> model.hidden_shift[g - 1], 0, 127)])
            sums = np.hstack([inputs, hidden]) @ outward * model.output_gain[quality, :, own].ravel()
            values += (sums + 2**23) >> 24
        elements[:, own] = read_group(decoder, model, row, values)
        inputs, n = np.hstack([inputs, gained(model, quality, elements[:, own], own)]), n + m
    return elements


def read_blocks(
    decoder: RangeDecoder, model: Context, row: list[Table], quality: int, shape: list[int]
) -> Integers:
    """The symbols [N, h, w, C] of some images, by a spatial context model and its row of tables."""
    count, height, width, channels = shape
    rows, columns = height // 2, width // 2
    elements = np.zeros((count, rows, columns, 4 * channels), np.int64)
    inputs = np.zeros((count, rows + 2, columns + 2, 4 * channels), np.int64)  # a rim of blocks beyond
    places = [(n, y, x) for n in range(count) for y in range(rows) for x in range(columns)]
    for step in range(2 * len(model.groups)):
        g, parity = divmod(step, 2)
        starts = [sum(model.groups[:i]) for i in range(g + 2)]
        own = slice(*starts[-2:])
        blocks = [(n, y, x) for n, y, x in places if (y + x) % 2 == parity]
        seen = []
        for n, y, x in blocks:
            near = inputs[n, y : y + 3, x : x + 3]
            parts = [near[..., a:b].ravel() for a, b in pairwise(starts[:-1])]
            if parity:
                parts += [near[r, c, own] for r, c in ((0, 1), (1, 0), (1, 2), (2, 1))]
            seen.append(np.concatenate([np.zeros(0, np.int64), *parts]))
        values = np.tile(model.output_bias[quality, parity, :, own].ravel(), (len(blocks), 1))
        if step and blocks:
            inward, outward = model.matrices[step - 1]
            sums = np.array(seen) @ inward + model.hidden_bias[quality, step - 1]
            hidden = np.clip(sums >> model.hidden_shift[step - 1], 0, 127)
            sums = np.hstack([seen, hidden]) @ outward
            sums *= model.output_gain[quality, parity, :, own].ravel()
            values += (sums + 2**23) >> 24
        found = read_group(decoder, model, row, values)
        for (n, y, x), new in zip(blocks, found, strict=True):
            elements[n, y, x, own] = new
            inputs[n, y + 1, x + 1, own] = gained(model, quality, new, own)
    cells = elements.reshape(count, rows, columns, 2, 2, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(shape)


def read_payload(payload: bytes, bundle: Bundle, quality: int, shape: list[int]) -> NDArray[np.int32]:
    """The symbols of one chunk, [N, h, w, C]."""
    count, height, width, channels = shape
    places = height * width
    decoder = RangeDecoder(payload)
    flat = np.zeros((count, channels * places), np.int64)
    if bundle.context and bundle.context.spatial:
        symbols = read_blocks(decoder, bundle.context, bundle.tables[0], quality, shape)
        flat = symbols.transpose(0, 3, 1, 2).reshape(flat.shape)
    elif bundle.context:
        elements = read_elements(decoder, bundle.context, bundle.tables[0], quality, count)
        flat[:, : elements.shape[1]] = elements
    else:
        for channel, table in enumerate(bundle.tables[quality]):
            run = read_run(decoder, table, np.zeros(count * places, np.int64))
            flat[:, channel * places : (channel + 1) * places] = run.reshape(count, places)
    require(len(payload) <= 4 * decoder.words, "payload longer than the words read")
    symbols = flat.reshape(count, channels, height, width).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(symbols, np.int32)


def read_names(cursor: Cursor, count: int) -> list[str]:
    names = cursor.take(cursor.varint()).decode().split("/")
    require(len(names) == count, "not one name for each image")
    require(all(NAME.fullmatch(name) for name in names), "name empty, a path or of odd characters")
    require(all(len(name.encode()) <= 255 for name in names), "name of more than 255 bytes")
    return names


@dataclass(frozen=True)
class Place:
    """What a body in the mixed framing begins with, the tiles of such an image, and where the rest starts."""

    height: int
    width: int
    tile: int
    tiles: tuple[int, int]
    end: int


def read_place(body: bytes, count: int) -> Place:
    cursor = Cursor(body)
    height, width, tile = cursor.varint(), cursor.varint(), cursor.varint()
    require(0 < height < 2**31 and 0 < width < 2**31, "image side out of bounds")
    tiles = -(-height // TILE), -(-width // TILE)
    require(tile < math.prod(tiles) <= 2**32, "tile that the image does not have")
    require(count == 1 or math.prod(tiles) == 1, "several images of several tiles in a chunk")
    return Place(height, width, tile, tiles, cursor.at)


def read_stream(cursor: Cursor, header: bytes, mixed: bool) -> list[tuple[int, bytes]]:
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
            if mixed:
                place = read_place(chunks[-1][1], count)
                images += count if place.tile == math.prod(place.tiles) - 1 else 0
            else:
                images += count
        check = zlib.crc32(header + cursor.data[start : cursor.at])
        require(check == cursor.number(4), "chunk or trailer is damaged")
    require(cursor.at == len(cursor.data), "bytes after the trailer")
    return chunks


def read_packet(packet: bytes, bundle: Bundle) -> Decoded:
    """Decode one packet of any framing but the mixed one."""
    flags, quality, (height, width), chunks = read_chunks(packet, bundle)
    require(flags & (BATCH | STREAM) != BATCH | STREAM, "mixed")
    shape = grid(bundle.architecture, height, width)
    one_size = bundle.context and not bundle.context.spatial
    if one_size or bundle.architecture["kind"] == "dense":
        require(shape == grid(bundle.architecture, *bundle.image), "image size that the pair does not take")
    claim = sum(count for count, _ in chunks) * math.prod(shape)
    require(claim <= MAX_SYMBOLS, "packet claims too many symbols")
    names: list[str] = []
    parts = [np.empty((0, *shape), np.int32)]
    for count, body in chunks:
        cursor = Cursor(body)
        names += read_names(cursor, count) if flags & NAMES else []
        parts.append(read_payload(body[cursor.at :], bundle, quality, [count, *shape]))
    symbols = np.concatenate(parts)
    return Decoded(
        quality, height, width, names if flags & NAMES else None, symbols, to_codes(symbols, bundle, quality)
    )


def to_codes(symbols: NDArray[np.int32], bundle: Bundle, quality: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.asarray(symbols.astype(np.float32) * bundle.steps[quality])


def read_mixed(packet: bytes, bundle: Bundle) -> list[Decoded]:
    """Decode one packet of the mixed framing, to each of its images."""
    flags, quality, _, chunks = read_chunks(packet, bundle)
    require(flags & (BATCH | STREAM) == BATCH | STREAM, "not mixed")
    one_grid = bundle.context is not None and not bundle.context.spatial
    require(bundle.architecture["kind"] != "dense" and not one_grid, "mixed packet of a pair of one size")
    images: list[Decoded] = []
    parts: list[NDArray[np.int32]] = []  # the tiles of an image that has begun
    names: list[str] | None = None
    claim, size = 0, (0, 0)
    for count, body in chunks:
        place = read_place(body, count)
        (down, across), cursor = place.tiles, Cursor(body[place.end :])
        require(place.tile == len(parts), "tile out of its place")
        require(not parts or size == (place.height, place.width), "tile of another image")
        size = place.height, place.width
        if place.tile == 0:
            names = read_names(cursor, count) if flags & NAMES else None
        row, column = divmod(place.tile, across)
        own = min(TILE, size[0] - TILE * row), min(TILE, size[1] - TILE * column)
        shape = [count, *grid(bundle.architecture, *own)]
        claim += math.prod(shape)
        require(claim <= MAX_SYMBOLS, "packet claims too many symbols")
        parts.append(read_payload(cursor.data[cursor.at :], bundle, quality, shape))
        if len(parts) == down * across:
            rows = [np.concatenate(parts[i : i + across], axis=2) for i in range(0, len(parts), across)]
            symbols = np.concatenate(rows, axis=1)
            codes = to_codes(symbols, bundle, quality)
            for i in range(count):
                name = None if names is None else [names[i]]
                images.append(Decoded(quality, *size, name, symbols[i : i + 1], codes[i : i + 1]))
            parts = []
    require(not parts, "tiles are missing")
    return images


Chunks = list[tuple[int, bytes]]


def read_chunks(packet: bytes, bundle: Bundle) -> tuple[int, int, tuple[int, int], Chunks]:
    """Flags, quality, image size and, of each chunk, the number of images and the body."""
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
        mixed = flags & (BATCH | STREAM) == BATCH | STREAM
        require(not (mixed and flags & SHAPE), "mixed, and an image size")
        if flags & SHAPE:
            height, width = cursor.number(2), cursor.number(2)
            require(height >= 1 and width >= 1, "image without pixels")
            require((height, width) != bundle.image, "states the pair's own image size")
        if flags & STREAM:
            chunks = read_stream(cursor, packet[: cursor.at], mixed)
        else:
            cursor.data, check = packet[:-4], zlib.crc32(packet[:-4]).to_bytes(4, "little")
            require(packet.endswith(check), "packet is damaged")
            images = cursor.varint() if flags & BATCH else 1
            require(images >= 2 or not flags & BATCH, "batch of fewer than two images")
            chunks = [(images, cursor.take(len(cursor.data) - cursor.at))]
    require(bundle.pair.startswith(digest), "packet of another pair")
    require(quality < len(bundle.steps), "quality that the pair does not have")
    return flags, quality, (height, width), chunks


def convolve(x: NDArray[np.float64], weights: dict[str, NDArray[Any]], name: str) -> NDArray[np.float64]:
    kernel, (_, h, w, _) = weights[f"{name}/kernel"], x.shape
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = sum(x[:, r : r + h, c : c + w] @ kernel[r, c] for r, c in np.ndindex(3, 3))
    return np.asarray(y + weights[f"{name}/bias"])


def act(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x > 0, x, 0.2 * x)


def depth_to_space(x: NDArray[np.float64]) -> NDArray[np.float64]:
    n, h, w, c = x.shape
    blocks = x.reshape(n, h, w, 2, 2, c // 4)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)


def synthesise_dense(
    sizes: dict[str, Any], weights: dict[str, NDArray[Any]], codes: NDArray[np.float64], q: int
) -> NDArray[np.float64]:
    count = len(codes)
    flat = codes.transpose(0, 3, 1, 2).reshape(count, math.prod(codes.shape[1:]))
    elements = flat[:, : sizes["elements"]]
    z = elements * np.exp(weights["codes/log_gain"][q]) + weights["codes/bias"][q]
    y = act(z @ weights["dense_0/kernel"] + weights["dense_0/bias"][q])
    y = y + act(y @ weights["dense_1/kernel"] + weights["dense_1/bias"][q])
    y = (y @ weights["dense_2/kernel"]).reshape(count, sizes["rows"], sizes["columns"], sizes["filters"][-1])
    y = act(y + weights["dense_2/bias"][q])
    for i in range(sizes["layers"]):
        y = convolve(y, weights, f"convolution_{i}")
        y = depth_to_space(act(y) if i < sizes["layers"] - 1 else y)
    line = z @ weights["linear/kernel"] + weights["linear/bias"]
    image: NDArray[np.float64] = np.clip(y + line.reshape(y.shape), 0, 1)
    return image


def space_to_depth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h // 2, w // 2, 4 * c)


def synthesise_residual(
    sizes: dict[str, Any], weights: dict[str, NDArray[Any]], codes: NDArray[np.float64], q: int
) -> NDArray[np.float64]:
    matrices = {name: array for name, array in weights.items() if name.endswith("kernel")}
    weights = matrices | {
        name: array[q] if name.startswith(("codes", "convolution", "residual")) else array
        for name, array in weights.items()
        if name not in matrices
    }
    z = space_to_depth(codes) * np.exp(weights["codes/log_gain"]) + weights["codes/bias"]
    y = act(convolve(z, weights, "convolution_0"))
    for i in range(sizes["blocks"]):
        y = y + act(convolve(y, weights, f"residual_{i}")) @ weights[f"mix_{i}/kernel"]
    y = act(convolve(y, weights, "convolution_1"))
    y = convolve(depth_to_space(y), weights, "convolution_2")
    y = y + depth_to_space(z @ weights["linear/kernel"] + weights["linear/bias"])
    for _ in range(sizes["layers"]):
        y = depth_to_space(y)
    image: NDArray[np.float64] = np.clip(y, 0, 1)
    return image


def synthesise(bundle: Bundle, codes: NDArray[np.float32], quality: int = 0) -> NDArray[np.float64]:
    """The images [N, H, W, K], in 0 to 1 and of whole multiples of the stride, of some codes."""
    require(bundle.side == "decoder", "images need a decoder bundle")
    weights = {name: array.astype(np.float64) for name, array in bundle.weights.items()}
    x = codes.astype(np.float64)
    if bundle.architecture["kind"] == "dense":
        return synthesise_dense(bundle.architecture, weights, x, quality)
    if bundle.architecture["kind"] == "residual":
        return synthesise_residual(bundle.architecture, weights, x, quality)
    for i in range(bundle.architecture["layers"]):
        if bundle.architecture["kind"] == "upsampling":
            x = np.maximum(convolve(x, weights, f"convolution_{i}"), 0).repeat(2, 1).repeat(2, 2)
            continue
        kernel, bias = weights[f"transposed_{i}/kernel"], weights[f"transposed_{i}/bias"]
        n, h, w, _ = x.shape
        y = np.zeros((n, 2 * h + 1, 2 * w + 1, len(bias)))
        for r, c in np.ndindex(3, 3):
            y[:, 2 - r : 2 - r + 2 * h : 2, 2 - c : 2 - c + 2 * w : 2] += x @ kernel[r, c]
        x = np.maximum(y[:, :-1, :-1] + bias, 0)
    return np.exp(-np.logaddexp(0, -convolve(x, weights, "convolution")))

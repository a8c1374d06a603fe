"""A bundle's file -> a bundle, checked in every part, as ``docs/bundle.md`` specifies it."""

import hashlib
import math
from reprlib import repr as short
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from codec import bundle as fmt
from codec.architecture import Architecture, Dense, Residual, Side
from codec.bundle import Bundle, Pair, Weights, is_bundle, weights_digest
from codec.context import ContextModel
from codec.errors import BundleError, DamagedBundleError, LimitError, WrongSideError
from codec.integer_context import IntegerContext
from codec.limits import DEFAULT_LIMITS, Limits
from codec.spatial_context import SpatialContext
from codec.tables import Table, TableArrays, unpack_tables

__all__ = ["read_bundle"]

_MOST_QUALITIES = 256
_MOST_SIDE = 65535
_MOST_AXES = 4
_MOST_TABLES = 1 << 16
_MOST_ELEMENTS = 1 << 16
_STEP_MIN, _STEP_MAX = 2.0**-40, 2.0**40


def read_bundle(data: bytes, side: Side | None = None, limits: Limits = DEFAULT_LIMITS) -> Bundle:
    """The bundle in ``data``, checked in every part.

    Args:
        side: the side that is needed; None takes either.

    Raises:
        BundleError: not a bundle, an unknown version, or a part that is not as specified.
        DamagedBundleError: a digest does not match.
        WrongSideError: a bundle of the other side.
        LimitError: over ``limits``.
    """
    limits.check("bundle_bytes", len(data), "bundle: bytes")
    if not is_bundle(data):
        raise BundleError(
            f"bundle: expected a MessagePack map whose first key is 'format', found {data[:8].hex(' ')}; "
            "this is not a bundle"
        )
    outer = _unpack(data, "bundle", limits)
    if outer["format"] != fmt.FORMAT:
        raise BundleError(f"bundle, format: expected {fmt.FORMAT!r}, found {short(outer['format'])}")
    version = outer.get("version")
    if type(version) is not int or version != fmt.VERSION:
        raise BundleError(
            f"bundle: expected format version {fmt.VERSION}, found {short(version)}; "
            "update split-codec to read it"
        )
    file = _fields(outer, fmt.FILE_KEYS, "bundle")
    body_bytes = _bytes(file["body"], "bundle, body")
    if hashlib.sha256(body_bytes).digest() != file["sha256"]:
        raise DamagedBundleError("bundle: its SHA-256 does not match; it is damaged, get it again")
    body = _fields(_unpack(body_bytes, "bundle, body", limits), fmt.BODY_KEYS, "bundle, body")
    found: Side = body["side"]
    if found not in ("encoder", "decoder"):
        raise BundleError(f"bundle, side: expected encoder or decoder, found {short(found)}")
    if side is not None and found != side:
        raise WrongSideError(f"bundle: expected the {side}'s, found the {found}'s; a pair has one file each")
    pair = _read_pair(_bytes(body["shared"], "bundle, shared"), limits)
    weights = _read_weights(body["weights"], pair, found, limits)
    provenance = body["provenance"]
    if not isinstance(provenance, dict):
        raise BundleError(f"bundle, provenance: expected a map, found {type(provenance).__name__}")
    _check_plain(provenance, "bundle, provenance", limits.bundle_nesting)
    return Bundle(found, pair, weights, provenance)


def _read_pair(packed: bytes, limits: Limits) -> Pair:
    where = "bundle, shared"
    shared = _fields(_unpack(packed, where, limits), fmt.SHARED_KEYS, where)
    if not isinstance(shared["architecture"], dict):
        raise BundleError(
            f"{where}, architecture: expected a map, found {type(shared['architecture']).__name__}"
        )
    architecture = Architecture.from_dict(shared["architecture"])
    size = shared["image"]
    if (
        not isinstance(size, list)
        or len(size) != 2
        or any(type(side) is not int or not 1 <= side <= _MOST_SIDE for side in size)
    ):
        raise BundleError(
            f"{where}, image: expected [height, width] of 1 to {_MOST_SIDE}, found {short(size)}"
        )
    arrays = {
        name: _read_tensor(shared[name], name, dtype)
        for name, dtype in (
            ("steps", "float32"),
            ("table_low", "int32"),
            ("table_length", "int32"),
            ("table_frequencies", "uint16"),
        )
    }
    steps = arrays["steps"]
    if steps.ndim != 2 or not 1 <= len(steps) <= _MOST_QUALITIES:
        raise BundleError(f"{where}, steps: expected [1 to {_MOST_QUALITIES}, channels], found {steps.shape}")
    qualities, channels = len(steps), architecture.code_channels
    if steps.shape[1] != channels:
        raise BundleError(f"{where}, steps: expected shape {(qualities, channels)}, found {steps.shape}")
    if isinstance(architecture, Dense | Residual) and architecture.qualities != qualities:
        raise BundleError(
            f"{where}, steps: expected the {architecture.qualities} qualities of the architecture, "
            f"found {qualities}"
        )
    by_channel = shared["context"] == fmt.BY_CHANNEL
    if not by_channel and not isinstance(shared["context"], dict):
        raise BundleError(
            f"{where}, context: expected {fmt.BY_CHANNEL!r} or a map, found {short(shared['context'])}"
        )
    rows = (qualities, channels) if by_channel else (1, arrays["table_low"].size)
    for name in ("table_low", "table_length"):
        if arrays[name].shape != rows or not 1 <= rows[1] <= _MOST_TABLES:
            raise BundleError(
                f"{where}, {name}: expected shape {rows} and 1 to {_MOST_TABLES} tables, "
                f"found {arrays[name].shape}"
            )
    if not ((steps >= _STEP_MIN).all() and (steps <= _STEP_MAX).all()):  # refuses NaN too
        raise BundleError(f"{where}, steps: expected numbers from 2^-40 to 2^40")
    if arrays["table_frequencies"].ndim != 1:
        raise BundleError(f"{where}, table_frequencies: expected one axis")
    limits.check("table_entries", arrays["table_frequencies"].size, "bundle: frequencies")
    tables = unpack_tables(
        TableArrays(arrays["table_low"], arrays["table_length"], arrays["table_frequencies"])
    )
    digests = [_bytes(shared[name], f"{where}, {name}") for name in fmt.SHARED_KEYS[-2:]]
    if any(len(digest) != 32 for digest in digests):
        raise BundleError(f"{where}: expected digests of 32 bytes")
    context = None if by_channel else _read_context(shared["context"], tables[0], qualities)
    pair = Pair(architecture, size[0], size[1], steps, tables, digests[0], digests[1], context)
    if not pair.takes(pair.height, pair.width):
        raise BundleError(
            f"{where}, image: expected a size that the architecture takes, found {pair.height}x{pair.width}"
        )
    if isinstance(context, SpatialContext):
        if not isinstance(architecture, Residual):
            raise BundleError(
                f"{where}, context: expected a spatial one with a residual architecture only, "
                f"found it with {architecture.kind}"
            )
        if context.elements != architecture.elements:
            raise BundleError(
                f"{where}, context: expected the {architecture.elements} elements of a block, "
                f"found {context.elements}"
            )
    elif context is not None and context.elements > math.prod(pair.code_shape):
        raise BundleError(
            f"{where}, context: expected at most the {math.prod(pair.code_shape)} values of the codes, "
            f"found {context.elements} elements"
        )
    return pair


def _read_context(value: dict[str, Any], tables: tuple[Table, ...], qualities: int) -> IntegerContext:
    where = "bundle, shared, context"
    kind: type[IntegerContext] = ContextModel
    if "kind" in value:
        if value["kind"] != fmt.SPATIAL:
            raise BundleError(
                f"{where}, kind: expected {fmt.SPATIAL!r}, found {short(value['kind'])}; "
                "update split-codec if the bundle is newer"
            )
        kind = SpatialContext
        values = _fields(value, ("kind", *fmt.CONTEXT_KEYS), where)
    else:
        values = _fields(value, fmt.CONTEXT_KEYS, where)
    groups, units = values["groups"], values["units"]
    if not isinstance(groups, list) or any(
        type(number) is not int or not 1 <= number <= _MOST_ELEMENTS for number in [units, *groups]
    ):
        raise BundleError(
            f"{where}, groups and units: expected whole numbers from 1 to {_MOST_ELEMENTS}, "
            f"found {short(groups)} and {short(units)}"
        )
    if any(table.certain for table in tables):
        raise BundleError(f"{where}: expected no certain table, found one")
    tensors = {name: _read_tensor(values[name], name, dtype) for name, dtype in fmt.CONTEXT_TENSORS.items()}
    context = kind(tuple(groups), units, **tensors)
    context.check(len(tables), qualities)
    return context


def _read_weights(value: Any, pair: Pair, side: Side, limits: Limits) -> Weights:
    where = f"bundle, {side}'s weights"
    if not isinstance(value, list):
        raise BundleError(f"{where}: expected an array of tensors, found {type(value).__name__}")
    limits.check("bundle_tensors", len(value), f"{where}: tensors")
    expected = pair.architecture.weight_shapes(side)
    if len(value) != len(expected):
        raise BundleError(f"{where}: expected {len(expected)} tensors, found {len(value)}")
    weights: dict[str, NDArray[np.floating[Any]]] = {}
    for item, (name, shape) in zip(value, expected.items(), strict=True):
        tensor = _read_tensor(item, name, pair.architecture.weight_dtype(name))
        if tensor.shape != shape:
            raise BundleError(f"{where}, {name}: expected shape {shape}, found {tensor.shape}")
        if not np.isfinite(tensor).all():
            raise BundleError(f"{where}, {name}: expected finite numbers")
        weights[name] = tensor
    if weights_digest(weights) != pair.weights_digest(side):
        raise DamagedBundleError(f"{where}: they do not match the digest that the pair states")
    return weights


def _read_tensor(value: Any, name: str, dtype: str) -> NDArray[Any]:
    """A read-only array over the tensor's own bytes."""
    where = f"bundle, tensor {name}"
    tensor = _fields(value, fmt.TENSOR_KEYS, where)
    if tensor["name"] != name:
        raise BundleError(f"{where}: expected this name, found {short(tensor['name'])}")
    if tensor["dtype"] != dtype:
        raise BundleError(f"{where}: expected dtype {dtype}, found {short(tensor['dtype'])}")
    shape, data = tensor["shape"], _bytes(tensor["data"], where)
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_AXES
        or any(type(n) is not int or n < 0 for n in shape)
    ):
        raise BundleError(f"{where}: expected a shape of at most {_MOST_AXES} axes, found {short(shape)}")
    expected = math.prod(shape) * np.dtype(fmt.DTYPES[dtype]).itemsize
    if len(data) != expected:
        raise BundleError(f"{where}: expected {expected} bytes for shape {shape}, found {len(data)}")
    try:
        return np.frombuffer(data, fmt.DTYPES[dtype]).reshape(shape)
    except ValueError:  # no data, but other axes that no array can have
        raise BundleError(f"{where}: expected a shape that an array can have, found {shape}") from None


def _unpack(data: bytes, where: str, limits: Limits) -> Any:
    """One MessagePack value that covers ``data`` exactly, in the one form a writer may give it."""
    values = 0

    def count(some: list[Any]) -> list[Any]:
        """Refuse more values than the limit as they come: they take a hundred times the bytes of the file."""
        nonlocal values
        values += len(some)
        limits.check("bundle_values", values, f"{where}: values")
        return some

    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=lambda pairs: _unique(count(pairs)),
            list_hook=count,
            ext_hook=_refuse_extension,
            max_map_len=max(limits.bundle_tensors, _MOST_QUALITIES),
            max_array_len=max(limits.bundle_tensors, _MOST_QUALITIES),
            max_ext_len=0,
        )
        if msgpack.packb(value) != data:
            raise BundleError("expected every value in its shortest form")
    except BundleError as error:
        raise BundleError(f"{where}: {error}") from None
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"{where}: not readable as MessagePack: {error}") from None
    return value


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs) or any(not isinstance(key, str) for key in values):
        raise BundleError("expected unique string keys")
    return values


def _refuse_extension(code: int, data: bytes) -> Any:
    raise BundleError(f"expected no extension types, found type {code}")


def _fields(value: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """``value`` as a map of exactly these keys in this order."""
    if not isinstance(value, dict) or tuple(value) != keys:
        found = ", ".join(map(short, value)) if isinstance(value, dict) else type(value).__name__
        raise BundleError(f"{where}: expected a map of {', '.join(keys)}, found {found}")
    return value


def _bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, bytes):
        raise BundleError(f"{where}: expected bytes, found {type(value).__name__}")
    return value


def _check_plain(value: Any, where: str, depth: int) -> None:
    if depth < 0:
        raise LimitError(f"{where}: nested too deeply; pass limits=Limits(bundle_nesting=...)")
    if isinstance(value, dict):
        for key, item in value.items():
            # Whole keys would make the path long, and every value below would have a copy of it.
            _check_plain(item, f"{where}, {key:.40}", depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, where, depth - 1)
    elif isinstance(value, bytes):
        raise BundleError(f"{where}: expected plain values, found bytes")

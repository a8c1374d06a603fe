"""What a packet or a bundle says of itself, without JAX and without the other file."""

import io
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from codec.archive import is_archive
from codec.errors import PacketError
from codec.files import read_up_to
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import is_packet
from codec.packet_reader import read_packet
from codec.sealing import OVERHEAD, is_sealed, read_seal_header

if TYPE_CHECKING:
    from codec.bundle import Pair

__all__ = ["BundleReport", "PacketReport", "Report", "SealedReport", "inspect", "json_values"]


@dataclass(frozen=True)
class Report:
    """What all kinds of report have; ``kind`` is "packet", "sealed packet" or "bundle"."""

    kind: str

    def to_json(self) -> str:
        """The report as one JSON object on one line; numbers that JSON does not have are null."""
        return json.dumps(json_values(asdict(self)), allow_nan=False)

    def to_text(self) -> str:
        """The report for a person, a line a fact, without anything that a terminal would obey."""
        values = asdict(self)
        if values.get("image_sizes"):
            values["image_sizes"] = [f"{height}x{width}" for height, width in values["image_sizes"]]
        provenance = values.pop("provenance", {})
        measured = provenance.get("qualities")
        if isinstance(measured, list):  # a stranger's bundle may call anything "qualities"
            del provenance["qualities"]
            provenance |= {f"quality {q}": item for q, item in enumerate(measured)}
        domain = provenance.get("domain")
        if isinstance(domain, dict):  # dozens of numbers, for programs
            provenance["domain"] = f"recorded of {domain.get('images')}"
        facts = [*values.items(), *provenance.items()]
        return "\n".join(f"{_printable(name):15} {_plain(fact)}" for name, fact in facts if fact is not None)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_printable(key)} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value[:10])) + (f", ... ({len(value)})" if len(value) > 10 else "")
    return _printable(str(value))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def json_values(value: Any) -> Any:
    """``value`` with null for the numbers that JSON does not have, such as the PSNR of equal images."""
    if isinstance(value, dict):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class PacketReport(Report):
    """A packet whose checks all match.

    Attributes:
        framing: single, batch, stream, mixed or compact.
        pair: first bytes of the pair digest, hexadecimal.
        quality: index into the pair's qualities.
        images: how many.
        image_size: height and width; None is the pair's own, and that of a mixed packet.
        names: file names of the images, or None.
        chunks: how many.
        bytes: of the whole packet.
        payload_bytes: of entropy-coded symbols; the rest is framing, checks and names.
        image_sizes: height and width of each image of a mixed packet, or None.
    """

    framing: str
    pair: str
    quality: int
    images: int
    image_size: tuple[int, int] | None
    names: list[str] | None
    chunks: int
    bytes: int
    payload_bytes: int
    image_sizes: list[tuple[int, int]] | None = None


@dataclass(frozen=True)
class BundleReport(Report):
    """A bundle that is whole and consistent.

    Attributes:
        side: encoder or decoder.
        name: the pair's, as its maker gave it.
        pair: the pair digest, hexadecimal.
        image_size: height, width and channels the pair was trained on.
        code_shape: height, width and channels of their codes.
        architecture: the networks.
        context: what tells a symbol's table.
        parameters: weights in this file.
        qualities: how many.
        bytes: of the whole file.
        provenance: where the pair came from.
    """

    side: str
    name: str
    pair: str
    image_size: tuple[int, int, int]
    code_shape: tuple[int, int, int]
    architecture: dict[str, Any]
    context: str
    parameters: int
    qualities: int
    bytes: int
    provenance: dict[str, Any]


@dataclass(frozen=True)
class SealedReport(Report):
    """A sealed packet, of which nothing is proved without its key: anyone can write what is told here.

    Attributes:
        version: of the sealed framing.
        key: id of the key, hexadecimal.
        bytes: of the whole.
        packet_bytes: of the packet in it.
    """

    version: int
    key: str
    bytes: int
    packet_bytes: int


def inspect(
    source: bytes | BinaryIO, limits: Limits = DEFAULT_LIMITS
) -> PacketReport | BundleReport | SealedReport:
    """Check a packet or a bundle from end to end and tell what it holds; of a sealed packet, its key.

    Raises:
        PacketError, BundleError, LimitError: see ``codec.errors``.
        TypeError: neither bytes nor a file of bytes. What reading a file raises passes as it is.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    else:
        data = read_up_to(source, limits.packet_bytes + 1)
    if is_packet(data):
        return _packet(data, limits)
    if is_sealed(data):
        return _sealed(data, limits)
    if is_archive(data):
        raise PacketError(
            "expected a packet or a bundle, found an archive; codec.inspect_archive takes its path"
        )
    from codec.bundle import is_bundle  # with NumPy, which a packet can do without

    if is_bundle(data):
        return _bundle(data, limits)
    raise PacketError(
        f"expected a packet or a bundle, found {len(data)} bytes that begin with "
        f"{data[:8].hex(' ') or 'nothing'}"
    )


def _packet(data: bytes, limits: Limits) -> PacketReport:
    limits.check("packet_bytes", len(data), "packet: bytes")
    header, chunks = read_packet(io.BytesIO(data), limits)
    images = parts = payload = 0
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    for chunk in chunks:
        images, parts, payload = chunk.first + chunk.count, parts + 1, payload + len(chunk.payload)
        if chunk.names is not None:
            limits.check("packet_images", images, "packet: names of images held at once")
            names += chunk.names
        if chunk.size is not None and not chunk.tile:
            limits.check("packet_images", images, "packet: sizes of images held at once")
            sizes += [chunk.size] * chunk.count
    return PacketReport(
        "packet",
        header.framing,
        header.pair.hex(),
        header.quality,
        images,
        header.shape,
        names if header.named else None,
        parts,
        len(data),
        payload,
        sizes if header.framing == "mixed" else None,
    )


def _sealed(data: bytes, limits: Limits) -> SealedReport:
    limits.check("packet_bytes", len(data), "sealed packet: bytes")
    header = read_seal_header(data)
    return SealedReport("sealed packet", header.version, header.key.hex(), len(data), len(data) - OVERHEAD)


def _bundle(data: bytes, limits: Limits) -> BundleReport:
    from codec.bundle_reader import read_bundle

    bundle = read_bundle(data, None, limits)
    pair = bundle.pair
    return BundleReport(
        "bundle",
        bundle.side,
        bundle.name,
        pair.digest.hex(),
        (pair.height, pair.width, pair.architecture.image_channels),
        pair.code_shape,
        pair.architecture.to_dict(),
        _context(pair),
        sum(values.size for values in bundle.weights.values()),
        pair.qualities,
        len(data),
        dict(bundle.provenance),
    )


def _context(pair: "Pair") -> str:
    if pair.context is None:
        return "channel"
    count, groups = pair.context.elements, len(pair.context.groups)
    if pair.context.one_grid:
        return f"the elements before, {count} in {groups} groups"
    return f"the blocks around, {count} elements in {groups} groups"

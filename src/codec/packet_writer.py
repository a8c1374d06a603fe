"""The sender's side of the packet format: header and chunks -> bytes, as ``docs/packet.md`` has it."""

import zlib

from codec import packet as fmt
from codec.errors import ImageError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import Chunk, Flag, Header, check_name

__all__ = ["StreamWriter", "write_compact", "write_packet"]


def _write_varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _write_header(header: Header) -> bytes:
    flags = Flag(0)
    if header.framing in ("batch", "mixed"):
        flags |= Flag.BATCH
    if header.framing in ("stream", "mixed"):
        flags |= Flag.STREAM
    if header.shape is not None:
        flags |= Flag.SHAPE
    if header.named:
        flags |= Flag.NAMES
    shape = fmt.SHAPE.pack(*header.shape) if header.shape is not None else b""
    return (
        fmt.MAGIC
        + bytes([fmt.VERSION << 4 | flags, header.quality])
        + header.pair[: fmt.DIGEST_BYTES]
        + shape
    )


def _write_body(chunk: Chunk, named: bool, limits: Limits) -> bytes:
    body = _write_names(chunk, limits) + chunk.payload if named and not chunk.tile else chunk.payload
    if chunk.size is not None:
        body = b"".join(map(_write_varint, (*chunk.size, chunk.tile))) + body
    limits.check("chunk_bytes", len(body), "packet: bytes of a chunk")
    return body


def _write_names(chunk: Chunk, limits: Limits) -> bytes:
    names = chunk.names or ()
    if len(names) != chunk.count:
        raise ImageError(f"image names: expected {chunk.count}, found {len(names)}")
    for name in names:
        check_name(name, limits)
    joined = "/".join(names).encode()
    return _write_varint(len(joined)) + joined


def write_packet(header: Header, chunk: Chunk, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """A whole packet of one chunk, in the single or batch framing of ``header``."""
    count = _write_varint(chunk.count) if header.framing == "batch" else b""
    packet = _write_header(header) + count + _write_body(chunk, header.named, limits)
    return packet + fmt.CRC.pack(zlib.crc32(packet))


def write_compact(header: Header, payload: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """A packet of one image in the compact framing."""
    limits.check("chunk_bytes", len(payload), "packet: bytes of a chunk")
    packet = bytes([fmt.COMPACT | header.quality]) + header.pair[: fmt.COMPACT_DIGEST_BYTES] + payload
    return packet + fmt.CRC16.pack(fmt.crc16(packet))


class StreamWriter:
    """The pieces of a stream or a mixed packet: ``header``, then a ``chunk`` each, then ``trailer``."""

    def __init__(self, header: Header, limits: Limits = DEFAULT_LIMITS) -> None:
        self._header = header
        self._bytes = _write_header(header)
        self._seed = zlib.crc32(self._bytes)
        self._limits = limits
        self._images = 0

    def header(self) -> bytes:
        """The header and its check."""
        return self._bytes + fmt.CRC.pack(self._seed)

    def chunk(
        self,
        count: int,
        payload: bytes,
        names: tuple[str, ...] | None = None,
        size: tuple[int, int] | None = None,
        tile: int = 0,
    ) -> bytes:
        """The next ``count`` images, in a mixed packet of ``size``, or the next tile of one."""
        chunk = Chunk(self._images, count, payload, names, size, tile)
        body = _write_body(chunk, self._header.named, self._limits)
        piece = fmt.CHUNK_MARKER + fmt.CHUNK_FIELDS.pack(chunk.first, count, len(body)) + body
        self._images = chunk.behind
        return piece + fmt.CRC.pack(zlib.crc32(piece, self._seed))

    def trailer(self) -> bytes:
        """The end of the packet, which states the number of images."""
        piece = fmt.END_MARKER + fmt.COUNT.pack(self._images)
        return piece + fmt.CRC.pack(zlib.crc32(piece, self._seed))

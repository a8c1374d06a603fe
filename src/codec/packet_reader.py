"""The receiver's side of the packet format: bytes -> header and checked chunks, as ``docs/packet.md`` has it.

Whatever the input, reading ends in a value or a ``PacketError`` or ``LimitError``, and what it allocates is
bounded by the input's own length and the limits.
"""

import io
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import BinaryIO

from codec import packet as fmt
from codec.errors import DamagedPacketError, ImageError, LimitError, PacketError, SealError
from codec.files import read_up_to
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import Chunk, Flag, Header, check_name
from codec.sealing import is_sealed
from codec.tiles import MOST_SIDE, MOST_TILES, tile_count

__all__ = ["OnMissing", "read_packet"]

OnMissing = Callable[[int, int | None], None]
"""Told of images that damage took: how many stand before them, and how many they are, None if unknown."""

_VARINT_BYTES = 5
_MARKERS = re.compile(b"%b|%b" % (re.escape(fmt.CHUNK_MARKER), re.escape(fmt.END_MARKER)))
_SALVAGE_PASSES = 8


def read_packet(
    source: bytes | BinaryIO, limits: Limits = DEFAULT_LIMITS, on_missing: OnMissing | None = None
) -> tuple[Header, Iterator[Chunk]]:
    """The header of a packet, and an iterator over its chunks that checks each as it comes.

    Args:
        source: the packet, or a file open for reading bytes at its start. A stream or a mixed packet is read
            chunk by chunk; the other framings are read whole.
        on_missing: if given, damage in one of these two behind its header is passed over instead of raised,
            as is a chunk over the limits, and this is told which images it took. The packet is then read
            whole, and its chunks come in the order of their images, all tiles of an image or none.

    Raises:
        PacketError: not a packet, an unknown version or unknown flags.
        SealError: a sealed packet, which must be opened first.
        DamagedPacketError: truncated, a check that does not match, or bytes behind the end.
        LimitError: over ``limits``.
        TypeError: neither bytes nor a file of bytes. What reading a file raises passes as it is.
    """
    file = io.BytesIO(bytes(source)) if isinstance(source, bytes | bytearray | memoryview) else source
    start = read_up_to(file, len(fmt.MAGIC))
    if start[:1] and start[0] & 0xF0 == fmt.COMPACT:
        return _read_compact(_read_rest(start, file, limits), limits)
    if is_sealed(start):
        raise SealError("packet: it is sealed; open it with its key: codec.unseal, or codec decode --key")
    if start != fmt.MAGIC:
        raise PacketError(
            f"packet: expected it to begin with {fmt.MAGIC.hex(' ')} (or A0 to AF in the compact framing), "
            f"found {start.hex(' ') or 'nothing'}; this is not a packet"
        )
    rest = _exactly(file, 2 + fmt.DIGEST_BYTES, "header")
    version, flags = rest[0] >> 4, Flag(rest[0] & 15)
    if version != fmt.VERSION:
        raise PacketError(
            f"packet: expected format version {fmt.VERSION}, found {version}; update split-codec to read it"
        )
    mixed = bool(flags & Flag.STREAM and flags & Flag.BATCH)
    if mixed and flags & Flag.SHAPE:
        raise PacketError("packet: expected no image size in a mixed packet's header, found one")
    shape = None
    head = fmt.MAGIC + rest
    if flags & Flag.SHAPE:
        field = _exactly(file, fmt.SHAPE.size, "image size")
        head += field
        shape = fmt.SHAPE.unpack(field)
        if 0 in shape:
            raise PacketError(f"packet: expected an image size of at least 1x1, found {shape[0]}x{shape[1]}")
    framing = "stream" if flags & Flag.STREAM else "batch" if flags & Flag.BATCH else "single"
    framing = "mixed" if mixed else framing
    header = Header(framing, rest[1], rest[2:], shape, bool(flags & Flag.NAMES))
    if not flags & Flag.STREAM:
        return header, iter([_read_whole(header, len(head), _read_rest(head, file, limits), limits)])
    check = _exactly(file, fmt.CRC.size, "header")
    if check != fmt.CRC.pack(zlib.crc32(head)):
        raise DamagedPacketError("packet, header: its check does not match; the packet is damaged")
    if on_missing is not None:
        return header, _salvage(header, zlib.crc32(head), _read_rest(b"", file, limits), limits, on_missing)
    return header, _read_stream(header, zlib.crc32(head), file, limits)


def _read_rest(head: bytes, file: BinaryIO, limits: Limits) -> bytes:
    """``head`` and all that follows it."""
    packet = head + read_up_to(file, max(0, limits.packet_bytes - len(head) + 1))
    limits.check("packet_bytes", len(packet), "packet: bytes")
    return packet


def _exactly(file: BinaryIO, count: int, what: str) -> bytes:
    data = read_up_to(file, count)
    if len(data) < count:
        raise DamagedPacketError(
            f"packet, {what}: expected {count} bytes, found {len(data)}; the packet is truncated"
        )
    return data


def _read_compact(packet: bytes, limits: Limits) -> tuple[Header, Iterator[Chunk]]:
    start = 1 + fmt.COMPACT_DIGEST_BYTES
    if len(packet) < start + fmt.CRC16.size:
        raise DamagedPacketError(
            f"packet: expected at least {start + fmt.CRC16.size} bytes, found {len(packet)}; it is truncated"
        )
    content, check = packet[: -fmt.CRC16.size], packet[-fmt.CRC16.size :]
    if check != fmt.CRC16.pack(fmt.crc16(content)):
        raise DamagedPacketError("packet: its check does not match; it is damaged or truncated")
    header = Header("compact", packet[0] & 15, packet[1:start])
    return header, iter([_read_body(header, 0, 1, content[start:], limits)])


def _read_whole(header: Header, offset: int, packet: bytes, limits: Limits) -> Chunk:
    """The one chunk of a single or batch packet, whose header ends at ``offset``."""
    content, check = packet[: -fmt.CRC.size], packet[-fmt.CRC.size :]
    if len(content) < offset or check != fmt.CRC.pack(zlib.crc32(content)):
        raise DamagedPacketError("packet: its check does not match; it is damaged or truncated")
    count = 1
    if header.framing == "batch":
        count, offset = _read_varint(content, offset, "number of images")
        if count < 2:
            raise PacketError(f"packet: expected a batch of at least 2 images, found {count}")
    return _read_body(header, 0, count, content[offset:], limits)


def _read_body(header: Header, first: int, count: int, body: bytes, limits: Limits) -> Chunk:
    limits.check("chunk_images", count, "packet: images in a chunk")
    limits.check("chunk_bytes", len(body), "packet: bytes of a chunk")
    size, tile, offset = _read_place(header, count, body)
    if not header.named or tile:
        return Chunk(first, count, body[offset:], None, size, tile)
    length, start = _read_varint(body, offset, "length of the names")
    if length > len(body) - start:
        raise DamagedPacketError(f"packet, names: expected {length} bytes, found {len(body) - start}")
    joined = body[start : start + length]
    found = joined.count(b"/") + 1  # counted first: a list of them takes many times their bytes
    if found != count:
        raise PacketError(f"packet, names: expected {count}, found {found}")
    try:
        names = tuple(joined.decode().split("/"))
        for name in names:
            check_name(name, limits)
    except (UnicodeDecodeError, ImageError) as error:
        raise PacketError(f"packet, names: {error}") from None
    return Chunk(first, count, body[start + length :], names, size, tile)


def _read_place(header: Header, count: int, body: bytes) -> tuple[tuple[int, int] | None, int, int]:
    """Image size and tile that begin the body of a mixed packet's chunk, and the offset behind them."""
    if header.framing != "mixed":
        return None, 0, 0
    height, offset = _read_varint(body, 0, "image height")
    width, offset = _read_varint(body, offset, "image width")
    tile, offset = _read_varint(body, offset, "tile number")
    tiles = tile_count(height, width)
    if not 1 <= min(height, width) <= max(height, width) <= MOST_SIDE or tiles > MOST_TILES:
        raise PacketError(
            f"packet: expected image sides of 1 to {MOST_SIDE:,} pixels in at most {MOST_TILES:,} tiles, "
            f"found {height}x{width}"
        )
    if tile >= tiles:
        raise PacketError(
            f"packet: expected a tile number below {tiles}, as {height}x{width} has, found {tile}"
        )
    if count > 1 and tiles > 1:
        raise PacketError(f"packet: expected one image of {height}x{width} in a chunk, found {count}")
    return (height, width), tile, offset


def _read_stream(header: Header, seed: int, file: BinaryIO, limits: Limits) -> Iterator[Chunk]:
    images = 0
    before: Chunk | None = None  # the tile of the same image that came last
    while True:
        marker = _exactly(file, len(fmt.CHUNK_MARKER), "marker")
        if marker == fmt.END_MARKER:
            break
        if marker != fmt.CHUNK_MARKER:
            raise DamagedPacketError(
                f"packet: expected a chunk or the end after image {images}, found {marker.hex(' ')}"
            )
        fields = _exactly(file, fmt.CHUNK_FIELDS.size, "chunk")
        first, count, length = fmt.CHUNK_FIELDS.unpack(fields)
        limits.check("chunk_bytes", length, f"packet: bytes of the chunk after image {images}")
        body = _exactly(file, length, "chunk")
        check = _exactly(file, fmt.CRC.size, "chunk")
        if check != fmt.CRC.pack(zlib.crc32(body, zlib.crc32(marker + fields, seed))):
            raise DamagedPacketError(
                f"packet: the check of the chunk after image {images} does not match; it is damaged"
            )
        if first != images or not count:
            raise DamagedPacketError(
                f"packet: expected the chunk of image {images}, found {count} images from {first} on"
            )
        chunk = _read_body(header, first, count, body, limits)
        _check_order(before, chunk)
        images = chunk.behind
        before = chunk if images == first else None
        yield chunk
    _check_order(before, None)
    field = _exactly(file, fmt.COUNT.size, "trailer")
    check = _exactly(file, fmt.CRC.size, "trailer")
    if check != fmt.CRC.pack(zlib.crc32(fmt.END_MARKER + field, seed)):
        raise DamagedPacketError("packet, trailer: its check does not match; the packet is damaged")
    if field != fmt.COUNT.pack(images):
        raise DamagedPacketError(
            f"packet: expected {fmt.COUNT.unpack(field)[0]} images, found {images}; a chunk is missing"
        )
    if file.read(1):
        raise DamagedPacketError("packet: expected nothing after the trailer, found more bytes")


def _check_order(before: Chunk | None, chunk: Chunk | None) -> None:
    """Refuse anything but the next tile of an image that has begun, and a beginning where none has."""
    tile, size = (0, None) if before is None else (before.tile + 1, before.size)
    if before is None and (chunk is None or not chunk.tile):
        return
    if chunk is None or chunk.tile != tile or chunk.size != size:
        found = "the end" if chunk is None else f"tile {chunk.tile} of {'x'.join(map(str, chunk.size or ()))}"
        raise DamagedPacketError(
            f"packet: expected tile {tile}{f' of {size[0]}x{size[1]}' if size else ''}, found {found}"
        )


def _salvage(
    header: Header, seed: int, data: bytes, limits: Limits, on_missing: OnMissing
) -> Iterator[Chunk]:
    """The chunks of a damaged packet that can be read, in the order of their images, each image once.

    A chunk over the limits, or with names that nobody may write, is none.
    """
    found, total = _find_chunks(seed, data, limits)
    images = 0
    waiting: dict[tuple[tuple[int, int] | None, int], dict[int, Chunk]] = defaultdict(dict)
    for first, count, start, end in sorted(found, key=lambda chunk: chunk[0]):  # of two, what came first
        if first < images:
            continue
        try:
            chunk = _read_body(header, first, count, data[start:end], limits)
        except (PacketError, LimitError):
            continue
        tiles = waiting[chunk.size, first]
        tiles.setdefault(chunk.tile, chunk)
        if len(tiles) < chunk.tiles:
            continue
        if first > images:
            on_missing(images, first - images)
        yield from (tiles[tile] for tile in range(len(tiles)))
        images = first + count
        waiting.clear()
    if total is None or total < images:
        on_missing(images, None)
    elif total > images:
        on_missing(images, total - images)


def _find_chunks(
    seed: int, data: bytes, limits: Limits
) -> tuple[list[tuple[int, int, int, int]], int | None]:
    """Every chunk whose check matches, wherever it begins, and the number of images that the trailer states.

    Of a chunk: its first image, how many, and where its body starts and ends. Without a trailer the number is
    None. What stands behind a trailer is another packet's. Markers may stand anywhere, also where someone put
    them to keep the reader busy: it gives up once it has checked a fixed multiple of the data.
    """
    found: list[tuple[int, int, int, int]] = []
    offset = 0
    left = _SALVAGE_PASSES * len(data)
    while left >= 0 and (marker := _MARKERS.search(data, offset)):
        begin, offset = marker.start(), marker.end()
        if marker[0] == fmt.END_MARKER:
            total = _end_at(data, begin, seed)
            if total is not None:
                return found, total
            continue
        start = offset + fmt.CHUNK_FIELDS.size
        if start > len(data):
            continue
        first, count, length = fmt.CHUNK_FIELDS.unpack_from(data, offset)
        end = start + length
        if not count or end + fmt.CRC.size > len(data):
            continue
        left -= length
        check = zlib.crc32(memoryview(data)[begin:end], seed)
        if data[end : end + fmt.CRC.size] == fmt.CRC.pack(check):
            limits.check("packet_images", len(found) + 1, "packet: chunks of a damaged packet")
            found.append((first, count, start, end))
            offset = end + fmt.CRC.size
    return found, None


def _end_at(data: bytes, offset: int, seed: int) -> int | None:
    """The number of images that the trailer whose marker is at ``offset`` states; None if it is not whole."""
    start = offset + len(fmt.END_MARKER)
    end = start + fmt.COUNT.size
    check = fmt.CRC.pack(zlib.crc32(data[offset:end], seed))
    if data[end : end + fmt.CRC.size] != check:
        return None
    total: int = fmt.COUNT.unpack(data[start:end])[0]
    return total


def _read_varint(data: bytes, offset: int, what: str) -> tuple[int, int]:
    """The value at ``offset`` and the offset behind it."""
    value = 0
    for i, byte in enumerate(data[offset : offset + _VARINT_BYTES]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            if i and not byte:
                raise PacketError(f"packet, {what}: expected a number in its shortest form")
            return value, offset + i + 1
    raise DamagedPacketError(f"packet, {what}: expected a number, found the end or too many bytes")

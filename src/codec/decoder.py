"""The receiver: packet -> symbols -> codes -> images, from a decoder bundle alone."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from reprlib import repr as short
from typing import Any, BinaryIO, Literal, overload

import numpy as np
from numpy.typing import NDArray

from codec import numpy_synthesis
from codec.batching import apply_in_batches, batch_sizes, compiled_for, in_threads
from codec.bundle import Bundle
from codec.errors import (
    ImageError,
    LimitError,
    OptionError,
    PacketError,
    WrongPairError,
    WrongSideError,
)
from codec.forking import claim_jax
from codec.images import crop, whole_number
from codec.limits import DEFAULT_LIMITS, Limits
from codec.loading import load_bundle
from codec.mixed_decoder import Band, MixedDecoder, Picture
from codec.packet import Chunk, Header
from codec.packet_reader import OnMissing, read_packet
from codec.quantise import dequantise
from codec.registry import networks_of
from codec.runs import decode_symbols
from codec.salvage import Gap, Salvaged, joined
from codec.signing import Trusted

__all__ = ["Decoded", "Decoder", "decode", "load_decoder"]

_Synthesis = Callable[[NDArray[np.float32], int], NDArray[np.uint8]]
"""Codes [N, h, w, C] and their quality to images [N, H, W, C]."""

_FEW_PIXELS = 1 << 14
"""Up to so many NumPy makes the images: 20 digits, or one image of 128x128.

For digits this is about where JAX begins to be faster; for one large image it is sooner, by milliseconds
(``docs/performance.md``). A process that decodes few images never spends the second that JAX takes to start.
"""


@dataclass(frozen=True, eq=False)
class Decoded:
    """One chunk's images.

    Attributes:
        first: images in the packet before these.
        images: uint8 [N, H, W, C].
        names: a file name for each image, or None.
    """

    first: int
    images: NDArray[np.uint8]
    names: tuple[str, ...] | None


class Decoder:
    """One pair's receiving half. Immutable, and safe to share between threads.

    Args:
        bundle: a decoder's bundle.
        limits: bounds that packets are held to before anything is allocated.

    Raises:
        WrongSideError: an encoder's bundle.
    """

    def __init__(self, bundle: Bundle, limits: Limits = DEFAULT_LIMITS) -> None:
        if bundle.side != "decoder":
            raise WrongSideError(f"bundle: expected the decoder's, found the {bundle.side}'s")
        self.bundle = bundle
        self.limits = limits

    @property
    def qualities(self) -> int:
        """How many qualities the pair has."""
        return self.bundle.pair.qualities

    def images(
        self,
        codes: Any,
        *,
        quality: int | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> NDArray[np.uint8]:
        """Images of codes: uint8 [N, H, W, C].

        Args:
            codes: floats [N, h, w, code channels], or one image's [h, w, code channels].
            quality: that the codes were made at, None is the pair's default; a convolutional pair's images
                are the same for all.
            height, width: size to crop to; None is all that the codes cover.

        Raises:
            ImageError: codes of another shape or type, or not finite.
            OptionError: a size that the codes do not cover, or a quality that the pair does not have.
        """
        pair = self.bundle.pair
        quality = pair.default_quality if quality is None else quality
        if whole_number(quality) is None or not 0 <= quality < pair.qualities:
            raise OptionError(f"quality: expected 0 to {pair.qualities - 1}, found {quality!r}")
        try:
            array = np.asarray(codes)
        except (ValueError, OverflowError) as error:
            raise ImageError(f"codes: expected one array of floats; these form none: {error}") from None
        if np.issubdtype(array.dtype, np.floating):
            with np.errstate(over="ignore"):  # what float32 cannot hold is not finite in it
                array = array.astype(np.float32)
        if array.ndim == 3:
            array = array[None]
        channels = pair.architecture.code_channels
        if (
            array.ndim != 4
            or array.shape[3] != channels
            or 0 in array.shape
            or array.dtype != np.float32
            or not np.isfinite(array).all()
        ):
            raise ImageError(
                f"codes: expected finite floats shaped [N, h, w, {channels}] with at least one value, "
                f"found {array.dtype} {array.shape}"
            )
        covered = [cells * pair.architecture.stride for cells in array.shape[1:3]]
        size = [covered[0] if height is None else height, covered[1] if width is None else width]
        if not all(
            whole_number(asked) is not None and 1 <= asked <= most
            for asked, most in zip(size, covered, strict=True)
        ):
            raise OptionError(
                f"size: expected at most {covered[0]}x{covered[1]}, which the codes cover, "
                f"found {size[0]!r}x{size[1]!r}"
            )
        if pair.architecture.code_shape(*covered)[:2] != array.shape[1:3]:
            raise ImageError(
                f"codes: expected an even number of rows and columns, found {array.shape[1]}x{array.shape[2]}"
            )
        if not pair.takes(*covered):
            raise ImageError(
                f"codes: expected {pair.code_shape[0]}x{pair.code_shape[1]} cells, the one size that "
                f"{short(self.bundle.name)} takes, found {array.shape[1]}x{array.shape[2]}"
            )
        return crop(self._images(array, quality), size[0], size[1])

    def _images(self, codes: NDArray[np.float32], quality: int) -> NDArray[np.uint8]:
        pixels = codes[..., 0].size * self.bundle.pair.architecture.stride**2
        few = pixels <= _FEW_PIXELS and networks_of(self.bundle.pair.architecture).numpy_synthesis is not None
        return (self._few if few else self._many)(codes, quality)

    # Threads that ask for one of these two at once may make it twice, which is harmless.

    @cached_property
    def _few(self) -> _Synthesis:
        """The synthesis in NumPy."""
        return partial(numpy_synthesis.synthesise, self.bundle.pair.architecture, self.bundle.parameters())

    @cached_property
    def _on_device(self) -> Any:
        """The weights as JAX holds them."""
        import jax

        return jax.device_put(self.bundle.parameters())

    def _many(self, codes: NDArray[np.float32], quality: int) -> NDArray[np.uint8]:
        """The synthesis in JAX."""
        claim_jax()
        from codec.synthesis import synthesise

        architecture = self.bundle.pair.architecture
        rows, columns, _ = shape = codes.shape[1:]
        pixels = rows * columns * architecture.stride**2 * architecture.image_channels
        sizes = batch_sizes(max(math.prod(shape), pixels))
        function = compiled_for(synthesise, architecture, shape)
        return apply_in_batches(function, self._on_device, codes, quality, sizes=sizes)

    @overload
    def decode(
        self, packet: bytes | BinaryIO, *, on_error: Literal["raise"] = "raise"
    ) -> NDArray[np.uint8]: ...

    @overload
    def decode(self, packet: bytes | BinaryIO, *, on_error: Literal["skip"]) -> Salvaged: ...

    def decode(
        self, packet: bytes | BinaryIO, *, on_error: Literal["raise", "skip"] = "raise"
    ) -> NDArray[np.uint8] | Salvaged:
        """All images of a packet: uint8 [N, H, W, C], or with ``on_error="skip"`` what is left of them.

        Args:
            packet: the bytes, in any framing, or a file open for reading them.
            on_error: "skip" passes over chunks that are damaged, do not decode or are larger than a chunk
                may be, and tells which images they took. It needs the stream framing, which long packets
                have, and a header without damage: a packet of one chunk is whole or an error.

        Raises:
            PacketError: not a packet, or a version or quality this decoder does not know.
            DamagedPacketError: truncated, or a check does not match.
            WrongPairError: made by another pair.
            LimitError: over the limits.
            OptionError: another ``on_error``.
            TypeError: neither bytes nor a file of bytes. What reading a file raises passes as it is.
        """
        if on_error == "skip":
            return self._salvage(packet)
        if on_error != "raise":
            raise OptionError(f"on_error: expected 'raise' or 'skip', found {on_error!r}")
        header, size, chunks = self._open(packet)
        parts = in_threads(partial(self._decode_chunk, header, size), self._all_at_once(size, chunks))
        return self._joined(size, parts)

    def _salvage(self, packet: bytes | BinaryIO) -> Salvaged:
        gaps: list[Gap] = []

        def on_missing(first: int, count: int | None) -> None:
            gaps.append((first, count))

        header, size, chunks = self._open(packet, on_missing)
        decode = partial(self._decode_or_tell, header, size, on_missing)
        parts = [part for part in in_threads(decode, self._all_at_once(size, chunks)) if part is not None]
        numbers = [np.arange(part.first, part.first + len(part.images)) for part in parts]
        names = chain.from_iterable(part.names or () for part in parts)
        return Salvaged(
            self._joined(size, parts),
            np.concatenate([np.empty(0, np.int64), *numbers]),
            joined(gaps),
            tuple(names) if header.named else None,
        )

    def _joined(self, size: tuple[int, int], parts: list[Decoded]) -> NDArray[np.uint8]:
        none = np.empty((0, *size, self.bundle.pair.architecture.image_channels), np.uint8)
        return np.concatenate([none, *(part.images for part in parts)])

    def decode_stream(
        self, packet: bytes | BinaryIO, on_missing: OnMissing | None = None
    ) -> Iterator[Decoded]:
        """The images of a packet chunk by chunk, in memory that does not grow with their number.

        Args:
            packet: as for ``decode``.
            on_missing: if given, damage is passed over as with ``on_error="skip"``, and this is called, in
                order, with the number of images before each gap and the number of images in it, or None
                for that where the end is gone too; gaps may touch. The packet is then read whole.

        Raises:
            As ``decode``; a chunk that was yielded is whole and checked, whatever comes behind it.
        """
        return self._decode_stream(*read_packet(packet, self.limits, on_missing), on_missing)

    def _decode_stream(
        self, header: Header, chunks: Iterator[Chunk], on_missing: OnMissing | None
    ) -> Iterator[Decoded]:
        header, size, chunks = self._opened(header, chunks, on_missing)
        parts = map(partial(self._decode_or_tell, header, size, on_missing), chunks)
        return (part for part in parts if part is not None)

    def symbols(self, packet: bytes | BinaryIO) -> NDArray[np.int32]:
        """The integers in a packet, before any floating point: int32 [N, h, w, code channels].

        Raises:
            As ``decode``.
        """
        header, size, chunks = self._open(packet)
        cells = self.bundle.pair.architecture.code_shape(*size)
        parts, found = [], 0
        for chunk in self._all_at_once(size, chunks):
            found += chunk.count * math.prod(cells)
            self.limits.check("packet_symbols", found, "packet: symbols decoded at once")
            parts.append(self._symbols(header, size, chunk))
        return np.concatenate([np.empty((0, *cells), np.int32), *parts])

    def decode_pictures(
        self, packet: bytes | BinaryIO, on_missing: OnMissing | None = None
    ) -> Iterator[Picture]:
        """The pictures of a packet of any framing one by one, each with its name: they may differ in size.

        Memory does not grow with their number. Chunks and pictures are held to the limits one by one.

        Args:
            packet: as for ``decode``.
            on_missing: as for ``decode_stream``; a picture any of whose tiles is gone is missing, and so is
                one that is over the limits.

        Raises:
            As ``decode``; a picture that was yielded is whole and checked, whatever comes behind it.
        """
        header, chunks = read_packet(packet, self.limits, on_missing)
        if header.framing == "mixed":
            return self._mixed(header).pictures(chunks, on_missing)
        return self._pictures(self._decode_stream(header, chunks, on_missing))

    def _pictures(self, parts: Iterable[Decoded]) -> Iterator[Picture]:
        for part in parts:
            for i, image in enumerate(part.images):
                yield Picture(part.first + i, image, part.names[i] if part.names else None)

    def decode_rows(self, packet: bytes | BinaryIO) -> Iterator[Band]:
        """The pictures of a mixed packet in bands of up to 512 rows, for pictures larger than memory.

        Memory grows with a picture's width alone: the symbols of three rows of tiles are held, and the pixels
        of one.

        Args:
            packet: the bytes, or a file open for reading them.

        Raises:
            As ``decode``, and PacketError for a packet of another framing; a band that was yielded is
            checked, whatever comes behind it.
        """
        header, chunks = read_packet(packet, self.limits)
        return self._mixed(header).bands(chunks)

    def picture_symbols(self, packet: bytes | BinaryIO) -> Iterator[NDArray[np.int32]]:
        """The integers in a mixed packet, a picture at a time: int32 [h, w, code channels].

        Raises:
            As ``decode_rows``.
        """
        header, chunks = read_packet(packet, self.limits)
        return self._mixed(header).symbols_by_picture(chunks)

    def _mixed(self, header: Header) -> MixedDecoder:
        """The decoder of a mixed packet that is this pair's."""
        pair = self.bundle.pair
        self._check_pair(header)
        if header.framing != "mixed":
            raise PacketError(
                f"packet: expected a mixed one, found the {header.framing} framing; use decode, "
                "decode_stream or decode_pictures"
            )
        if not pair.takes_any_size:
            raise PacketError(
                f"packet: expected images of {pair.height}x{pair.width}, the one size of the pair "
                f"{short(self.bundle.name)}, found a mixed packet"
            )
        return MixedDecoder(
            pair,
            self.limits,
            header,
            partial(self._symbols, header),
            partial(self._images, quality=header.quality),
        )

    def _open(
        self, packet: bytes | BinaryIO, on_missing: OnMissing | None = None
    ) -> tuple[Header, tuple[int, int], Iterator[Chunk]]:
        """Header, image height and width, and chunks of a packet that is this pair's."""
        return self._opened(*read_packet(packet, self.limits, on_missing), on_missing)

    def _opened(
        self, header: Header, chunks: Iterator[Chunk], on_missing: OnMissing | None
    ) -> tuple[Header, tuple[int, int], Iterator[Chunk]]:
        size = self._image_size(header)
        if on_missing is not None and header.framing == "stream":
            self.bundle.pair.check_chunk(1, *size, self.limits)  # no chunk of such images could be taken
            chunks = self._within_limits(size, chunks, on_missing)
        return header, size, chunks

    def _within_limits(
        self, size: tuple[int, int], chunks: Iterator[Chunk], on_missing: OnMissing
    ) -> Iterator[Chunk]:
        """The chunks that are no larger than a chunk may be; the others are told as missing."""
        for chunk in chunks:
            try:
                self.bundle.pair.check_chunk(chunk.count, *size, self.limits)
            except LimitError:
                on_missing(chunk.first, chunk.count)
            else:
                yield chunk

    def _all_at_once(self, size: tuple[int, int], chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks, as long as their images together are within what may be decoded at once."""
        images = held = 0
        for chunk in chunks:
            images, held = images + chunk.count, held + len(chunk.payload)
            pixels = images * self.bundle.pair.architecture.padded_pixels(*size)
            self.limits.check("packet_images", images, "packet: images decoded at once")
            self.limits.check("packet_pixels", pixels, "packet: pixels decoded at once")
            self.limits.check("packet_bytes", held, "packet: bytes decoded at once")
            yield chunk

    def _check_pair(self, header: Header) -> None:
        """Refuse a packet of another pair, or of a quality that this one does not have."""
        pair = self.bundle.pair
        if not pair.digest.startswith(header.pair):
            raise WrongPairError(
                f"packet: made by the pair {header.pair.hex()}, but this decoder belongs to "
                f"{short(self.bundle.name)}, {pair.digest[: len(header.pair)].hex()}; "
                "use the decoder bundle that was exported with the sender's encoder"
            )
        if header.quality >= pair.qualities:
            raise PacketError(
                f"packet: expected a quality from 0 to {pair.qualities - 1}, found {header.quality}"
            )

    def _image_size(self, header: Header) -> tuple[int, int]:
        """Height and width of the packet's images, once the packet is known to be this pair's."""
        pair = self.bundle.pair
        self._check_pair(header)
        if header.framing == "mixed":
            raise PacketError(
                "packet: expected images of one size, found a mixed packet, whose pictures may differ; use "
                "decode_pictures or decode_rows"
            )
        if header.shape == (pair.height, pair.width):
            raise PacketError(
                f"packet: expected no image size where it is the pair's own, found {pair.height}x{pair.width}"
            )
        height, width = header.shape or (pair.height, pair.width)
        if not pair.takes(height, width):
            raise PacketError(
                f"packet: expected images of {pair.height}x{pair.width}, the one size of the pair "
                f"{short(self.bundle.name)}, found {height}x{width}"
            )
        return height, width

    def _symbols(self, header: Header, size: tuple[int, int], chunk: Chunk) -> NDArray[np.int32]:
        pair = self.bundle.pair
        pair.check_chunk(chunk.count, *size, self.limits)
        rows, columns, _ = pair.architecture.code_shape(*size)
        return decode_symbols(chunk.payload, pair, header.quality, (chunk.count, rows, columns))

    def _decode_chunk(self, header: Header, size: tuple[int, int], chunk: Chunk) -> Decoded:
        symbols = self._symbols(header, size, chunk)
        codes = dequantise(symbols, self.bundle.pair.steps[header.quality])
        images = crop(self._images(codes, header.quality), *size)
        # A view would keep the padding, which may be thousands of times the images, for as long as they live.
        return Decoded(chunk.first, np.ascontiguousarray(images), chunk.names)

    def _decode_or_tell(
        self, header: Header, size: tuple[int, int], on_missing: OnMissing | None, chunk: Chunk
    ) -> Decoded | None:
        """One chunk's images; None where it is passed over because its payload does not decode."""
        try:
            return self._decode_chunk(header, size, chunk)
        except PacketError:
            if on_missing is None or header.framing != "stream":
                raise
            on_missing(chunk.first, chunk.count)
            return None


def load_decoder(
    name_or_path: str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
    *,
    trusted: Trusted | None = None,
) -> Decoder:
    """The decoder of a shipped pair, by name, or of a bundle file, by path.

    Args:
        trusted: if given, a public key, the path of one's file, or several, one of which must have signed the
            bundle. Unsigned, changed and other people's bundles, and shipped pairs, are then refused.

    Raises:
        FileError, BundleError, WrongSideError, SignatureError, LimitError: see ``codec.errors``.
        OptionError, KeyFileError, MissingExtraError: of ``trusted``, see ``codec.verify_bundle``.
    """
    return Decoder(load_bundle(name_or_path, "decoder", limits, trusted), limits)


@overload
def decode(
    packet: bytes | BinaryIO,
    decoder: Decoder | str | os.PathLike[str],
    *,
    on_error: Literal["raise"] = "raise",
) -> NDArray[np.uint8]: ...


@overload
def decode(
    packet: bytes | BinaryIO, decoder: Decoder | str | os.PathLike[str], *, on_error: Literal["skip"]
) -> Salvaged: ...


def decode(
    packet: bytes | BinaryIO,
    decoder: Decoder | str | os.PathLike[str],
    *,
    on_error: Literal["raise", "skip"] = "raise",
) -> NDArray[np.uint8] | Salvaged:
    """``Decoder.decode`` in one call; ``decoder`` may be a name or path, which is then loaded."""
    receiver = decoder if isinstance(decoder, Decoder) else load_decoder(decoder)
    return receiver.decode(packet) if on_error == "raise" else receiver.decode(packet, on_error=on_error)

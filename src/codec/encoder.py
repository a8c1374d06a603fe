"""The sender: images -> codes -> symbols -> packet, from an encoder bundle alone."""

import os
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import chain, islice
from reprlib import repr as short
from typing import Any, SupportsIndex

import jax
import numpy as np
from numpy.typing import NDArray

from codec.analysis import analyse
from codec.batching import apply_in_batches, batch_sizes, compiled_for, in_threads
from codec.bundle import Bundle
from codec.context import ContextModel
from codec.domain import ImageReport, read_domain
from codec.errors import BundleError, ImageError, OptionError, WrongSideError
from codec.forking import claim_jax
from codec.images import as_batch, pad, to_float, whole_number
from codec.limits import DEFAULT_LIMITS, Limits
from codec.loading import load_bundle
from codec.mixed_encoder import MixedEncoder
from codec.packet import COMPACT_QUALITIES, Chunk, Header
from codec.packet_writer import StreamWriter, write_compact, write_packet
from codec.quantise import near_edge, quantise
from codec.rate import element_bits, symbol_bits
from codec.rounding import MAX_EFFORT, can_steer, steer
from codec.runs import encode_symbols
from codec.signing import Trusted
from codec.tiles import TILE, tile_count

__all__ = ["Encoder", "encode", "load_encoder"]

_CHUNK_IMAGES = 1024
_CHUNK_PIXELS = 1 << 20


_EDGE = 2.0**-14
"""How near to the edge of rounding a code is computed once more, as ``near_edge`` counts it. Of the shipped
pair, codes differ between batch sizes by at most a fifth of that."""


class Encoder:
    """One pair's sending half. Immutable, and safe to share between threads.

    Args:
        bundle: an encoder's bundle.
        limits: bounds that images and packets are held to.

    Raises:
        WrongSideError: a decoder's bundle.
    """

    def __init__(self, bundle: Bundle, limits: Limits = DEFAULT_LIMITS) -> None:
        if bundle.side != "encoder":
            raise WrongSideError(f"bundle: expected the encoder's, found the {bundle.side}'s")
        self.bundle = bundle
        self.limits = limits

    @cached_property
    def _on_device(self) -> Any:
        return jax.device_put(self.bundle.parameters())

    @property
    def _parameters(self) -> Any:
        """The weights as JAX holds them."""
        claim_jax()
        return self._on_device

    @property
    def qualities(self) -> int:
        """How many qualities there are; they count from 0, the coarsest."""
        return self.bundle.pair.qualities

    @property
    def default_quality(self) -> int:
        """The quality of a packet that names none, which is the middle one, the finer of two."""
        return self.bundle.pair.default_quality

    def codes(self, images: Any, *, quality: SupportsIndex | None = None) -> NDArray[np.float32]:
        """Codes of images before quantisation: float32 [N, ceil(H/s), ceil(W/s), code channels].

        Args:
            images: uint8 or float in 0..1, [N,H,W,C], [N,H,W] or one image [H,W,C] or [H,W].
            quality: as for ``encode``; the codes of a convolutional pair are the same for all.

        Raises:
            ImageError: images that the pair cannot take.
            OptionError: a quality that the pair does not have.
            BundleError: weights that make codes overflow.
        """
        batch = as_batch(images, self.bundle.pair.architecture.image_channels)
        self._check_size(batch)
        return self._codes(batch, self._quality(quality))

    def _codes(self, batch: NDArray[Any], quality: int) -> NDArray[np.float32]:
        return self._codes_of_pixels(self._pixels(batch), quality)

    def _pixels(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Padded images in 0..1, float32.

        To floats here and not in the compiled function, whose division differs in the last bit: an image
        given as bytes and as floats must make the same packet.
        """
        pixels: NDArray[np.float32] = to_float(pad(batch, self.bundle.pair.architecture.alignment))
        return pixels

    def _codes_of_pixels(
        self, pixels: NDArray[np.float32], quality: int, *, steered: bool = False
    ) -> NDArray[np.float32]:
        """Codes whose symbols do not depend on how many images there are.

        How XLA orders the sums of a dense layer depends on the batch's size, and a code in the middle between
        two integers may go either way. So whole batches of the largest size decide: what went in smaller ones
        and came near such an edge is computed once more in one of those. ``steered`` rounding looks at every
        last bit, so there all of it is. A convolution's sums are in one order whatever the batch
        (``Architecture.steady``).
        """
        pair = self.bundle.pair
        function = compiled_for(analyse, pair.architecture, pixels.shape[1:])
        weights, sizes = self._parameters, batch_sizes(pixels[0].size)
        largest = sizes[-1:]
        codes = apply_in_batches(function, weights, pixels, quality, sizes=largest if steered else sizes)
        if not np.isfinite(codes).all():
            raise BundleError(
                f"encoder {short(self.bundle.name)}: its codes are not finite; retrain the pair"
            )
        if not (pair.architecture.steady or steered):
            start = len(pixels) // largest[0] * largest[0]
            doubtful = near_edge(codes[start:], pair.steps[quality], _EDGE).any((1, 2, 3))
            if doubtful.any():
                again = start + np.flatnonzero(doubtful)
                codes = codes.copy()
                codes[again] = apply_in_batches(function, weights, pixels[again], quality, sizes=largest)
        return codes

    def image_bits(self, images: Any, *, quality: SupportsIndex | None = None) -> NDArray[np.float64]:
        """What the symbols of each image cost in a packet, without its framing: bits, float64 [N].

        Args:
            images, quality: as for ``codes``. The effort is 0.

        Raises:
            ImageError, OptionError, BundleError: as ``codes``.
        """
        batch = as_batch(images, self.bundle.pair.architecture.image_channels)
        number, pair = self._quality(quality), self.bundle.pair
        size = (batch.shape[1], batch.shape[2])
        if pair.takes_any_size and tile_count(*size) > 1:
            pair.check_picture(*size, self.limits)
            return np.array([self._bits_in_tiles(image, size, number) for image in batch])
        self._check_size(batch)
        parts = [
            symbol_bits(quantise(self._codes(part, number), pair.steps[number]), pair, number)
            for part in _split(batch, self._chunk_images(batch))
        ]
        return np.concatenate(parts)

    def element_bits(self, images: Any, *, quality: SupportsIndex | None = None) -> NDArray[np.float64]:
        """What each symbol of the images costs in a packet: bits, float64 of the shape of ``codes``.

        An image's sum is its ``image_bits``.

        Args:
            images, quality: as for ``codes``. The effort is 0.

        Raises:
            ImageError: as ``codes``, and for images of more than one tile, 512 x 512 pixels.
            OptionError, BundleError: as ``codes``.
        """
        batch = as_batch(images, self.bundle.pair.architecture.image_channels)
        number, pair = self._quality(quality), self.bundle.pair
        height, width = self._check_size(batch)
        if pair.takes_any_size and tile_count(height, width) > 1:
            raise ImageError(
                f"images: expected at most {TILE}x{TILE} pixels, found {height}x{width}; take a part"
            )
        parts = [
            element_bits(quantise(self._codes(part, number), pair.steps[number]), pair, number)
            for part in _split(batch, self._chunk_images(batch))
        ]
        return np.concatenate(parts)

    def _bits_in_tiles(self, image: NDArray[Any], size: tuple[int, int], quality: int) -> float:
        """What the symbols of an image of several tiles cost, tile by tile, as a mixed packet has them."""
        mixed, pair = self._mixed(quality), self.bundle.pair
        return sum(
            float(symbol_bits(mixed.symbols(image, 0, size, tile)(), pair, quality)[0])
            for tile in range(tile_count(*size))
        )

    def check_domain(self, images: Any, *, quality: SupportsIndex | None = None) -> list[ImageReport]:
        """Of each image whether it is such as the pair was trained for, told by its rate and its appearance.

        Args:
            images, quality: as for ``encode``.

        Raises:
            ImageError, OptionError: as ``codes``.
            BundleError: as ``codes``, and for a bundle without a record of its domain.
        """
        domain = read_domain(self.bundle)
        batch = as_batch(images, self.bundle.pair.architecture.image_channels)
        number = self._quality(quality)
        pixels = batch if batch.dtype == np.uint8 else np.rint(batch * 255).astype(np.uint8)
        return list(domain.reports(pixels, self.image_bits(batch, quality=number), number))

    def encode(
        self,
        images: Any,
        *,
        quality: SupportsIndex | None = None,
        names: Iterable[str] | None = None,
        compact: bool = False,
        effort: int = 0,
    ) -> bytes:
        """The packet of one image or of a batch of images of one size.

        Args:
            images: uint8 or float in 0..1, [N,H,W,C], [N,H,W] or one image [H,W,C] or [H,W].
            quality: 0, the coarsest, to ``qualities - 1``; None is ``default_quality``.
            names: a plain file name for each image, to travel with it.
            compact: six bytes of framing instead of twelve, with shorter checks: one image of the pair's own
                size, without a name, over a link that checks for itself.
            effort: 0, the fastest, rounds each code to its nearest integer; 1 to 3 choose integers in as many
                passes so that errors fall where they do not show, at no cost to the receiver. It makes no
                difference where a pair has nothing to gain from it.

        Raises:
            ImageError: images or names that the pair or the packet cannot take.
            OptionError: a quality that the pair does not have, an effort out of range, or ``compact`` for
                what it cannot frame.
            LimitError: over the limits.
        """
        _check_effort(effort)
        batch = as_batch(images, self.bundle.pair.architecture.image_channels)
        listed = None if names is None else tuple(names)
        self.limits.check("packet_images", len(batch), "images encoded at once")
        pixels = len(batch) * self.bundle.pair.architecture.padded_pixels(*batch.shape[1:3])
        self.limits.check("packet_pixels", pixels, "pixels encoded at once")
        header = self._header(batch, quality, listed is not None)
        if compact:
            self._check_compact(batch, header)
            packet = write_compact(header, self._coded(batch, header.quality, effort)[1], self.limits)
        elif len(batch) > self._chunk_images(batch):
            code = partial(self._coded, quality=header.quality, effort=effort)
            coded = in_threads(code, _split(batch, self._chunk_images(batch)))
            packet = b"".join(self._stream(header, coded, listed))
        else:
            count, payload = self._coded(batch, header.quality, effort)
            packet = write_packet(header, Chunk(0, count, payload, listed), self.limits)
        self.limits.check("packet_bytes", len(packet), "packet: bytes")
        return packet

    def encode_stream(
        self,
        batches: Iterable[Any],
        *,
        quality: SupportsIndex | None = None,
        names: Iterable[str] | None = None,
        effort: int = 0,
    ) -> Iterator[bytes]:
        """The pieces of one packet of any number of images, in memory that does not grow with it.

        Args:
            batches: arrays of images as ``encode`` takes them, all of one size and type.
            quality, effort: as for ``encode``.
            names: a name for each image; read along with the batches.

        Yields:
            Bytes to write one after the other.
        """
        _check_effort(effort)
        channels = self.bundle.pair.architecture.image_channels
        arrays = (as_batch(batch, channels) for batch in batches)
        first = next(arrays, None)
        if first is None:
            raise ImageError("images: expected at least one batch, found none")
        header = self._header(first, quality, names is not None, stream=True)
        chunks = _rechunk(chain([first], arrays), self._chunk_images(first))
        coded = (self._coded(batch, header.quality, effort) for batch in chunks)
        return self._stream(header, coded, names)

    def encode_pictures(
        self,
        pictures: Iterable[Any],
        *,
        quality: SupportsIndex | None = None,
        names: Iterable[str] | None = None,
        effort: int = 0,
    ) -> Iterator[bytes]:
        """The pieces of one mixed packet: any number of pictures of any sizes, of a pair that takes any size.

        Memory does not grow with their number, nor with the size of a picture that is larger than memory:
        pictures of more than 512 x 512 pixels are coded in tiles, and of those only the tiles at hand and
        what is around them are read. Their codes are those of the whole picture.

        Args:
            pictures: uint8, or float in 0..1, [H, W, C] or [H, W]: arrays, or what has their ``shape`` and
                gives such an array for a slice of rows and one of columns, as a memory map does.
            quality, effort: as for ``encode``.
            names: a name for each picture; read along with the pictures.

        Yields:
            Bytes to write one after the other, for ``Decoder.decode_pictures`` and ``Decoder.decode_rows``.

        Raises:
            As ``encode``; OptionError too for a pair of one size.
        """
        _check_effort(effort)
        pair, number = self.bundle.pair, self._quality(quality)
        if not pair.takes_any_size:
            raise OptionError(
                f"pictures: expected a pair that takes images of any size, but {short(self.bundle.name)} "
                f"takes {pair.height}x{pair.width} alone; use encode or encode_stream"
            )
        return self._mixed(number, names is not None, effort).pieces(pictures, names)

    def _mixed(self, quality: int, named: bool = False, effort: int = 0) -> MixedEncoder:
        """What makes mixed packets of a quality."""
        pair = self.bundle.pair
        header = Header("mixed", quality, pair.digest[:4], None, named)
        coded = partial(self._coded, quality=quality, effort=effort)
        codes = partial(self._codes, quality=quality)
        return MixedEncoder(pair, self.limits, header, self._chunk_images, coded, codes)

    def _stream(
        self, header: Header, coded: Iterable[tuple[int, bytes]], names: Iterable[str] | None
    ) -> Iterator[bytes]:
        """The pieces of a stream of chunks, given how many images are in each, and its payload."""
        header = Header("stream", header.quality, header.pair, header.shape, header.named)
        writer = StreamWriter(header, self.limits)
        names = None if names is None else iter(names)
        yield writer.header()
        for count, payload in coded:
            taken = None if names is None else tuple(islice(names, count))
            yield writer.chunk(count, payload, taken)
        if names is not None and next(names, None) is not None:
            raise ImageError("image names: expected one for each image, found more")
        yield writer.trailer()

    def _header(
        self, batch: NDArray[Any], quality: SupportsIndex | None, named: bool, *, stream: bool = False
    ) -> Header:
        pair = self.bundle.pair
        size = self._check_size(batch)
        framing = "stream" if stream else "single" if len(batch) == 1 else "batch"
        shape = None if size == (pair.height, pair.width) else size
        return Header(framing, self._quality(quality), pair.digest[:4], shape, named)

    def _quality(self, quality: SupportsIndex | None) -> int:
        if quality is None:
            return self.default_quality
        number = whole_number(quality)
        if number is None:
            raise OptionError(f"quality: expected a whole number, found {quality!r}")
        if not 0 <= number < self.qualities:
            raise OptionError(
                f"quality: expected 0 to {self.qualities - 1} for {short(self.bundle.name)}, found {number}"
            )
        return number

    def _check_size(self, batch: NDArray[Any]) -> tuple[int, int]:
        """Height and width of images that the pair takes."""
        pair = self.bundle.pair
        height, width = batch.shape[1:3]
        if max(height, width) > 0xFFFF:
            raise ImageError(f"images: expected sides of at most 65,535 pixels, found {(height, width)}")
        if not pair.takes(height, width):
            raise ImageError(
                f"images: expected {pair.height}x{pair.width}, the one size that "
                f"{short(self.bundle.name)} takes, found {height}x{width}; crop them, or train a pair on "
                "images of their size"
            )
        return height, width

    def _check_compact(self, batch: NDArray[Any], header: Header) -> None:
        if len(batch) != 1 or header.shape is not None or header.named:
            raise OptionError(
                "compact: expected one image of the pair's own size without a name, found "
                f"{len(batch)} of {batch.shape[1]}x{batch.shape[2]}{' with names' * header.named}"
            )
        if header.quality >= COMPACT_QUALITIES:
            raise OptionError(
                f"compact: expected a quality below {COMPACT_QUALITIES}, found {header.quality}"
            )

    def _chunk_images(self, batch: NDArray[Any]) -> int:
        return min(_CHUNK_IMAGES, max(1, _CHUNK_PIXELS // int(np.prod(batch.shape[1:]))))

    def _coded(self, batch: NDArray[Any], quality: int, effort: int) -> tuple[int, bytes]:
        """How many images one chunk has, and its payload."""
        pair = self.bundle.pair
        count, height, width, _ = batch.shape
        pair.check_chunk(count, height, width, self.limits)
        pixels = self._pixels(batch)
        steered = bool(effort) and can_steer(self.bundle, quality)
        codes = self._codes_of_pixels(pixels, quality, steered=steered)
        if steered:
            assert isinstance(pair.context, ContextModel)
            symbols = steer(self._parameters, pair.context, pixels, codes, quality, effort)
        else:
            symbols = quantise(codes, pair.steps[quality])
        return count, encode_symbols(symbols, pair, quality)


def _check_effort(effort: int) -> None:
    if type(effort) is not int or not 0 <= effort <= MAX_EFFORT:
        raise OptionError(f"effort: expected 0 to {MAX_EFFORT}, found {effort!r}")


def _split(batch: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    return (batch[start : start + size] for start in range(0, len(batch), size))


def _rechunk(batches: Iterable[NDArray[Any]], size: int) -> Iterator[NDArray[Any]]:
    """The images of ``batches`` in arrays of ``size``, and a last one of what is left."""
    held: list[NDArray[Any]] = []
    count = 0
    for batch in batches:
        if held and (batch.shape[1:], batch.dtype) != (held[0].shape[1:], held[0].dtype):
            raise ImageError(
                f"images: expected batches of one size and type, found {held[0].shape[1:]} "
                f"{held[0].dtype} and then {batch.shape[1:]} {batch.dtype}"
            )
        held.append(batch)
        count += len(batch)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from _split(joined[:whole], size)
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


def load_encoder(
    name_or_path: str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
    *,
    trusted: Trusted | None = None,
) -> Encoder:
    """The encoder of a shipped pair, by name, or of a bundle file, by path.

    Args:
        trusted: if given, a public key, the path of one's file, or several, one of which must have signed the
            bundle. Unsigned, changed and other people's bundles, and shipped pairs, are then refused.

    Raises:
        FileError, BundleError, WrongSideError, SignatureError, LimitError: see ``codec.errors``.
        OptionError, KeyFileError, MissingExtraError: of ``trusted``, see ``codec.verify_bundle``.
    """
    return Encoder(load_bundle(name_or_path, "encoder", limits, trusted), limits)


def encode(images: Any, encoder: Encoder | str | os.PathLike[str], **options: Any) -> bytes:
    """``Encoder.encode`` in one call; ``encoder`` may be a name or path, which is then loaded."""
    return (encoder if isinstance(encoder, Encoder) else load_encoder(encoder)).encode(images, **options)

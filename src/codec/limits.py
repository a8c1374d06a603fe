"""Every bound on what the library reads or writes, in one frozen dataclass.

Readers check these from headers, before anything is allocated; writers obey them too, so that whatever
the library writes under its default limits it can read back. A caller who handles hostile input lowers
them: ``Limits(packet_images=1)``.
"""

from dataclasses import dataclass, fields

from codec.errors import LimitError, OptionError

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds, each inclusive. Sizes are bytes unless the name says otherwise."""

    bundle_bytes: int = 64 << 20
    """Size of a bundle file."""
    bundle_tensors: int = 256
    """Tensors in one bundle."""
    bundle_nesting: int = 8
    """Depth of maps and arrays in a bundle's provenance."""
    bundle_values: int = 1 << 16
    """Values in all the maps and arrays of a bundle together."""
    table_entries: int = 1 << 22
    """Frequencies in all the tables of a bundle together."""
    packet_bytes: int = 1 << 30
    """Size of a packet, sealed or not, that is held in memory, or of the payloads in one that is decoded at
    once."""
    packet_images: int = 1 << 22
    """Images in one packet that is decoded at once; a packet decoded chunk by chunk has no such bound."""
    packet_pixels: int = 1 << 28
    """Pixel values (height x width x channels x images) in one packet that is decoded at once, padding
    included; in a mixed packet in one picture."""
    packet_symbols: int = 1 << 28
    """Symbols in one packet whose symbols are asked for at once, and in three rows of a picture's tiles."""
    band_pixels: int = 1 << 27
    """Pixel values in one row of a picture's tiles, after padding, which is what is held of a picture larger
    than memory."""
    chunk_images: int = 1 << 16
    """Images in one chunk."""
    chunk_pixels: int = 1 << 24
    """Pixel values in one chunk, after padding."""
    chunk_symbols: int = 1 << 25
    """Symbols (code height x code width x code channels x images) in one chunk; of a context model too its
    inputs and hidden units."""
    image_activations: int = 1 << 29
    """Values of the widest layer of the networks for one image."""
    chunk_bytes: int = 1 << 28
    """Bytes of one chunk's body."""
    name_bytes: int = 255
    """UTF-8 bytes of one image's name."""
    metadata_bytes: int = 1 << 24
    """Names and metadata of one record of an archive."""
    metadata_values: int = 1 << 20
    """Values in all the maps and arrays of one record's metadata together."""
    metadata_nesting: int = 8
    """Depth of maps and arrays in a record's metadata."""
    archive_index_bytes: int = 1 << 31
    """Bytes of an archive's index of records, 16 each, and as many of that of names, 8 for each image."""
    image_file_bytes: int = 1 << 28
    """Size of one image file that is read."""
    image_file_pixels: int = 1 << 26
    """Pixels of one image file that is read."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise OptionError(
                    f"limit {field.name}: expected a whole number of at least 1, found {value!r}"
                )

    def check(self, name: str, found: int, what: str) -> None:
        """Raise ``LimitError`` when ``found`` is over the limit called ``name``.

        Args:
            name: the field of this class.
            found: what the input claims or holds.
            what: the thing counted, for the message, such as "images in the packet".
        """
        bound: int = getattr(self, name)
        if found > bound:
            raise LimitError(
                f"{what}: expected at most {bound:,}, found {found:,}; "
                f"pass limits=Limits({name}=...) to allow more"
            )


DEFAULT_LIMITS = Limits()

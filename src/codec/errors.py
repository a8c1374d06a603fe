"""Every exception the library raises on purpose, as one tree.

    CodecError
    ├── ImageError            images that the model cannot take (shape, type, range, file)
    ├── OptionError           an argument outside its range (quality, a count, a name)
    ├── PacketError           bytes that are not a packet this version can read
    │   ├── DamagedPacketError    truncated, or a check does not match
    │   ├── WrongPairError        made by another pair than the decoder's
    │   └── SealError             not sealed, not with this key, or changed since
    ├── BundleError           bytes that are not a bundle this version can read
    │   ├── DamagedBundleError    truncated, or a check does not match
    │   ├── WrongSideError        an encoder's bundle where a decoder's is needed, or the reverse
    │   └── SignatureError        not signed, not by anyone trusted, or changed since
    ├── ArchiveError          bytes that are not an archive this version can read
    │   └── DamagedArchiveError   truncated, without its index, or a check does not match
    ├── KeyFileError          a file that is not the key it should be, or a secret that others may read
    ├── LimitError            well formed, but larger than the limits in force
    ├── DatasetError          training or test data that is missing or unusable
    ├── TrainingError         a run that cannot start, go on or resume
    ├── BulkError             a bulk job that cannot start, go on or end
    ├── FileError             a file or folder that cannot be read or written
    ├── ForkedProcessError    a process forked from one that used JAX, where JAX cannot run
    └── MissingExtraError     an optional part of the package is not installed

A message says what was expected, what was found and what to do.
"""

__all__ = [
    "ArchiveError",
    "BulkError",
    "BundleError",
    "CodecError",
    "DamagedArchiveError",
    "DamagedBundleError",
    "DamagedPacketError",
    "DatasetError",
    "FileError",
    "ForkedProcessError",
    "ImageError",
    "KeyFileError",
    "LimitError",
    "MissingExtraError",
    "OptionError",
    "PacketError",
    "SealError",
    "SignatureError",
    "TrainingError",
    "WrongPairError",
    "WrongSideError",
]


class CodecError(Exception):
    """Base of every exception the library raises on purpose."""


class ImageError(CodecError):
    """Images whose shape, type, range or file the model cannot take."""


class OptionError(CodecError):
    """An argument outside its range."""


class PacketError(CodecError):
    """Bytes that are not a packet this version can read."""


class DamagedPacketError(PacketError):
    """A packet that is truncated or whose check does not match."""


class WrongPairError(PacketError):
    """A packet made by another pair than the decoder's."""


class SealError(PacketError):
    """A packet that is not sealed where it should be, not with this key, or was changed since."""


class BundleError(CodecError):
    """Bytes that are not a bundle this version can read."""


class DamagedBundleError(BundleError):
    """A bundle that is truncated or whose check does not match."""


class WrongSideError(BundleError):
    """An encoder's bundle where a decoder's is needed, or the reverse."""


class SignatureError(BundleError):
    """A bundle that is not signed, not by anyone trusted, or was changed since."""


class ArchiveError(CodecError):
    """Bytes that are not an archive this version can read."""


class DamagedArchiveError(ArchiveError):
    """An archive that is truncated or has lost its index, or whose check does not match."""


class KeyFileError(CodecError):
    """A file that is not the key it should be, or a secret key that others may read."""


class LimitError(CodecError):
    """Well-formed input that is larger than the limits in force."""


class DatasetError(CodecError):
    """Training or test data that is missing or unusable."""


class TrainingError(CodecError):
    """A training run that cannot start, go on or resume."""


class BulkError(CodecError):
    """A bulk job that cannot start, go on or end."""


class FileError(CodecError):
    """A file or folder that cannot be read or written."""


class ForkedProcessError(CodecError):
    """A process that was forked from one in which JAX was running, and where it cannot run."""


class MissingExtraError(CodecError):
    """An optional part of the package that is not installed."""

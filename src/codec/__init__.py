"""Learned image compression with split weights: encode with one bundle, decode with the other.

This is the table of contents. Names load on first use, so that importing the package is instant and a
receiver never loads the sender's half, nor the reverse.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codec.archive_encoder import ImageArchiveWriter, append_archive, create_archive
    from codec.archive_inspection import inspect_archive
    from codec.archive_reader import Archive, ArchiveEntry, open_archive
    from codec.archive_repair import Recovered, concat_archives, recover_archive
    from codec.archive_source import ArchiveSource
    from codec.archive_writer import ArchiveWriter
    from codec.bundle import Bundle
    from codec.decoder import Decoded, Decoder, decode, load_decoder
    from codec.encoder import Encoder, encode, load_encoder
    from codec.errors import (
        ArchiveError,
        BulkError,
        BundleError,
        CodecError,
        DamagedArchiveError,
        DamagedBundleError,
        DamagedPacketError,
        DatasetError,
        FileError,
        ForkedProcessError,
        ImageError,
        KeyFileError,
        LimitError,
        MissingExtraError,
        OptionError,
        PacketError,
        SealError,
        SignatureError,
        TrainingError,
        WrongPairError,
        WrongSideError,
    )
    from codec.inspection import inspect
    from codec.keys import PublicKey, SealingKey, SigningKey
    from codec.limits import Limits
    from codec.loading import pretrained
    from codec.mixed_decoder import Band, Picture
    from codec.registry import register_architecture
    from codec.salvage import Salvaged
    from codec.sealing import seal, unseal
    from codec.signing import sign_bundle, verify_bundle

__all__ = [
    "Archive",
    "ArchiveEntry",
    "ArchiveError",
    "ArchiveSource",
    "ArchiveWriter",
    "Band",
    "BulkError",
    "Bundle",
    "BundleError",
    "CodecError",
    "DamagedArchiveError",
    "DamagedBundleError",
    "DamagedPacketError",
    "DatasetError",
    "Decoded",
    "Decoder",
    "Encoder",
    "FileError",
    "ForkedProcessError",
    "ImageArchiveWriter",
    "ImageError",
    "KeyFileError",
    "LimitError",
    "Limits",
    "MissingExtraError",
    "OptionError",
    "PacketError",
    "Picture",
    "PublicKey",
    "Recovered",
    "Salvaged",
    "SealError",
    "SealingKey",
    "SignatureError",
    "SigningKey",
    "TrainingError",
    "WrongPairError",
    "WrongSideError",
    "__version__",
    "append_archive",
    "concat_archives",
    "create_archive",
    "decode",
    "encode",
    "inspect",
    "inspect_archive",
    "load_decoder",
    "load_encoder",
    "open_archive",
    "pretrained",
    "recover_archive",
    "register_architecture",
    "seal",
    "sign_bundle",
    "unseal",
    "verify_bundle",
]

_HOMES = {
    "Archive": "archive_reader",
    "ArchiveEntry": "archive_reader",
    "ArchiveSource": "archive_source",
    "ArchiveWriter": "archive_writer",
    "Band": "mixed_decoder",
    "Bundle": "bundle",
    "Decoded": "decoder",
    "Decoder": "decoder",
    "Encoder": "encoder",
    "ImageArchiveWriter": "archive_encoder",
    "Limits": "limits",
    "Picture": "mixed_decoder",
    "PublicKey": "keys",
    "Recovered": "archive_repair",
    "Salvaged": "salvage",
    "SealingKey": "keys",
    "SigningKey": "keys",
    "append_archive": "archive_encoder",
    "concat_archives": "archive_repair",
    "create_archive": "archive_encoder",
    "decode": "decoder",
    "encode": "encoder",
    "inspect": "inspection",
    "inspect_archive": "archive_inspection",
    "load_decoder": "decoder",
    "load_encoder": "encoder",
    "open_archive": "archive_reader",
    "pretrained": "loading",
    "recover_archive": "archive_repair",
    "register_architecture": "registry",
    "seal": "sealing",
    "sign_bundle": "signing",
    "unseal": "sealing",
    "verify_bundle": "signing",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # slower to import than the rest of the package's start

        return version("split-codec")
    if name not in __all__:
        raise AttributeError(f"module 'codec' has no attribute {name!r}")
    value = getattr(import_module(f"codec.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

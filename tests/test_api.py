"""The table of contents, the exception tree and the version say what is there."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import codec
from codec import errors

ROOT = Path(__file__).parents[1]

PUBLIC = [
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


def drawn_parents() -> dict[str, str]:
    """Each exception of the tree drawn in ``errors.py``, and the one it hangs from."""
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if name.endswith("Error"):
            depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
            branch[depth:] = [name]
            parents[name] = branch[depth - 1] if depth else "Exception"
    return parents


def test_the_table_of_contents_is_sorted_and_exact() -> None:
    assert codec.__all__ == sorted(codec.__all__)
    assert codec.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_in_the_table_of_contents_can_be_had(name: str) -> None:
    value = getattr(codec, name)
    assert not isinstance(value, ModuleType)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_the_listing_of_the_package_is_its_table_of_contents() -> None:
    assert dir(codec) == PUBLIC


@pytest.mark.parametrize("name", ["Codec", "decoded", "Table", "_private"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"^module 'codec' has no attribute '{name}'$"):
        getattr(codec, name)
    with pytest.raises(ImportError, match=f"cannot import name '{name}' from 'codec'"):
        exec(f"from codec import {name}")


def test_every_exception_is_exported() -> None:
    defined = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    assert sorted(defined) == errors.__all__
    assert [name for name in codec.__all__ if name.endswith("Error")] == errors.__all__
    assert all(getattr(codec, name) is getattr(errors, name) for name in errors.__all__)


def test_the_exception_tree_is_as_it_is_drawn() -> None:
    parents = drawn_parents()
    assert sorted(parents) == errors.__all__
    assert {name: [base.__name__ for base in getattr(errors, name).__bases__] for name in parents} == {
        name: [parent] for name, parent in parents.items()
    }


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert codec.__version__ == project["version"]


def test_the_shipped_pairs_can_be_listed_again_and_again() -> None:
    code = "import codec; names = codec.pretrained(); assert codec.pretrained() == names"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

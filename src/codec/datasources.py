"""Opening what holds many images: arrays, Parquet files, data sets of tensorflow-datasets.

What training and bulk jobs have in common. What a library raises, when it opens and when it reads, becomes
ours.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from codec.errors import CodecError, DatasetError, FileError, MissingExtraError

__all__ = ["dataset_builder", "first_line", "numpy_file", "parquet_file"]


@contextmanager
def numpy_file(path: Path) -> Iterator[Any]:
    """The mapped array of a .npy file, or the arrays of a .npz by their names.

    Raises:
        FileError, DatasetError: also for what is raised in the block.
    """
    try:
        loaded = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            yield loaded
        else:
            with loaded:
                yield loaded
    except (CodecError, MemoryError):
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zipfile, zlib and NumPy's own parser each raise their own
        raise DatasetError(f"{path}: not a NumPy file of plain arrays: {first_line(error)}") from None


@contextmanager
def parquet_file(path: Path, extra: str) -> Iterator[Any]:
    """A ``pyarrow.parquet.ParquetFile``.

    Args:
        extra: of this package, that installs PyArrow.

    Raises:
        MissingExtraError: PyArrow is not installed.
        FileError, DatasetError: also for what is raised in the block.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: PyArrow, which reads Parquet, is not installed ({error}); "
            f"run: pip install 'split-codec[{extra}]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (CodecError, MemoryError):
        raise
    except Exception as error:  # its own kinds, and Python's; of damage too it may say OSError
        if isinstance(error, OSError) and error.errno is not None:
            raise FileError(f"{path}: cannot be read: {error.strerror}") from None
        raise DatasetError(f"{path}: not a Parquet file that can be read: {first_line(error)}") from None


def dataset_builder(name: str) -> Any:
    """The ``tensorflow_datasets`` builder of a data set, for reading by number.

    Raises:
        MissingExtraError: tensorflow-datasets is not installed.
        DatasetError: it has no such data set.
    """
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingExtraError(
            f"dataset {name}: tensorflow-datasets is not installed ({error}); "
            "run: pip install 'split-codec[train]'"
        ) from None
    try:
        # tensorflow-datasets itself looks at the variable once, when it is imported.
        data_dir = os.environ.get("TFDS_DATA_DIR")
        return tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except Exception as error:  # tfds raises many kinds here, among them ones of optional packages
        raise DatasetError(
            f"dataset {name}: tensorflow-datasets has none it can open by this name "
            f"({first_line(error)}); see its catalogue, or use images of your own"
        ) from None


def first_line(error: BaseException) -> str:
    """The first line of what a library said."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

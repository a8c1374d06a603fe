"""A prepared dataset of tensorflow-datasets, for reading by number."""

import logging
from typing import Any

from codec.errors import DatasetError, MissingExtraError

__all__ = ["data_source"]


def data_source(name: str, split: str) -> Any:
    """The records of a split, by number, as dictionaries.

    Raises:
        MissingExtraError: tensorflow-datasets is not installed.
        DatasetError: no such dataset or split, or it is not prepared.
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
        return tfds.builder(name, file_format="array_record").as_data_source(split=split)
    except Exception as error:  # tfds raises many kinds here, among them ones of optional packages
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatasetError(
            f"dataset {name}:{split}: cannot be read ({told}); set TFDS_DATA_DIR to a folder with a copy "
            "that `codec train` or tensorflow-datasets has prepared"
        ) from None

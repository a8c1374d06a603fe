"""The data sets of tensorflow-datasets that have a feature of images, in their own order."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from codec.conversion import Converted, plain_arrays
from codec.datasources import dataset_builder, first_line
from codec.errors import CodecError, DatasetError
from codec.training.sources import Images, Reading, Shape

__all__ = ["CatalogueSource"]


class CatalogueSource:
    """The images of one split of a prepared data set.

    Raises:
        MissingExtraError: tensorflow-datasets is not installed.
        DatasetError: no such data set, split or feature, or not prepared and TensorFlow (which prepares it)
            missing.
    """

    def __init__(self, name: str, split: str, reading: Reading) -> None:
        builder = dataset_builder(name)
        import tensorflow_datasets as tfds

        try:
            self._records = builder.as_data_source(split=split)
        except Exception as first:
            self._records = _prepare(builder, name, split, first)
        features = builder.info.features
        pictures = [key for key in features if isinstance(features[key], tfds.features.Image)]
        self._feature = reading.column or _feature(name, pictures, list(features))
        if self._feature not in pictures:
            raise DatasetError(
                f"dataset {name}: expected a feature of images, of which it has "
                f"{' and '.join(pictures) or 'none'}, found {self._feature!r}"
            )
        feature = features[self._feature]
        deep = feature.np_dtype == np.uint16
        if feature.np_dtype != np.uint8 and not (deep and reading.convert):
            raise DatasetError(
                f"dataset {name}: expected uint8 images, found {np.dtype(feature.np_dtype)}"
                + "; add --convert, which rounds v x 255 / 65,535" * deep
            )
        self._shape: tuple[int | None, ...] = feature.shape
        self.name, self.count = name, len(self._records)

    def shapes(self) -> Iterator[tuple[str, Shape | CodecError]]:
        for number in range(self.count):
            shape = self._shape if None not in self._shape else self._record(number).shape
            yield f"record {number}", shape  # type: ignore[misc]

    def pictures(
        self, wanted: Sequence[int], channels: int | None, converted: Converted | None
    ) -> Iterator[tuple[str, Images | CodecError]]:
        rules = Converted() if converted is None else converted
        for number in wanted:
            yield f"record {number}", plain_arrays(self._record(number)[None], channels, rules)[0]

    def _record(self, number: int) -> Any:
        return self._records[number][self._feature]


def _feature(name: str, pictures: list[str], features: list[str]) -> str:
    if "image" in pictures or len(pictures) == 1:
        return "image" if "image" in pictures else pictures[0]
    raise DatasetError(
        f"dataset {name}: expected one feature of images, or one called 'image', found "
        f"{', '.join(pictures) or 'none'} among {', '.join(features)}; name it with --column"
    )


def _prepare(builder: Any, name: str, split: str, first: Exception) -> Any:
    """Download and prepare the data set, which takes TensorFlow and a network."""
    prepared = builder.info.splits
    if prepared and split not in prepared:
        raise DatasetError(f"dataset {name}: expected one of the splits {list(prepared)}, found {split!r}")
    if find_spec("tensorflow") is None:
        raise DatasetError(
            f"dataset {name}: not prepared in {builder.data_path} and TensorFlow, which prepares it, is not "
            f"installed; set TFDS_DATA_DIR to a folder with a prepared copy, run pip install tensorflow, "
            f"or train on your own images with --images"
        )
    try:
        builder.download_and_prepare()
        return builder.as_data_source(split=split)
    except Exception as error:
        raise DatasetError(
            f"dataset {name}: cannot be prepared in {builder.data_path}: {first_line(error)} "
            f"(reading it said: {first_line(first)})"
        ) from None

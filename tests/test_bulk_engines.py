"""The functions of docs/scale.md for Beam and Spark, over stand-ins that treat the work as they do."""

import pickle
import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from codec.bulk.jobs import Job, encode_job
from codec.bundle import Bundle
from tests.bulk import contents, pictures, write_bundles

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


def documented(name: str) -> Any:
    """A function that stands in a block of the page."""
    (block,) = [
        block
        for block in re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if f"def {name}(" in block
    ]
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    return namespace[name]


def travelled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


class Beam:
    """What the page uses of Beam: elements in any order, functions and elements pickled, some done twice."""

    class Pipeline:
        def __init__(self, options: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *unused: object) -> None:
            pass

        def __or__(self, create: Callable[[], list[Any]]) -> "Beam.Collection":
            return Beam.Collection(create())

    class Collection:
        def __init__(self, elements: list[Any]) -> None:
            self.elements = elements

        def __or__(self, step: Callable[[list[Any]], list[Any]]) -> "Beam.Collection":
            return Beam.Collection(step(self.elements))

    @staticmethod
    def Create(elements: Iterable[Any]) -> Callable[[], list[Any]]:  # noqa: N802
        return lambda: travelled(list(elements))

    @staticmethod
    def Reshuffle() -> Callable[[list[Any]], list[Any]]:  # noqa: N802
        return lambda elements: random.Random(0).sample(elements, len(elements))

    @staticmethod
    def Map(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:  # noqa: N802
        copy = travelled(function)
        return lambda elements: [copy(element) for element in [*elements[:2], *elements]]


class Spark:
    """What the page uses of Spark's context: partitions, each done by itself, one of them twice."""

    def __init__(self) -> None:
        self.partitions: list[list[Any]] = []
        self.function: Callable[[Iterator[Any]], Iterator[Any]] = iter

    def parallelize(self, elements: Iterable[Any], count: int) -> Self:
        self.partitions = [[travelled(element)] for element in elements]
        assert len(self.partitions) == count
        return self

    def mapPartitions(self, function: Callable[[Iterator[Any]], Iterator[Any]]) -> Self:  # noqa: N802
        self.function = function
        return self

    def collect(self) -> list[Any]:
        list(self.function(iter(self.partitions[1])))  # a speculative one
        return [
            entry
            for part in reversed(self.partitions)
            for entry in travelled(list(self.function(iter(part))))
        ]


@pytest.fixture
def home(tmp_path: Path, small_bundles: tuple[Bundle, Bundle]) -> Path:
    write_bundles(tmp_path, small_bundles)
    np.save(tmp_path / "pictures.npy", pictures(20))
    job(tmp_path, "serial").run()
    return tmp_path


def job(home: Path, out: str) -> Job:
    return encode_job(home / "pictures.npy", home / out, home / "encoder.msgpack", images_per_shard=4)


def test_beam_maps_the_work_over_the_shards(home: Path) -> None:
    done = documented("encode_with_beam")(Beam, job(home, "beam"))
    assert done.images == 20
    assert contents(home / "beam") == contents(home / "serial")


def test_spark_maps_the_work_over_the_shards(home: Path) -> None:
    done = documented("encode_with_spark")(Spark(), job(home, "spark"))
    assert done.images == 20
    assert contents(home / "spark") == contents(home / "serial")

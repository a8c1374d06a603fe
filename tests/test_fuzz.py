"""Every input in the fuzzing corpus goes through its target, and a few mutants of each; without atheris."""

from importlib import import_module
from random import Random

import pytest

from tests.fuzz.__main__ import TARGETS
from tests.fuzz.target import Target, corpus

INPUTS = [(name, file) for name in TARGETS for file in corpus(name)]
MUTANTS = {"packet": 2000, "bundle": 1000, "tables": 500, "image": 500, "round_trip": 100, "archive": 300}


def target(name: str) -> Target:
    found: Target = import_module(f"tests.fuzz.{name}").TARGET
    return found


@pytest.mark.parametrize(("name", "file"), INPUTS)
def test_an_input_of_the_corpus_passes_its_target(name: str, file: str) -> None:
    data = corpus(name)[file]
    assert len(data) <= target(name).most
    assert target(name).check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutants_reach_more_than_the_first_check(name: str) -> None:
    rng, told = Random(0), set()
    inputs = list(corpus(name).values())
    for _ in range(MUTANTS[name]):
        data = target(name).mutate(rng.choice(inputs), rng)[: target(name).most]
        told.add(target(name).check(data))
    assert {outcome for outcome in told if not outcome.endswith("Error")}, "none is taken"
    assert {outcome for outcome in told if outcome.endswith("Error")}, "none is refused"
    assert len(told) >= min(4, 2 + 2 * (name != "tables"))


def test_a_mutant_follows_from_its_seed_alone() -> None:
    for name in TARGETS:
        data = next(iter(corpus(name).values()))
        mutants = [target(name).mutate(data, Random(5)) for _ in range(2)]
        assert mutants[0] == mutants[1]


def test_the_corpus_is_small() -> None:
    assert sum(len(data) for name in TARGETS for data in corpus(name).values()) < 300_000

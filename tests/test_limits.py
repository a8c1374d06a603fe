"""The bounds: whole positive numbers, checked and told by name."""

import re
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from codec.errors import LimitError, OptionError
from codec.limits import DEFAULT_LIMITS, Limits

NAMES = [field.name for field in fields(Limits)]


def limits(name: str, value: Any) -> Limits:
    return Limits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None, np.int64(1), float("inf")], ids=repr)
def test_a_bound_that_is_no_whole_positive_number_is_refused(name: str, value: Any) -> None:
    message = f"limit {name}: expected a whole number of at least 1, found {value!r}"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        limits(name, value)


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_is_inclusive_and_told_by_name(name: str) -> None:
    lowered = limits(name, 1)
    lowered.check(name, 0, "things")
    lowered.check(name, 1, "things")
    message = (
        f"packet: things: expected at most 1, found 1,234,567; pass limits=Limits({name}=...) to allow more"
    )
    with pytest.raises(LimitError, match=f"^{re.escape(message)}$"):
        lowered.check(name, 1_234_567, "packet: things")


def test_a_lowered_bound_leaves_the_others_as_they_are() -> None:
    lowered = Limits(packet_images=1)
    assert [name for name in NAMES if getattr(lowered, name) != getattr(DEFAULT_LIMITS, name)] == [
        "packet_images"
    ]


def test_bounds_are_given_by_name_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="positional"):
        Limits(1)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        DEFAULT_LIMITS.packet_images = 1  # type: ignore[misc]


def test_a_bound_that_does_not_exist_is_no_bound() -> None:
    with pytest.raises(TypeError, match="packet_pictures"):
        limits("packet_pictures", 1)

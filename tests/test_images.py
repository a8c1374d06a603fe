"""Checks of what the user hands over, and the way to and from whole cells."""

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.errors import ImageError
from codec.images import as_batch, crop, pad, to_float

EXPECTED = "uint8, or float in 0..1, shaped [N,H,W,C], [N,H,W] or one image [H,W,C] or [H,W]"


def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("shape", "channels", "batch"),
    [
        ((2, 5, 4, 1), 1, (2, 5, 4, 1)),
        ((2, 5, 4, 3), 3, (2, 5, 4, 3)),
        ((5, 4, 1), 1, (1, 5, 4, 1)),
        ((5, 4, 3), 3, (1, 5, 4, 3)),
        ((2, 5, 6), 1, (2, 5, 6, 1)),
        ((3, 5, 2), 1, (3, 5, 2, 1)),
        ((5, 4), 1, (1, 5, 4, 1)),
        ((5, 1), 1, (1, 5, 1, 1)),
        ((1, 1, 1, 4), 4, (1, 1, 1, 4)),
    ],
)
def test_missing_axes_are_added(shape: tuple[int, ...], channels: int, batch: tuple[int, ...]) -> None:
    images = pixels(*shape)
    found = as_batch(images, channels)
    assert found.shape == batch
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found.ravel(), images.ravel())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.dtype(">f4")])
def test_floats_of_any_width_become_float32(dtype: Any) -> None:
    images = np.array([[0, 0.25], [0.5, 1]], dtype)
    found = as_batch(images, 1)
    assert found.dtype == np.float32
    assert found.dtype.isnative
    np.testing.assert_array_equal(found[0, ..., 0], [[0, 0.25], [0.5, 1]])


@pytest.mark.parametrize(
    "images",
    [
        [[0.0, 0.5], [0.5, 1.0]],
        [np.array([0, 0.5]), np.array([0.5, 1])],
        jnp.array([[0, 0.5], [0.5, 1]]),
        np.array([[0, 0.5], [0.5, 1]]).T,
    ],
    ids=["lists", "arrays in a list", "a JAX array", "a transposed array"],
)
def test_anything_that_numpy_reads_as_an_array_is_taken(images: Any) -> None:
    found = as_batch(images, 1)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found[0, ..., 0], [[0, 0.5], [0.5, 1]])


def test_images_that_fit_already_are_not_copied() -> None:
    images = pixels(2, 5, 4, 1)
    assert np.shares_memory(as_batch(images, 1), images)


@pytest.mark.parametrize(
    "images",
    [
        [[0, 1], [2, 3]],
        np.zeros((2, 2), np.int8),
        np.zeros((2, 2), np.uint16),
        np.zeros((2, 2), bool),
        np.zeros((2, 2), complex),
        np.array([["a", "b"]]),
        np.array([[None, 1.0]], object),
        None,
        "image.png",
    ],
    ids=lambda value: str(np.asarray(value).dtype),
)
def test_other_types_than_uint8_and_floats_are_refused(images: Any) -> None:
    message = (
        f"images: expected {EXPECTED}; found type {np.asarray(images).dtype}. "
        "Convert with .astype(numpy.uint8)"
    )
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        as_batch(images, 1)


@pytest.mark.parametrize(
    "images",
    [[[0.0, 1.0], [0.5]], [pixels(2, 2), pixels(3, 2)]],
    ids=["lists", "images of two sizes"],
)
def test_ragged_images_are_refused(images: Any) -> None:
    message = f"images: expected {EXPECTED}; these do not form one array: "
    with pytest.raises(ImageError, match=f"^{re.escape(message)}.+inhomogeneous"):
        as_batch(images, 1)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((4,), 1),
        ((), 1),
        ((1, 1, 2, 2, 1), 1),
        ((2, 5, 4, 3), 1),
        ((2, 5, 4, 1), 3),
        ((2, 5, 4, 4), 3),
        ((2, 5, 4), 3),
        ((5, 4, 3), 1),
        ((5, 4, 4), 1),
        ((5, 4), 3),
        ((0,), 1),
    ],
)
def test_a_shape_that_does_not_fit_the_pair_is_refused(shape: tuple[int, ...], channels: int) -> None:
    message = f"images: expected {EXPECTED}, where C is {channels} for this pair; found shape {shape}"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        as_batch(np.zeros(shape, np.uint8), channels)


@pytest.mark.parametrize(
    ("shape", "batch"),
    [
        ((0, 5, 4, 1), (0, 5, 4, 1)),
        ((2, 0, 4, 1), (2, 0, 4, 1)),
        ((2, 5, 0, 1), (2, 5, 0, 1)),
        ((0, 5, 6), (0, 5, 6, 1)),
        ((0, 4), (1, 0, 4, 1)),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nothing_to_encode_is_refused(shape: tuple[int, ...], batch: tuple[int, ...], dtype: Any) -> None:
    message = f"images: expected at least one image of one pixel, found shape {batch}"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        as_batch(np.zeros(shape, dtype), 1)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.5, 1.001], "0.5 to 1.001"),
        ([-0.25, 1.0], "-0.25 to 1"),
        ([0.0, 255.0], "0 to 255"),
        ([0.5, np.nan], "nan to nan"),
        ([0.5, np.inf], "0.5 to inf"),
        ([-np.inf, 0.5], "-inf to 0.5"),
    ],
)
def test_floats_outside_0_to_1_are_refused(values: list[float], found: str) -> None:
    message = f"images: expected floats in 0..1, found {found}; divide by the largest value"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        as_batch(np.array([values]), 1)


def test_doubles_that_float32_cannot_hold_are_refused() -> None:
    with pytest.raises(ImageError, match=r"expected floats in 0\.\.1, found 0 to 1e\+300"):
        as_batch(np.array([[0.0, 1e300]]), 1)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3, st.integers(1, 4)),
    stride=st.sampled_from([1, 2, 4, 8, 64]),
)
def test_cropping_takes_the_padding_off_again(shape: tuple[int, int, int, int], stride: int) -> None:
    images = pixels(*shape)
    count, height, width, channels = shape
    padded = pad(images, stride)
    rows, columns = -(-height // stride) * stride, -(-width // stride) * stride
    assert padded.shape == (count, rows, columns, channels)
    np.testing.assert_array_equal(crop(padded, height, width), images)
    last = images[:, np.minimum(np.arange(rows), height - 1)]
    np.testing.assert_array_equal(padded, last[:, :, np.minimum(np.arange(columns), width - 1)])


@pytest.mark.parametrize("module", [np, jnp], ids=["NumPy", "JAX"])
def test_every_byte_becomes_its_255th_in_float32(module: Any) -> None:
    found = to_float(module.arange(256, dtype=module.uint8))
    assert isinstance(found, type(module.zeros(1)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.arange(256) / 255, rtol=2e-7)


def test_floats_pass_as_they_are() -> None:
    images = np.random.default_rng(0).random((1, 2, 2, 1), np.float32)
    assert to_float(images) is images

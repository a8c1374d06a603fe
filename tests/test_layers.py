"""Every layer is held to flax's own of the same function, forwards and backwards."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from numpy.typing import NDArray

from codec.layers import (
    Convolution,
    PhaseConvolution,
    TransposedConvolution,
    UpsampledConvolution,
    depth_to_space,
    interleave,
    max_pool,
    space_to_depth,
)

Floats = NDArray[np.float32]

SHAPES = pytest.mark.parametrize(
    ("shape", "features"),
    [((1, 2, 2, 1), 1), ((2, 6, 4, 3), 5)],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else str(value),
)


def normal(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def layer_weights(inputs: int, features: int) -> tuple[Floats, Floats]:
    return normal(1, 3, 3, inputs, features) / np.float32(np.sqrt(9 * inputs)), normal(2, features)


def output_and_gradients(function: Callable[..., Any], *arguments: Floats) -> list[Floats]:
    """The output, and each argument's gradient under one random cotangent."""

    def run(*values: Array) -> tuple[Array, ...]:
        output, pull = jax.vjp(function, *values)
        return (output, *pull(jnp.asarray(normal(3, *output.shape))))

    return [np.asarray(value) for value in jax.jit(run)(*arguments)]


def applied(layer: nn.Module) -> Callable[[Array, Array, Any], Any]:
    return lambda kernel, bias, x: layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)


def assert_same_layer(
    ours: Callable[..., Any], reference: Callable[..., Any], kernel: Floats, bias: Floats, x: Floats
) -> None:
    found = output_and_gradients(ours, kernel, bias, x)
    expected = output_and_gradients(reference, kernel, bias, x)
    for name, one, other in zip(("output", "kernel", "bias", "input"), found, expected, strict=True):
        assert one.shape == other.shape, name
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)


def blocks(x: Floats) -> Floats:
    """The four values of each 2x2 block along a last axis: [N, H/2, W/2, C, 4]."""
    n, h, w, c = x.shape
    parts = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(n, h // 2, w // 2, c, 4)


@SHAPES
def test_a_max_pool_and_its_gradient_equal_those_of_flax(shape: tuple[int, ...], features: int) -> None:
    x = normal(features, *shape)
    found = output_and_gradients(max_pool, x)
    expected = output_and_gradients(lambda x: nn.max_pool(x, (2, 2), (2, 2)), x)  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


def test_equal_maxima_share_the_gradient_equally() -> None:
    x = np.random.default_rng(0).integers(0, 3, (2, 8, 6, 3)).astype(np.float32)
    _, gradient = output_and_gradients(max_pool, x)
    incoming = normal(3, 2, 4, 3, 3)
    largest = blocks(x) == blocks(x).max(axis=-1, keepdims=True)
    ties = largest.sum(axis=-1)
    assert set(ties.ravel()) == {1, 2, 3, 4}
    np.testing.assert_allclose(blocks(gradient).sum(axis=-1), incoming, rtol=1e-6)
    np.testing.assert_allclose(blocks(gradient), largest * (incoming / ties)[..., None], rtol=1e-6)


def test_the_depth_form_holds_the_neighbours_by_row_column_and_channel() -> None:
    x = normal(0, 2, 4, 6, 3)
    deep = np.asarray(space_to_depth(jnp.asarray(x)))
    assert deep.shape == (2, 2, 3, 12)
    for row, column, channel in np.ndindex(2, 2, 3):
        depth = (2 * row + column) * 3 + channel
        np.testing.assert_array_equal(deep[..., depth], x[:, row::2, column::2, channel])


def test_depth_to_space_inverts_space_to_depth() -> None:
    plain, deep = normal(0, 2, 4, 6, 3), normal(1, 2, 3, 1, 8)
    np.testing.assert_array_equal(depth_to_space(space_to_depth(jnp.asarray(plain))), plain)
    np.testing.assert_array_equal(space_to_depth(depth_to_space(jnp.asarray(deep))), deep)


@SHAPES
def test_a_convolution_and_its_gradients_equal_those_of_flax(shape: tuple[int, ...], features: int) -> None:
    kernel, bias = layer_weights(shape[-1], features)
    assert_same_layer(
        applied(Convolution(features)),
        applied(nn.Conv(features, (3, 3), padding="SAME")),
        kernel,
        bias,
        normal(0, *shape),
    )


@SHAPES
def test_a_transposed_convolution_and_its_gradients_equal_those_of_flax(
    shape: tuple[int, ...], features: int
) -> None:
    kernel, bias = layer_weights(shape[-1], features)
    layer = applied(TransposedConvolution(features))
    assert_same_layer(
        lambda *arguments: interleave(layer(*arguments)),
        applied(nn.ConvTranspose(features, (3, 3), (2, 2), padding="SAME")),
        kernel,
        bias,
        normal(0, *shape),
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_a_transposed_convolution_takes_odd_sizes(size: tuple[int, int]) -> None:
    kernel, bias = layer_weights(2, 3)
    layer = applied(TransposedConvolution(3))
    assert_same_layer(
        lambda *arguments: interleave(layer(*arguments)),
        applied(nn.ConvTranspose(3, (3, 3), (2, 2), padding="SAME")),
        kernel,
        bias,
        normal(0, 2, *size, 2),
    )


@pytest.mark.parametrize(
    ("shape", "features"), [((1, 1, 1, 1), 1), ((2, 3, 5, 2), 3), ((1, 4, 1, 20), 9)], ids=str
)
def test_a_convolution_of_repeated_pixels_and_its_gradients_equal_those_of_flax(
    shape: tuple[int, ...], features: int
) -> None:
    kernel, bias = layer_weights(shape[-1], features)
    layer = applied(UpsampledConvolution(features))
    plain = applied(nn.Conv(features, (3, 3), padding="SAME"))
    assert_same_layer(
        lambda *arguments: interleave(layer(*arguments)),
        lambda kernel, bias, x: plain(kernel, bias, x.repeat(2, axis=1).repeat(2, axis=2)),
        kernel,
        bias,
        normal(0, *shape),
    )


def phases(x: Array) -> tuple[Array, ...]:
    return tuple(x[:, row::2, column::2] for row in (0, 1) for column in (0, 1))


def test_interleaving_inverts_taking_phases() -> None:
    plain = jnp.asarray(normal(0, 2, 6, 4, 3))
    a, b, c, d = phases(plain)
    np.testing.assert_array_equal(interleave((a, b, c, d)), plain)


@SHAPES
def test_a_convolution_of_phases_and_its_gradients_equal_the_plain_convolution(
    shape: tuple[int, ...], features: int
) -> None:
    kernel, bias = layer_weights(shape[-1], features)
    of_phases = applied(PhaseConvolution(features))
    plain = applied(nn.Conv(features, (3, 3), padding="SAME"))
    assert_same_layer(
        lambda kernel, bias, x: of_phases(kernel, bias, phases(x)),
        plain,
        kernel,
        bias,
        normal(0, *shape),
    )


def test_a_layer_starts_with_glorot_uniform_kernels_and_zero_biases() -> None:
    inputs, features = 20, 6
    layer = TransposedConvolution(features)
    weights = layer.init(jax.random.key(0), jnp.zeros((1, 2, 2, inputs)))["params"]
    bound = np.sqrt(6 / (9 * inputs + 9 * features))
    assert weights["kernel"].shape == (3, 3, inputs, features)
    assert 0.9 * bound < np.abs(weights["kernel"]).max() <= bound
    assert abs(float(weights["kernel"].mean())) < bound / 10
    np.testing.assert_array_equal(weights["bias"], np.zeros(features))

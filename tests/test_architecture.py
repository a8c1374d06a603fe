"""The description of the networks, and the networks that both halves build from it."""

import re
from dataclasses import FrozenInstanceError
from functools import partial
from math import prod
from typing import Any, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.architecture import Architecture, Convolutional, Dense, Residual, Side, Upsampling
from codec.errors import BundleError, OptionError
from codec.synthesis import build_synthesis
from tests.conftest import random_weights

ARTICLE = Convolutional()
CONVOLUTIONAL = {
    "article": ARTICLE,
    "RGB in one layer": Convolutional(image_channels=3, code_channels=5, layers=1, filters=8),
    "RGB in three layers": Convolutional(image_channels=3, code_channels=16, layers=3, filters=6),
}
DENOISE = Upsampling()
UPSAMPLING = {
    "upsampling": DENOISE,
    "upsampling, RGB in one layer": Upsampling(image_channels=3, code_channels=5, layers=1, filters=8),
    "upsampling, three layers": Upsampling(code_channels=4, layers=3, filters=6),
}
DENSE = {
    "dense": Dense(),
    "dense, RGB in one layer": Dense(
        image_channels=3, layers=1, filters=(5,), rows=3, columns=2, elements=17, units=6, qualities=2
    ),
    "dense, three layers": Dense(
        layers=3, filters=(2, 3, 4), rows=1, columns=2, elements=30, units=5, qualities=3
    ),
}
RESIDUAL = {
    "residual": Residual(),
    "residual, RGB in one layer": Residual(
        image_channels=3, code_channels=5, layers=1, filters=6, blocks=1, qualities=2
    ),
    "residual, three layers": Residual(code_channels=3, layers=3, filters=4, blocks=0, qualities=3),
}


def each(*kinds: dict[str, Any]) -> pytest.MarkDecorator:
    named = {name: architecture for kind in kinds for name, architecture in kind.items()}
    return pytest.mark.parametrize("architecture", named.values(), ids=named)


SIDES = pytest.mark.parametrize("side", get_args(Side))


class PlainAnalysis(nn.Module):
    """The analysis as the article writes it, in flax's own layers."""

    architecture: Convolutional

    @nn.compact
    def __call__(self, images: Array) -> Array:
        a, x = self.architecture, images
        for i in range(a.layers):
            features = a.filters if i < a.layers - 1 else a.code_channels
            x = nn.relu(nn.Conv(features, (3, 3), padding="SAME", name=f"convolution_{i}")(x))
            x = nn.max_pool(x, (2, 2), (2, 2))  # type: ignore[no-untyped-call]
        return x


class PlainSynthesis(nn.Module):
    """The synthesis as the article writes it, in flax's own layers."""

    architecture: Convolutional

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        a, x = self.architecture, codes
        for i in range(a.layers):
            x = nn.relu(
                nn.ConvTranspose(a.filters, (3, 3), (2, 2), padding="SAME", name=f"transposed_{i}")(x)
            )
        return nn.sigmoid(nn.Conv(a.image_channels, (3, 3), padding="SAME", name="convolution")(x))


class PlainUpsamplingSynthesis(PlainSynthesis):
    """The synthesis as the tutorial on noisy digits writes it, in flax's own layers."""

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        a, x = self.architecture, codes
        for i in range(a.layers):
            x = nn.relu(nn.Conv(a.filters, (3, 3), padding="SAME", name=f"convolution_{i}")(x))
            n, height, width, channels = x.shape
            x = jax.image.resize(x, (n, 2 * height, 2 * width, channels), "nearest")
        return nn.sigmoid(nn.Conv(a.image_channels, (3, 3), padding="SAME", name="convolution")(x))


def network(architecture: Architecture, side: Side) -> tuple[nn.Module, tuple[int, ...]]:
    """One half, and the shape of two images or codes that it takes."""
    cells = (3, 2)
    if isinstance(architecture, Dense):
        cells = architecture.rows, architecture.columns
    elif isinstance(architecture, Residual):
        cells = 4, 2
    size = cells[0] * architecture.stride, cells[1] * architecture.stride
    if side == "encoder":
        return build_analysis(architecture), (2, *size, architecture.image_channels)
    return build_synthesis(architecture), (2, *architecture.code_shape(*size))


def initial_shapes(architecture: Architecture, side: Side) -> dict[str, tuple[int, ...]]:
    module, shape = network(architecture, side)
    tree = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape), 0)["params"]
    return {
        f"{layer}/{kind}": values.shape for layer, weights in tree.items() for kind, values in weights.items()
    }


def random_parameters(architecture: Architecture, side: Side) -> dict[str, Any]:
    """Random weights as flax takes them."""
    layers: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, values in random_weights(architecture, side, seed=3).items():
        layer, kind = name.split("/")
        layers.setdefault(layer, {})[kind] = values.astype(np.float32)
    return {"params": layers}


def run(module: nn.Module, side: Side, architecture: Architecture, x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(jax.jit(module.apply)(random_parameters(architecture, side), x))


@pytest.mark.parametrize("architecture", [ARTICLE, DENOISE], ids=["article", "denoise"])
@pytest.mark.parametrize(("side", "parameters"), [("encoder", 9_568), ("decoder", 18_785)])
def test_the_halves_of_both_tutorials_have_their_28_353_parameters(
    architecture: Architecture, side: Side, parameters: int
) -> None:
    assert sum(map(prod, architecture.weight_shapes(side).values())) == parameters
    assert sum(map(prod, initial_shapes(architecture, side).values())) == parameters


@SIDES
@each(CONVOLUTIONAL, UPSAMPLING, DENSE, RESIDUAL)
def test_the_weights_are_named_and_shaped_as_flax_makes_them(architecture: Architecture, side: Side) -> None:
    shapes = architecture.weight_shapes(side)
    for_rounding = {name: shape for name, shape in shapes.items() if name.startswith("feedback/")}
    assert shapes == initial_shapes(architecture, side) | for_rounding
    assert len(for_rounding) == (2 if side == "encoder" and isinstance(architecture, Dense) else 0)


def test_weights_come_in_the_order_of_the_layers_biases_first() -> None:
    assert list(ARTICLE.weight_shapes("encoder")) == [
        "convolution_0/bias",
        "convolution_0/kernel",
        "convolution_1/bias",
        "convolution_1/kernel",
    ]
    assert list(ARTICLE.weight_shapes("decoder")) == [
        "transposed_0/bias",
        "transposed_0/kernel",
        "transposed_1/bias",
        "transposed_1/kernel",
        "convolution/bias",
        "convolution/kernel",
    ]


@each(CONVOLUTIONAL, UPSAMPLING)
def test_the_analysis_equals_the_same_network_of_plain_flax_layers(architecture: Convolutional) -> None:
    module, shape = network(architecture, "encoder")
    images = np.random.default_rng(0).random(shape, np.float32)
    codes = run(module, "encoder", architecture, images)
    assert codes.std() > 0.01
    expected = run(PlainAnalysis(architecture), "encoder", architecture, images)
    np.testing.assert_allclose(codes, expected, rtol=1e-5, atol=1e-5)


@each(CONVOLUTIONAL, UPSAMPLING)
def test_the_synthesis_equals_the_same_network_of_plain_flax_layers(architecture: Convolutional) -> None:
    module, shape = network(architecture, "decoder")
    codes = np.random.default_rng(0).exponential(2, shape).astype(np.float32)
    images = run(module, "decoder", architecture, codes)
    assert images.std() > 0.01
    plain = PlainSynthesis(architecture)
    if isinstance(architecture, Upsampling):
        plain = PlainUpsamplingSynthesis(architecture)
    expected = run(plain, "decoder", architecture, codes)
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)


def test_a_digit_of_28x28x1_has_codes_of_7x7x32_and_comes_back_within_0_to_1(
    digits: NDArray[np.uint8],
) -> None:
    images = digits[:3] / np.float32(255)
    codes = run(build_analysis(ARTICLE), "encoder", ARTICLE, images)
    assert codes.shape == (3, 7, 7, 32)
    assert codes.min() >= 0
    again = run(build_synthesis(ARTICLE), "decoder", ARTICLE, codes)
    assert again.shape == images.shape
    assert 0 <= again.min() < again.max() <= 1


def test_the_logits_are_what_the_sigmoid_takes() -> None:
    architecture = Convolutional(code_channels=3, layers=1, filters=4)
    weights = random_parameters(architecture, "decoder")
    codes = np.random.default_rng(0).exponential(2, (2, 3, 2, 3)).astype(np.float32)
    logits = np.asarray(build_synthesis(architecture).apply(weights, codes, method="logits"))
    images = np.asarray(build_synthesis(architecture).apply(weights, codes))
    np.testing.assert_allclose(images, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize(
    ("layers", "size", "cells"),
    [(2, (28, 28), (7, 7)), (2, (29, 1), (8, 1)), (3, (17, 16), (3, 2)), (1, (5, 4), (3, 2))],
)
def test_codes_cover_sizes_that_the_stride_does_not_divide(
    layers: int, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    architecture = Convolutional(layers=layers, code_channels=9)
    assert architecture.stride == 2**layers
    assert architecture.code_shape(*size) == (*cells, 9)


@pytest.mark.parametrize(
    ("layers", "size", "cells"),
    [
        *[(2, (28, 28), (8, 8)), (2, (32, 8), (8, 2)), (2, (1, 9), (2, 4)), (1, (5, 4), (4, 2))],
        *[(3, (17, 16), (4, 2)), (2, (7, 100), (2, 26)), (2, (33, 20), (10, 6))],
    ],
)
def test_codes_of_a_residual_pair_are_whole_blocks(
    layers: int, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    architecture = Residual(layers=layers, code_channels=9)
    assert architecture.alignment == 2 * architecture.stride == 2 ** (layers + 1)
    assert architecture.code_shape(*size) == (*cells, 9)
    assert architecture.padded_pixels(*size) == cells[0] * cells[1] * 4**layers


@each(CONVOLUTIONAL, UPSAMPLING, DENSE, RESIDUAL)
def test_a_description_survives_as_plain_values(architecture: Architecture) -> None:
    values = architecture.to_dict()
    assert list(values)[:4] == ["kind", "image_channels", "code_channels", "layers"]
    assert {type(value) for value in values.values()} <= {str, int, list}
    assert Architecture.from_dict(values) == architecture


OUT_OF_RANGE = [
    ("image_channels", 0, "1 to 4"),
    ("image_channels", 5, "1 to 4"),
    ("code_channels", 0, "1 to 1024"),
    ("code_channels", 1025, "1 to 1024"),
    ("layers", 0, "1 to 6"),
    ("layers", 7, "1 to 6"),
    ("filters", -1, "1 to 1024"),
    ("filters", 1025, "1 to 1024"),
    ("filters", 8.0, "1 to 1024"),
    ("layers", True, "1 to 6"),
    ("layers", "2", "1 to 6"),
    ("code_channels", None, "1 to 1024"),
]


@pytest.mark.parametrize(("name", "value", "bounds"), OUT_OF_RANGE)
def test_a_field_out_of_its_range_is_refused(name: str, value: Any, bounds: str) -> None:
    low, _, high = bounds.split()
    message = f"architecture, {name}: expected a whole number from {low} to {high}, found {value!r}"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        Convolutional(**{name: value})
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        Architecture.from_dict({**ARTICLE.to_dict(), name: value})


@pytest.mark.parametrize("name", ["image_channels", "code_channels", "layers", "filters"])
def test_the_ends_of_a_range_are_within_it(name: str) -> None:
    bounds = next(bounds for field, _, bounds in OUT_OF_RANGE if field == name)
    for value in (int(bounds.split()[0]), int(bounds.split()[-1])):
        values: dict[str, Any] = {name: value}
        assert getattr(Convolutional(**values), name) == value


@pytest.mark.parametrize("kind", ["transformer", "", None, ["convolutional"], "codec.analysis.Analysis"])
def test_an_unknown_kind_is_refused(kind: Any) -> None:
    message = re.escape(
        f"architecture, kind: expected one of convolutional, dense, residual, upsampling, found {kind!r}"
    )
    with pytest.raises(BundleError, match=message):
        Architecture.from_dict({**ARTICLE.to_dict(), "kind": kind})


@pytest.mark.parametrize(
    "values",
    [
        {**ARTICLE.to_dict(), "depth": 3},
        {name: value for name, value in ARTICLE.to_dict().items() if name != "layers"},
        dict(reversed(ARTICLE.to_dict().items())),
        {**Dense().to_dict(), "kind": "convolutional"},
    ],
    ids=["one more", "one less", "another order", "another kind's"],
)
def test_other_fields_than_the_known_are_refused(values: dict[str, Any]) -> None:
    message = (
        "architecture: expected the fields "
        f"['kind', 'image_channels', 'code_channels', 'layers', 'filters'], found {list(values)}"
    )
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        Architecture.from_dict(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": (24,)}, "filters: expected 2, one a layer, found (24,)"),
        ({"filters": (24, 40, 8)}, "filters: expected 2, one a layer, found (24, 40, 8)"),
        ({"filters": (24, 0)}, "filters: expected whole numbers from 1 to 1024, found (24, 0)"),
        ({"filters": 24}, "filters: expected whole numbers from 1 to 1024, found 24"),
        ({"elements": 1569}, "elements: expected at most the 7x7x32 values of the codes, found 1569"),
        ({"units": 0}, "units: expected a whole number from 1 to 16384, found 0"),
        ({"rows": (7,)}, "rows: expected a whole number from 1 to 1024, found (7,)"),
    ],
)
def test_a_dense_description_that_does_not_hold_together_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=f"^architecture, {re.escape(message)}$"):
        Dense(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": 7}, "filters: expected an even number, found 7"),
        ({"filters": 0}, "filters: expected a whole number from 1 to 1024, found 0"),
        ({"filters": (8, 8)}, "filters: expected a whole number from 1 to 1024, found (8, 8)"),
        ({"blocks": -1}, "blocks: expected a whole number from 0 to 16, found -1"),
        ({"blocks": 17}, "blocks: expected a whole number from 0 to 16, found 17"),
        ({"qualities": 0}, "qualities: expected a whole number from 1 to 256, found 0"),
    ],
)
def test_a_residual_description_that_does_not_hold_together_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=f"^architecture, {re.escape(message)}$"):
        Residual(**changes)
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
    with pytest.raises(BundleError, match=f"^architecture, {re.escape(message)}$"):
        Architecture.from_dict({**Residual().to_dict(), **given})


def test_a_list_is_no_number() -> None:
    with pytest.raises(BundleError, match=r"^architecture, filters: expected a whole number"):
        Architecture.from_dict({**ARTICLE.to_dict(), "filters": [32]})


def test_a_dense_pair_takes_the_sizes_that_pad_to_its_grid_and_others_take_any() -> None:
    assert all(Dense().takes(*size) for size in [(28, 28), (25, 28), (26, 25)])
    assert not any(Dense().takes(*size) for size in [(24, 28), (28, 29), (1, 1), (56, 56)])
    assert ARTICLE.takes(1, 1)
    assert ARTICLE.takes(999, 28)
    assert Residual().takes(1, 1)
    assert Residual().takes(999, 28)


@pytest.mark.parametrize("side", get_args(Side))
def test_a_dense_half_takes_less_than_four_million_multiply_adds(side: Side) -> None:
    assert 3_500_000 < Dense().multiply_adds(side) < 4_000_000


def plain_dense_analysis(a: Dense, weights: dict[str, NDArray[np.float32]], images: Any, q: int) -> Any:
    """The dense analysis as docs/bundle.md writes it, for one image, in float64 and plain loops."""
    w = {name: values.astype(np.float64) for name, values in weights.items()}

    def act(x: Any) -> Any:
        return np.where(x > 0, x, 0.2 * x)

    y = images
    for i in range(a.layers):
        height, width, channels = y.shape
        y = y.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 1, 3, 4)
        y = np.pad(y.reshape(height // 2, width // 2, 4 * channels), ((1, 1), (1, 1), (0, 0)))
        kernel = w[f"convolution_{i}/kernel"]
        y = act(
            sum(y[r : r + height // 2, c : c + width // 2] @ kernel[r, c] for r in range(3) for c in range(3))
            + w[f"convolution_{i}/bias"]
        )
    y = act(y.ravel() @ w["dense_0/kernel"] + w["dense_0/bias"][q])
    y = y + act(y @ w["dense_1/kernel"] + w["dense_1/bias"][q])
    elements = y @ w["dense_2/kernel"] + images.ravel() @ w["linear/kernel"] + w["codes/bias"][q]
    codes = np.zeros(a.code_channels * a.rows * a.columns)
    codes[: a.elements] = elements * np.exp(w["codes/log_gain"][q])
    return codes.reshape(a.code_channels, a.rows, a.columns).transpose(1, 2, 0)


@each(DENSE)
def test_the_dense_analysis_is_what_its_specification_says(architecture: Dense) -> None:
    quality = architecture.qualities - 1
    module, shape = network(architecture, "encoder")
    images = np.random.default_rng(0).random(shape, np.float32)
    codes = np.asarray(module.apply(random_parameters(architecture, "encoder"), images, quality))
    weights = random_weights(architecture, "encoder", seed=3)
    for image, found in zip(images.astype(np.float64), codes, strict=True):
        expected = plain_dense_analysis(architecture, weights, image, quality)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def plain_residual_analysis(a: Residual, weights: dict[str, NDArray[np.float32]], images: Any, q: int) -> Any:
    """The residual analysis as docs/bundle.md writes it, for one image, in float64 and plain loops."""
    w = {name: values.astype(np.float64) for name, values in weights.items()}

    def act(x: Any) -> Any:
        return np.where(x > 0, x, 0.2 * x)

    def to_depth(x: Any) -> Any:
        height, width, channels = x.shape
        x = x.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 1, 3, 4)
        return x.reshape(height // 2, width // 2, 4 * channels)

    def convolution(x: Any, name: str) -> Any:
        height, width, _ = x.shape
        x, kernel = np.pad(x, ((1, 1), (1, 1), (0, 0))), w[f"{name}/kernel"]
        parts = [x[r : r + height, c : c + width] @ kernel[r, c] for r in range(3) for c in range(3)]
        return sum(parts) + w[f"{name}/bias"][q]

    c = images
    for _ in range(a.layers):
        c = to_depth(c)
    y = act(convolution(c, "convolution_0"))
    y = act(convolution(to_depth(y), "convolution_1"))
    for i in range(a.blocks):
        y = y + act(convolution(y, f"residual_{i}")) @ w[f"mix_{i}/kernel"]
    elements = y @ w["elements/kernel"] + to_depth(c) @ w["linear/kernel"] + w["codes/bias"][q]
    elements = elements * np.exp(w["codes/log_gain"][q])
    rows, columns, _ = elements.shape
    cells = elements.reshape(rows, columns, 2, 2, a.code_channels).transpose(0, 2, 1, 3, 4)
    return cells.reshape(2 * rows, 2 * columns, a.code_channels)


@each(RESIDUAL)
def test_the_residual_analysis_is_what_its_specification_says(architecture: Residual) -> None:
    quality = architecture.qualities - 1
    module, shape = network(architecture, "encoder")
    images = np.random.default_rng(0).random(shape, np.float32)
    codes = np.asarray(module.apply(random_parameters(architecture, "encoder"), images, quality))
    weights = random_weights(architecture, "encoder", seed=3)
    for image, found in zip(images.astype(np.float64), codes, strict=True):
        expected = plain_residual_analysis(architecture, weights, image, quality)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@each(DENSE, RESIDUAL)
def test_images_are_those_before_clipping_within_0_to_1(architecture: Architecture) -> None:
    module, shape = network(architecture, "decoder")
    weights = random_parameters(architecture, "decoder")
    codes = np.random.default_rng(4).normal(0, 2, shape).astype(np.float32)
    before = np.asarray(module.apply(weights, codes, 1, method="unclipped"))
    assert before.min() < 0 < 1 < before.max()
    np.testing.assert_array_equal(np.asarray(module.apply(weights, codes, 1)), np.clip(before, 0, 1))


@SIDES
@each(DENSE, RESIDUAL)
def test_one_quality_and_one_for_each_image_are_the_same(architecture: Dense, side: Side) -> None:
    module, shape = network(architecture, side)
    x = np.random.default_rng(1).random(shape, np.float32)
    weights = random_parameters(architecture, side)
    mixed = np.asarray(module.apply(weights, x, np.array([1, 0])))
    for i, quality in enumerate([1, 0]):
        np.testing.assert_allclose(
            np.asarray(module.apply(weights, x, quality))[i], mixed[i], rtol=1e-4, atol=1e-5
        )


def test_a_description_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ARTICLE.layers = 3  # type: ignore[misc]


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Small ones of all kinds."""
    channels, code, layers = draw(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 4)))
    shared = {"image_channels": channels, "code_channels": code, "layers": layers}
    kind = draw(st.sampled_from([Convolutional, Dense, Residual, Upsampling]))
    if issubclass(kind, Convolutional):
        return kind(**shared, filters=draw(st.integers(1, 9)))
    if kind is Residual:
        half, blocks, qualities = draw(st.tuples(st.integers(1, 5), st.integers(0, 2), st.integers(1, 3)))
        return Residual(**shared, filters=2 * half, blocks=blocks, qualities=qualities)
    rows, columns, units, qualities = draw(st.tuples(*[st.integers(1, 4)] * 4))
    filters = tuple(draw(st.lists(st.integers(1, 6), min_size=layers, max_size=layers)))
    elements = draw(st.integers(1, rows * columns * code))
    sizes = {"rows": rows, "columns": columns, "units": units, "qualities": qualities}
    return Dense(**shared, **sizes, filters=filters, elements=elements)


@settings(deadline=None, max_examples=15)
@given(architecture=architectures(), data=st.data())
def test_shapes_and_the_widest_layer_of_any_networks_are_as_told(
    architecture: Architecture, data: st.DataObject
) -> None:
    grid = st.integers(1, 5)
    rows, columns = data.draw(st.tuples(grid, grid))
    if isinstance(architecture, Dense):
        rows, columns = architecture.rows, architecture.columns
    elif isinstance(architecture, Residual):
        rows, columns = 2 * rows, 2 * columns
    stride, code = architecture.stride, architecture.code_channels
    height, width = rows * stride, columns * stride
    assert architecture.code_shape(height, width) == (rows, columns, code)
    image = (height, width, architecture.image_channels)
    assert architecture.padded_pixels(height, width) == prod(image)
    builds = {"encoder": (build_analysis, image, (rows, columns, code))}
    builds["decoder"] = (build_synthesis, (rows, columns, code), image)
    widest = 0
    for build, shape, result in builds.values():
        module = build(architecture)
        some = jnp.zeros((2, *shape))
        parameters = jax.eval_shape(module.init, jax.random.key(0), some, 0)
        apply = partial(module.apply, capture_intermediates=True, mutable=["intermediates"])
        made, inner = jax.eval_shape(apply, parameters, some, 0)
        assert made.shape == (2, *result)
        widest = max(widest, *(leaf.size // 2 for leaf in jax.tree.leaves(inner)))
    assert widest <= architecture.activations(height, width)

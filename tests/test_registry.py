"""Architectures of a user's own: registered by code, named by files, trained and sent like the library's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np
import pytest
from jax import Array
from numpy.typing import NDArray

import codec
from codec.analysis import ConvolutionalAnalysis, build_analysis
from codec.architecture import KINDS, Architecture, Convolutional, Shapes, Side
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import BundleError, OptionError, TrainingError
from codec.registry import _NETWORKS, networks_of, register_architecture
from codec.training.data import Dataset
from codec.training.devices import ONE_DEVICE
from codec.training.export import export_pair
from codec.training.loop import check_data, train
from codec.training.settings import Settings
from tests.conftest import random_pair


@dataclass(frozen=True, kw_only=True)
class Tanh(Architecture):
    """One matrix on each 2x2 block, and layers within a layer."""

    kind = "tests.tanh"
    ranges: ClassVar = {**Architecture.ranges, "width": (1, 99)}

    code_channels: int = 3
    layers: int = 1
    width: int = 4
    slope: float = 1.0
    label: str = "plain"
    flags: tuple[bool, ...] = ()
    sizes: tuple[int, str] = (1, "px")

    def activations(self, height: int, width: int) -> int:
        return height * width * max(self.width, self.code_channels, self.image_channels)

    def margin(self, side: Side) -> int:
        return self.stride

    def weight_shapes(self, side: Side) -> Shapes:
        inside, outside = (self.image_channels, self.code_channels)[:: 1 if side == "encoder" else -1]
        kernel = (2, 2, inside, self.width)
        return {
            "inner/first/kernel": kernel,
            "inner/first/bias": (self.width,),
            "last/kernel": (self.width, outside),
            "last/bias": (outside,),
        }


def derived(name: str, base: Any = Tanh, **attributes: Any) -> type[Architecture]:
    """A class made when a test runs."""
    made: type[Architecture] = dataclass(frozen=True, kw_only=True)(type(name, (base,), attributes))
    return made


class _Inner(nn.Module):
    architecture: Tanh
    up: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        layer = nn.ConvTranspose if self.up else nn.Conv
        made: Array = layer(self.architecture.width, (2, 2), (2, 2), name="first")(x)
        return nn.tanh(self.architecture.slope * made)


class TanhAnalysis(nn.Module):
    architecture: Tanh

    @nn.compact
    def __call__(self, images: Array, quality: Array | int = 0) -> Array:
        x = _Inner(self.architecture, False, name="inner")(images)
        return nn.Dense(self.architecture.code_channels, name="last")(x)


class TanhSynthesis(nn.Module):
    architecture: Tanh

    def __call__(self, codes: Array, quality: Array | int = 0) -> Array:
        return nn.sigmoid(self.logits(codes))

    def unclipped(self, codes: Array, quality: Array | int = 0) -> Array:
        return self(codes)

    @nn.compact
    def logits(self, codes: Array) -> Array:
        x = _Inner(self.architecture, True, name="inner")(codes)
        return nn.Dense(self.architecture.image_channels, name="last")(x)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """``Tanh`` is known in each of these tests, and nothing of them in others."""
    before = KINDS.copy(), _NETWORKS.copy()
    register_architecture(Tanh, analysis=TanhAnalysis, synthesis=TanhSynthesis)
    yield
    KINDS.clear()
    _NETWORKS.clear()
    KINDS.update(before[0])
    _NETWORKS.update(before[1])


@pytest.fixture(scope="module")
def data(digits: NDArray[np.uint8]) -> Dataset:
    return Dataset("digits", digits[10:, ::4, ::4], digits[:10, ::4, ::4])


def settings_of(architecture: Architecture, **changes: Any) -> Settings:
    some: dict[str, Any] = {"epochs": 2, "batch_size": 30, "learning_rate": 0.01, **changes}
    return Settings(name="own", architecture=architecture, **some)


def test_a_registered_kind_is_read_and_written_as_the_librarys_are() -> None:
    own = Tanh(width=5, slope=0.5, label="x", flags=(True, False))
    assert Architecture.from_dict(own.to_dict()) == own
    assert own.to_dict()["flags"] == [True, False]
    assert isinstance(build_analysis(own), TanhAnalysis)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"width": 100}, "width: expected a whole number from 1 to 99, found 100"),
        ({"slope": "steep"}, "slope: expected float, found 'steep'"),
        ({"slope": 1}, "slope: expected float, found 1"),
        ({"label": ["a"]}, "label: expected str, found ('a',)"),
        ({"slope": float("nan")}, "slope: expected float, found nan"),
        ({"flags": [{}]}, "flags: expected a list of bool, ..., found ({},)"),
        ({"flags": [True, 2]}, "flags: expected a list of bool, ..., found (True, 2)"),
        ({"flags": True}, "flags: expected a list of bool, ..., found True"),
        ({"flags": None}, "flags: expected a list of bool, ..., found None"),
        ({"sizes": [1]}, "sizes: expected a list of int, str, found (1,)"),
    ],
)
def test_fields_of_ones_own_hold_what_they_are_declared_to(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BundleError, match=f"^architecture, {re.escape(told)}$"):
        Architecture.from_dict({**Tanh().to_dict(), **change})


def test_a_field_of_ones_own_holds_no_endless_list() -> None:
    with pytest.raises(BundleError, match=r"^architecture, flags: expected a list of bool, \.\.\., found"):
        Architecture.from_dict({**Tanh().to_dict(), "flags": [True] * 1025})
    found = Architecture.from_dict({**Tanh().to_dict(), "flags": [True] * 1024})
    assert found == Tanh(flags=(True,) * 1024)


def test_a_file_of_a_kind_that_nobody_registered_says_what_to_do(data: Dataset) -> None:
    encoder, _ = random_pair(Tanh(), data.training)
    written = write_bundle(encoder)
    del KINDS[Tanh.kind]
    told = (
        "architecture, kind: expected one of convolutional, dense, residual, upsampling, found 'tests.tanh'; "
        "update split-codec if the bundle is newer; if the kind is its author's own, import the author's "
        "code that calls codec.register_architecture first"
    )
    with pytest.raises(BundleError, match=re.escape(told)):
        read_bundle(written)


def test_a_class_that_nobody_registered_cannot_be_built() -> None:
    del _NETWORKS[Tanh]
    told = "^architecture tests.tanh: Tanh is not registered; call codec.register_architecture first$"
    with pytest.raises(OptionError, match=told):
        networks_of(Tanh())


def test_a_class_derived_from_a_registered_one_is_built_like_it() -> None:
    class Derived(Convolutional):
        pass

    assert isinstance(build_analysis(Derived()), ConvolutionalAnalysis)


def test_registering_again_changes_nothing_and_a_class_made_anew_takes_the_place_of_the_old() -> None:
    codec.register_architecture(Tanh, analysis=TanhAnalysis, synthesis=TanhSynthesis)
    with pytest.raises(OptionError, match="Tanh is registered already, with other networks"):
        register_architecture(Tanh, analysis=TanhAnalysis, synthesis=TanhAnalysis)
    anew = derived("Tanh", __module__=__name__)
    register_architecture(anew, analysis=TanhAnalysis, synthesis=TanhSynthesis)
    assert KINDS[Tanh.kind] is anew


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "dense"}, "architecture dense: the kind is taken by codec.architecture.Dense; choose"),
        ({"kind": "tests.tanh"}, "architecture tests.tanh: the kind is taken by .*Tanh; choose another"),
        ({"kind": ""}, "kind: expected a lower-case name of at most 64 characters, found ''"),
        ({"kind": "Mine"}, "kind: expected a lower-case name of at most 64 characters, found 'Mine'"),
        ({"kind": 7}, "kind: expected a lower-case name of at most 64 characters, found 7"),
    ],
)
def test_a_kind_is_a_name_that_is_free(change: dict[str, Any], told: str) -> None:
    other = derived("Other", **change)
    with pytest.raises(OptionError, match=told):
        register_architecture(other, analysis=TanhAnalysis, synthesis=TanhSynthesis)


def test_what_is_no_architecture_is_refused() -> None:
    def refused(thing: Any, told: str) -> None:
        with pytest.raises(OptionError, match=told):
            register_architecture(thing, analysis=TanhAnalysis, synthesis=TanhSynthesis)

    refused(Tanh(), "expected a class derived from Architecture")
    refused(dict, "expected a class derived from Architecture")
    refused(type("Bare", (Tanh,), {}), r"architecture Bare: expected a class with @dataclass\(frozen=True")
    lacking = derived("Lacking", Architecture, kind="x")
    refused(lacking, "architecture Lacking: expected methods that it lacks: activations, margin, weight_shap")


def test_networks_that_are_not_what_their_architecture_tells_are_refused(data: Dataset) -> None:
    settings = settings_of(Tanh())

    def refused(told: str, analysis: Any = TanhAnalysis, synthesis: Any = TanhSynthesis) -> None:
        other = derived("Other", kind="tests.other")
        KINDS.pop("tests.other", None)
        register_architecture(other, analysis=analysis, synthesis=synthesis)
        with pytest.raises(OptionError, match=told):
            check_data(replace(settings, architecture=other()), data, ONE_DEVICE)

    narrow = Tanh(width=2)
    refused(
        r"tests.other, encoder, weight inner/first/bias: weight_shapes tells \(4,\), the network has \(2,\)",
        lambda architecture: TanhAnalysis(narrow),
    )
    refused("expected a synthesis with a method 'logits', found none", synthesis=_Silent)
    refused(r"decoder: expected \(8, 8, 1\) made of \(4, 4, 3\), found", synthesis=_Cropped)


class _Silent(TanhSynthesis):
    logits = None  # type: ignore[assignment]

    @nn.compact
    def __call__(self, codes: Array, quality: Array | int = 0) -> Array:
        x = _Inner(self.architecture, True, name="inner")(codes)
        return nn.Dense(self.architecture.image_channels, name="last")(x)


class _Cropped(TanhSynthesis):
    def __call__(self, codes: Array, quality: Array | int = 0) -> Array:
        return self.logits(codes)[:, 1:]


def test_codes_that_are_too_many_for_a_context_model_are_refused() -> None:
    images = np.zeros((3, 80, 80, 1), np.uint8)
    settings = settings_of(Tanh(), batch_size=1, objective="rate-distortion", lambdas=(1.0,))
    told = "expected codes of at most 4,096 values for rate-distortion, found 40x40x3; train for distortion"
    with pytest.raises(TrainingError, match=told):
        check_data(settings, Dataset("large", images, images), ONE_DEVICE)


def test_a_pair_of_ones_own_is_trained_for_rate_exported_and_sent(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {"objective": "rate-distortion", "lambdas": (1e4,), "batch_size": 90, "epochs": 1}
    settings = settings_of(Tanh(code_channels=1), **some)
    weights = train(settings, data, None)
    bundles = export_pair(settings, weights, "digits", data.training, data.validation)
    sides: tuple[Side, Side] = ("encoder", "decoder")
    again = [read_bundle(write_bundle(one), side) for one, side in zip(bundles, sides, strict=True)]
    encoder, decoder = Encoder(again[0]), Decoder(again[1])
    assert encoder.qualities == 1
    assert encoder.bundle.pair.context is not None
    monkeypatch.delattr(Decoder, "_few")  # there is no NumPy form
    decoded = decoder.decode(encoder.encode(data.validation, quality=0))
    assert decoded.shape == data.validation.shape
    assert np.ptp(decoded) > 0


def test_few_images_take_the_numpy_form_where_there_is_one(data: Dataset) -> None:
    def flat(architecture: Tanh, parameters: Any, codes: NDArray[np.float32], quality: int) -> Any:
        assert set(parameters["inner"]["first"]) == {"kernel", "bias"}
        n, height, width, _ = codes.shape
        return np.full((n, 2 * height, 2 * width, 1), 0.2, np.float32)

    del KINDS[Tanh.kind]
    register_architecture(Tanh, analysis=TanhAnalysis, synthesis=TanhSynthesis, numpy_synthesis=flat)
    encoder, decoder = random_pair(Tanh(), data.training)
    decoded = Decoder(decoder).decode(Encoder(encoder).encode(data.validation[:1]))
    assert set(decoded.ravel().tolist()) == {51}

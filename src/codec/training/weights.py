"""Weights by the names that bundles give them, and whether networks are what their architecture tells."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.architecture import Architecture, Side
from codec.errors import OptionError
from codec.synthesis import build_synthesis

__all__ = ["check_networks", "flatten"]


def flatten(parameters: Any, architecture: Architecture, side: Side) -> dict[str, NDArray[np.floating[Any]]]:
    """Flax parameters of one half as named arrays in the bundle's order and types."""
    named = _named(parameters)
    return {
        name: np.asarray(named[name], architecture.weight_dtype(name))
        for name in architecture.weight_shapes(side)
    }


def _named(parameters: Any) -> dict[str, Any]:
    """Nested parameters by their whole names."""
    named: dict[str, Any] = flatten_dict(parameters, sep="/")  # type: ignore[no-untyped-call]
    return named


@lru_cache(16)
def check_networks(architecture: Architecture, size: tuple[int, int], method: str) -> None:
    """Raise ``OptionError`` unless both halves have the weights and shapes that ``architecture`` tells.

    Args:
        size: height and width of images, whole multiples of the alignment.
        method: that training calls of the synthesis.
    """
    where = f"architecture {architecture.kind}"
    image, codes = (*size, architecture.image_channels), architecture.code_shape(*size)
    halves: dict[Side, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
        "encoder": (build_analysis(architecture), image, codes),
        "decoder": (build_synthesis(architecture), codes, image),
    }
    for side, (module, taken, made) in halves.items():
        result, parameters = jax.eval_shape(
            module.init_with_output, jax.random.key(0), jax.ShapeDtypeStruct((1, *taken), jnp.float32), 0
        )
        found = {name: leaf.shape for name, leaf in _named(parameters["params"]).items()}
        told = architecture.weight_shapes(side)
        told = {name: shape for name, shape in told.items() if not name.startswith("feedback/")}
        if wrong := sorted(found.items() ^ told.items()):
            name = wrong[0][0]
            raise OptionError(
                f"{where}, {side}, weight {name}: weight_shapes tells {told.get(name)}, "
                f"the network has {found.get(name)}"
            )
        shape = getattr(result, "shape", (type(result).__name__,))
        if shape != (1, *made):
            raise OptionError(f"{where}, {side}: expected {made} made of {taken}, found {shape[1:]}")
    if not callable(getattr(halves["decoder"][0], method, None)):
        raise OptionError(f"{where}, decoder: expected a synthesis with a method {method!r}, found none")

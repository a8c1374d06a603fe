"""The kinds of networks that this process can build: the library's own, and those that a user registers.

A bundle names a kind and never code, so what it can have built is what stands here. Nothing that builds a
network is imported before it is asked for: the receiver never loads the analysis half.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from codec.architecture import KINDS, Architecture, Convolutional, Dense, Residual, Upsampling
from codec.errors import OptionError

if TYPE_CHECKING:
    import flax.linen as nn
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Networks", "networks_of", "register_architecture"]

_KIND = re.compile(r"[a-z][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Networks:
    """What builds the two halves of one kind; ``register_architecture`` tells what each is."""

    analysis: "Callable[[Any], nn.Module]"
    synthesis: "Callable[[Any], nn.Module]"
    numpy_synthesis: "Callable[[Any, Any, NDArray[np.float32], int], NDArray[np.float32]] | None" = None


_NETWORKS: dict[type[Architecture], Networks] = {}


def register_architecture(
    architecture: type[Architecture],
    *,
    analysis: "Callable[[Any], nn.Module]",
    synthesis: "Callable[[Any], nn.Module]",
    numpy_synthesis: "Callable[[Any, Any, NDArray[np.float32], int], NDArray[np.float32]] | None" = None,
) -> None:
    """Let this process read, write and train pairs of a kind of your own.

    It lasts as long as the process, and every process that handles such a pair has to call it. The same again
    changes nothing, and the class made anew, as a notebook's cell does, takes the place of the old one.

    Args:
        architecture: a frozen dataclass derived from ``codec.architecture.Architecture``; bundles name its
            ``kind``.
        analysis: makes the Flax module of an architecture: ``module(images, quality=0)`` takes float32
            [N, H, W, C] in 0..1 to codes [N, h, w, code channels]. The class of the module will do.
        synthesis: the same of the other half: ``module(codes, quality=0)`` takes codes to images in 0..1.
            Training for distortion also calls its method ``logits(codes)``, of which the images are the
            sigmoid; for rate and distortion ``unclipped(codes, quality)``, images that may leave 0..1.
        numpy_synthesis: ``f(architecture, parameters, codes, quality)``, the same function in NumPy, for few
            images; without it the receiver always takes JAX.

    Raises:
        OptionError: not such a class, or the kind is another class's.
    """
    _check(architecture)
    kind, networks = architecture.kind, Networks(analysis, synthesis, numpy_synthesis)
    other = KINDS.get(kind)
    if other is architecture and _NETWORKS.get(architecture, networks) != networks:
        raise OptionError(
            f"architecture {kind}: {architecture.__qualname__} is registered already, with other networks"
        )
    if other is not None and _place(other) != _place(architecture):
        raise OptionError(
            f"architecture {kind}: the kind is taken by {'.'.join(_place(other))}; choose another name"
        )
    _NETWORKS[architecture] = networks
    KINDS[kind] = architecture


def networks_of(architecture: Architecture) -> Networks:
    """What builds the halves of ``architecture``; a class derived from a registered one is built like it.

    Raises:
        OptionError: its class is not registered.
    """
    for kind in type(architecture).__mro__:
        if kind in _NETWORKS:
            return _NETWORKS[kind]
    raise OptionError(
        f"architecture {architecture.kind}: {type(architecture).__qualname__} is not registered; "
        "call codec.register_architecture first"
    )


def _check(architecture: Any) -> None:
    if not isinstance(architecture, type) or not issubclass(architecture, Architecture):
        raise OptionError(f"architecture: expected a class derived from Architecture, found {architecture!r}")
    name = architecture.__qualname__
    if "__dataclass_params__" not in vars(architecture) or not is_dataclass(architecture):
        raise OptionError(f"architecture {name}: expected a class with @dataclass(frozen=True, kw_only=True)")
    if inspect.isabstract(architecture):
        missing = ", ".join(sorted(architecture.__abstractmethods__))
        raise OptionError(f"architecture {name}: expected methods that it lacks: {missing}")
    kind = getattr(architecture, "kind", None)
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise OptionError(
            f"architecture {name}, kind: expected a lower-case name of at most 64 characters, found {kind!r}"
        )


def _place(architecture: type[Architecture]) -> tuple[str, str]:
    return architecture.__module__, architecture.__qualname__


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function of the library's own, whose module is imported when it is called."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"codec.{module}"), name)(*arguments)

    return call


for _own in (Convolutional, Dense, Residual, Upsampling):
    register_architecture(
        _own,
        analysis=_late("analysis", f"{_own.__name__}Analysis"),
        synthesis=_late("synthesis", f"{_own.__name__}Synthesis"),
        numpy_synthesis=_late("numpy_synthesis", _own.kind),
    )

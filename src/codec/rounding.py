"""The sender's effort: symbols that serve the image better than each code's nearest integer.

It costs the receiver nothing. Most pixels of a drawing, a letter or a digit are black or white, and the
decoder clips its images there: what rounding does to those pixels is free. So rounding errors can be steered
to where they do not show. The sender goes through the elements in coding order, keeps the sum of the errors
made so far in the picture, and takes for each element the integer that is least in bits + what the picture
then costs. It needs no weights of the decoder: the analysis's own linear path tells what an element paints,
and two small tensors, measured at export, tell how strongly (``feedback/gain``) and which pixels are likely
to be live, that is not clipped (``feedback/live``).

Counting an element's bits in full would count them twice: the analysis was trained for the rate and has moved
its codes already. What it felt of an element's own rate under the noise of training is exactly
bits(y + 1/2) - bits(y - 1/2), which is taken off again.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from codec.architecture import LIVE_CLASSES, Dense
from codec.batching import ONE_THREAD, batches, in_threads
from codec.bundle import Bundle
from codec.context import ContextModel, Predictor, from_elements, to_elements
from codec.context_arithmetic import LOG_SCALES, MEAN_PARTS
from codec.logistic import nats
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN

__all__ = ["MAX_EFFORT", "can_steer", "live_classes", "steer"]

MAX_EFFORT = 3
"""More passes than this gain nothing that could be measured."""

_EDGES = (0.5, 29.5, 127.5, 239.5, 253.5)
_BRIGHT = 200.5
_BATCH = 16
"""Images at once, always: the order of the sums depends on it, and with them the choice between two integers
that cost nearly the same."""


def live_classes(images: Array) -> Array:
    """The class of each pixel of float32 ``images`` [N, H, W, C] in 0..1, by its neighbourhood: ints alike.

    How bright it is, and the brightest within one and within two pixels, in six levels each; and whether the
    darkest within one is bright. Outside is black.
    """
    levels = images * 255

    def within(reach: int, combine: Any) -> Array:
        window = (1, 2 * reach + 1, 2 * reach + 1, 1)
        start = -jnp.inf if combine is lax.max else jnp.inf
        sides = ((0, 0), (reach, reach), (reach, reach), (0, 0))
        padded = jnp.pad(levels, sides)
        found: Array = lax.reduce_window(padded, start, combine, window, (1, 1, 1, 1), "VALID")
        return found

    def level(values: Array) -> Array:
        return jnp.digitize(values, jnp.asarray(_EDGES))

    near, far = level(within(1, lax.max)), level(within(2, lax.max))
    inside = (within(1, lax.min) > _BRIGHT).astype(near.dtype)
    classes: Array = ((level(levels) * 6 + near) * 6 + far) * 2 + inside
    assert LIVE_CLASSES == 6 * 6 * 6 * 2
    return classes


@partial(jax.jit, compiler_options=ONE_THREAD)
def _prepare(weights: Any, images: Array, quality: int) -> tuple[Array, Array]:
    """How live each pixel is [N, P], and the cost in bits of a squared error of 1 in each element [N, D]."""
    live = weights["feedback"]["live"][live_classes(images)].reshape(len(images), -1)
    painted = weights["linear"]["kernel"] * weights["feedback"]["gain"][quality]
    return live, live @ painted**2


@partial(jax.jit, compiler_options=ONE_THREAD)
def _choose(
    weights: Any,
    quality: int,
    chosen: tuple[Array, int, int],
    live: Array,
    curvature: Array,
    codes: Array,
    told: tuple[Array, Array],
    state: tuple[Array, Array],
) -> tuple[Array, Array]:
    """Choose some elements, one after the other.

    Args:
        chosen: numbers of elements, and where among them to start and to stop.
        live, curvature: of ``_prepare``.
        codes: [N, D].
        told: the prior's means and log scales [N, D].
        state: the live errors of the picture so far [N, P], and of the elements [N, D]: symbol less code.
    """
    kernel, gain = weights["linear"]["kernel"], weights["feedback"]["gain"][quality]

    def choose(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        e = chosen[0][i]
        picture, errors = state
        paints = kernel[:, e] * gain[e]
        picture -= live * jnp.outer(errors[:, e], paints)
        code, mean, log_scale = codes[:, e], told[0][:, e], told[1][:, e]
        candidates = jnp.round(code) + jnp.array([[-1.0], [0.0], [1.0]])

        def bits(symbols: Array) -> Array:
            return nats(symbols, mean, log_scale) / jnp.log(2.0)

        felt = bits(code + 0.5) - bits(code - 0.5)
        step = candidates - code
        cost = bits(candidates) - felt * step + curvature[:, e] * step**2 + 2 * (picture @ paints) * step
        best = jnp.take_along_axis(step, jnp.argmin(cost, axis=0)[None], axis=0)[0]
        picture += live * jnp.outer(best, paints)
        return picture, errors.at[:, e].set(best)

    after: tuple[Array, Array] = lax.fori_loop(chosen[1], chosen[2], choose, state)
    return after


def can_steer(bundle: Bundle, quality: int) -> bool:
    """Whether an encoder's bundle has what steering needs, and export found it to help at this quality."""
    pair = bundle.pair
    return (
        isinstance(pair.architecture, Dense)
        and pair.context is not None
        and pair.context.elements == pair.architecture.elements
        and len(pair.context.table_index) == len(LOG_SCALES)
        and bool((pair.steps == 1).all())
        and bool(bundle.weights["feedback/gain"][quality].any())
    )


def steer(
    weights: Any,
    context: ContextModel,
    images: NDArray[np.float32],
    codes: NDArray[np.float32],
    quality: int,
    effort: int,
) -> NDArray[np.int32]:
    """Symbols int32 [N, h, w, C] of ``codes``, in ``effort`` passes over their elements.

    Args:
        weights: of a dense analysis.
        context: of its pair.
        images: padded, float32 [N, H, W, C] in 0..1.
        codes: float32 [N, h, w, C] of these images at ``quality``.
    """

    def steered(batch: tuple[int, int, int]) -> NDArray[np.int32]:
        start, end, size = batch
        fill = ((0, size - (end - start)), (0, 0), (0, 0), (0, 0))
        live, curvature = _prepare(weights, np.pad(images[start:end], fill), quality)
        elements = to_elements(np.pad(codes[start:end], fill), context.elements)
        symbols = _steer_elements(weights, context, live, curvature, elements, quality, effort)
        return from_elements(symbols[: end - start], codes.shape[1:])

    return np.concatenate(in_threads(steered, batches(len(images), (_BATCH,))))


def _steer_elements(
    weights: Any,
    context: ContextModel,
    live: Array,
    curvature: Array,
    elements: NDArray[np.float32],
    quality: int,
    effort: int,
) -> NDArray[np.int32]:
    """Symbols of the codes ``elements`` [N, D] of a batch; ``live`` and ``curvature`` are ``_prepare``'s."""
    # An element without a gain is rounded plainly: at coarse qualities most of them are idle.
    plain = np.asarray(weights["feedback"]["gain"][quality]) == 0
    steered = np.argsort(plain, kind="stable").astype(np.int32)
    state = jnp.zeros_like(live), jnp.asarray((np.rint(elements) - elements) * plain)
    means, log_scales = np.zeros((2, *elements.shape), np.float32)
    symbols = np.empty(elements.shape, np.int32)
    for _ in range(effort):
        predictor, start = Predictor(context, quality, len(elements)), 0
        for width in context.groups:
            columns = slice(start, start + width)
            mean, scale = predictor.told()
            means[:, columns], log_scales[:, columns] = mean / MEAN_PARTS, LOG_SCALES[scale]
            told = means, log_scales
            ends = np.searchsorted(steered[: np.count_nonzero(~plain)], [start, columns.stop])
            state = _choose(
                weights, quality, (steered, *ends.tolist()), live, curvature, elements, told, state
            )
            chosen = elements[:, columns] + np.asarray(state[1][:, columns])
            symbols[:, columns] = np.rint(chosen).clip(SYMBOL_MIN, SYMBOL_MAX).astype(np.int32)
            predictor.tell(symbols[:, columns])
            start = columns.stop
    return symbols

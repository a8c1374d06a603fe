"""One step of the training: a batch to the state after it, in parts where a processor gains by that.

The parts decide what is drawn at random, and so are the same however many devices share them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import NamedSharding
from numpy.typing import NDArray

from codec.batching import ONE_THREAD, in_threads
from codec.errors import OptionError
from codec.images import to_float
from codec.training.devices import ONE_DEVICE, Devices, SeveralDevices
from codec.training.objective import Objective, Weights
from codec.training.settings import Settings

__all__ = ["State", "check_parts", "initial_state", "train_step"]


class State(NamedTuple):
    """All that a step changes, and all that a checkpoint holds.

    ``sums`` adds up what the objective says of the running epoch's batches.
    """

    weights: Weights
    optimiser: optax.OptState
    step: Array
    sums: Array


def initial_state(objective: Objective, images: np.ndarray, start: Weights | None = None) -> State:
    """Fresh weights, or those of a trained pair, and a fresh optimiser for training on uint8 ``images``."""
    weights = objective.initial_weights(images, start)
    sums = jax.eval_shape(
        objective.validate, weights, *2 * [jax.ShapeDtypeStruct((1, *images.shape[1:]), jnp.float32)]
    )
    return State(weights, objective.optimiser().init(weights), jnp.int32(0), jnp.zeros(sums.shape))


def _gradients(
    objective: Objective,
    phase: str,
    settings: Settings,
    weights: Weights,
    images: Array,
    place: tuple[Array, int],
) -> tuple[Weights, Array]:
    """Of the loss of some images, and the objective's sums over them; ``place`` is step and part."""
    targets = to_float(images)
    inputs = targets
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed + 1), place[0]), place[1])
    least, most = settings.noise
    if most:
        share = jax.random.uniform(jax.random.fold_in(key, 2), (len(inputs), 1, 1, 1))
        deviation = least + (most - least) * share
        inputs = jnp.clip(inputs + deviation * jax.random.normal(key, inputs.shape), 0, 1)
    (_, sums), gradients = jax.value_and_grad(
        lambda weights: objective.loss(phase, weights, inputs, targets, jax.random.fold_in(key, 1)),
        has_aux=True,
    )(weights)
    return gradients, sums


def _update(
    objective: Objective, state: State, parts: Sequence[tuple[Weights, Array]], shares: Sequence[float]
) -> State:
    """The state after a step: gradients of a batch's parts, each with its share of the images, made one."""
    gradients = jax.tree.map(
        lambda *found: sum(share * one for share, one in zip(shares, found, strict=True)),
        *(gradient for gradient, _ in parts),
    )
    updates, optimiser = objective.optimiser().update(gradients, state.optimiser, state.weights)
    weights = optax.apply_updates(state.weights, updates)
    return State(weights, optimiser, state.step + 1, sum((sums for _, sums in parts), state.sums))


@partial(jax.jit, static_argnums=(0, 1, 2), compiler_options=ONE_THREAD)
def _part_gradients(
    objective: Objective,
    phase: str,
    settings: Settings,
    weights: Weights,
    images: Array,
    indices: Array,
    place: tuple[Array, int],
) -> tuple[Weights, Array]:
    return _gradients(objective, phase, settings, weights, images[indices], place)


_update_from_parts = jax.jit(_update, static_argnums=0, donate_argnums=1)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _step_in_one(
    objective: Objective, phase: str, settings: Settings, state: State, images: Array, indices: Array
) -> State:
    found = _gradients(objective, phase, settings, state.weights, images[indices], (state.step, 0))
    return _update(objective, state, [found], [1.0])


@partial(jax.jit, static_argnums=(0, 1, 2, 3), donate_argnums=4)
def _step_on_devices(
    objective: Objective,
    phase: str,
    settings: Settings,
    replicated: NamedSharding,
    state: State,
    parts: list[Array],
) -> State:
    """The compiler splits the work as ``parts`` are split, and sums what each device found of a gradient."""
    found = [
        _gradients(objective, phase, settings, state.weights, part, (state.step, i))
        for i, part in enumerate(parts)
    ]
    found = jax.lax.with_sharding_constraint(found, replicated)
    images = sum(map(len, parts))
    after = _update(objective, state, found, [len(part) / images for part in parts])
    held: State = jax.lax.with_sharding_constraint(after, replicated)
    return held


def _parts(objective: Objective, batch: int) -> int:
    """How many parts a batch of so many images is taken in."""
    size = objective.part_images if jax.default_backend() == "cpu" else batch
    return -(-batch // size)


def check_parts(objective_of: Callable[[int], Objective], batch: int, devices: Devices) -> None:
    """Raise ``OptionError`` unless every part of a batch divides by the number of devices.

    Args:
        objective_of: by the size of a batch.
    """

    def fits(size: int) -> bool:
        return devices.count == 1 or size % (_parts(objective_of(size), size) * devices.count) == 0

    if fits(batch):
        return
    parts = _parts(objective_of(batch), batch)
    others = (*range(batch, 0, -1), *range(batch, batch * devices.count + 1))
    other = next((size for size in others if fits(size)), None)
    unit = f"{parts} equal parts that divide" if parts > 1 else "a number that divides"
    raise OptionError(
        f"--batch-size: expected {unit} by {devices.count} devices, found {batch}; "
        + (f"{other} would do" if other else "take fewer devices")
    )


def train_step(
    objective: Objective,
    phase: str,
    settings: Settings,
    state: State,
    images: Array | NDArray[np.uint8],
    indices: np.ndarray,
    devices: Devices = ONE_DEVICE,
) -> State:
    """The state after one step on a batch, whose parts, if there are several, go side by side on threads.

    Several devices take the parts one after the other, each its share of every part.

    Args:
        phase: of the objective.
        state: is used up.
        images: all training images, padded, uint8 [N, H, W, C], as ``devices`` hold them.
        indices: of the batch's images among them.
        devices: that hold the state.
    """
    parts = np.array_split(indices, _parts(objective, len(indices)))
    after: State
    if isinstance(devices, SeveralDevices):
        split = [devices.split(np.asarray(images)[part]) for part in parts]
        after = _step_on_devices(objective, phase, settings, devices.replicated, state, split)
        return after
    if len(parts) == 1:
        after = _step_in_one(objective, phase, settings, state, images, indices)
        return after

    def gradients(part: int) -> tuple[Weights, Array]:
        found: tuple[Weights, Array] = _part_gradients(
            objective, phase, settings, state.weights, images, parts[part], (state.step, part)
        )
        return found

    shares = [len(part) / len(indices) for part in parts]
    after = _update_from_parts(objective, state, in_threads(gradients, range(len(parts))), shares)
    return after

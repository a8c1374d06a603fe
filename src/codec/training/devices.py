"""The devices that share a run: each takes an equal part of every batch and holds all weights.

One mesh with one axis. What a step computes does not depend on how many devices there are, only the order in
which sums over a batch are taken. Each of several processes (``codec.training.hosts``) holds what its own
devices have.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from codec.errors import OptionError, TrainingError

__all__ = ["ONE_DEVICE", "Devices", "SeveralDevices", "devices_for"]

_AXIS = "data"


class Devices:
    """One device, JAX's default, and what there is to do for several.

    Attributes:
        count: over all processes.
        first: whether this is the process that writes files and tells how the run goes.
        several_hosts: whether there are other processes.
    """

    count = 1
    first = True
    several_hosts = False

    def hold(self, images: NDArray[np.uint8]) -> Array | NDArray[np.uint8]:
        """All training images, where batches are to be taken from."""
        return jnp.asarray(images)

    def place(self, tree: Any) -> Any:
        """Arrays, the same in every process, on every device; those that are there already stay."""
        return tree

    def copies(self, tree: Any) -> list[Any]:
        """What ``place`` gave, once for each device of this process, as arrays of that device alone."""
        return [tree]

    def from_first(self, tree: Any) -> Any:
        """The first process's values for all: every process calls it, with arrays of the same shapes."""
        return tree

    def check_agreement(self, run: dict[str, bytes]) -> None:
        """Raise ``TrainingError`` unless ``run``, digests by name, is what the first process has."""


ONE_DEVICE = Devices()


class SeveralDevices(Devices):
    """The first ``each`` devices of every process, in the order of the processes.

    Attributes:
        replicated: where what all devices hold alike is.
    """

    def __init__(self, each: int) -> None:
        processes = range(jax.process_count())
        of_process = [[d for d in jax.devices() if d.process_index == p] for p in processes]
        self.count = each * len(of_process)
        self.first = jax.process_index() == 0
        self.several_hosts = len(of_process) > 1
        self.replicated = _sharding([d for devices in of_process for d in devices[:each]])
        self._split = NamedSharding(self.replicated.mesh, PartitionSpec(_AXIS))
        # One device of each process, whatever their ``each``: it is told of here that they differ.
        self._speakers = _sharding([devices[0] for devices in of_process])

    def split(self, images: NDArray[np.uint8]) -> Array:
        """A batch [N, H, W, C], the same in every process; each device gets N / ``count`` images of it."""
        batch: Array = jax.make_array_from_callback(images.shape, self._split, lambda part: images[part])
        return batch

    def hold(self, images: NDArray[np.uint8]) -> Array | NDArray[np.uint8]:
        return images  # in the process's memory: a device is sent its part of each batch

    def place(self, tree: Any) -> Any:
        def placed(array: Any) -> Array:
            if isinstance(array, Array) and array.sharding == self.replicated:
                return array
            there: Array = jax.make_array_from_process_local_data(self.replicated, np.asarray(array))
            return there

        return jax.tree.map(placed, tree)

    def copies(self, tree: Any) -> list[Any]:
        held = len(jax.tree.leaves(tree)[0].addressable_shards)
        return [jax.tree.map(lambda array, i=i: array.addressable_data(i), tree) for i in range(held)]

    def from_first(self, tree: Any) -> Any:
        if not self.several_hosts:
            return tree
        own = NamedSharding(self._speakers.mesh, PartitionSpec(_AXIS))

        def spoken(array: Any) -> Array:
            said: Array = jax.make_array_from_process_local_data(own, np.asarray(array)[None])
            return said

        pick = jax.jit(lambda tree: jax.tree.map(lambda array: array[0], tree), out_shardings=self._speakers)
        return jax.tree.map(np.asarray, pick(jax.tree.map(spoken, tree)))

    def check_agreement(self, run: dict[str, bytes]) -> None:
        mine = np.frombuffer(b"".join(run.values()), np.uint8).reshape(len(run), -1)
        differ = (self.from_first(mine) != mine).any(1)
        if differ.any():
            names = ", ".join(name for name, other in zip(run, differ, strict=True) if other)
            raise TrainingError(
                f"process {jax.process_index()}: expected what process 0 has, found other values of {names}; "
                "start every process with the same command, images and versions"
            )


def _sharding(devices: list[jax.Device]) -> NamedSharding:
    return NamedSharding(Mesh(np.array(devices), (_AXIS,)), PartitionSpec())


def devices_for(wanted: str) -> Devices:
    """The devices of ``--devices``, a number for each process or ``all``.

    Raises:
        OptionError: not a number, or more than there are.
    """
    there = jax.local_device_count()
    if wanted == "all":
        each = there
    elif wanted.isascii() and wanted.isdigit() and int(wanted) > 0:
        each = int(wanted)
    else:
        raise OptionError(f"--devices: expected a number of devices or all, found {wanted!r}")
    kind = jax.default_backend()
    if each > there:
        hint = (
            f"; XLA_FLAGS=--xla_force_host_platform_device_count={each} in the environment makes more of them"
        )
        raise OptionError(
            f"--devices: expected at most {there}, which is what JAX sees here ({kind}), found {each}"
            f"{hint if kind == 'cpu' else ''}"
        )
    return SeveralDevices(each) if each > 1 or jax.process_count() > 1 else ONE_DEVICE

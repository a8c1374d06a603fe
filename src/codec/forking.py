"""JAX in forked processes: it runs threads, a fork copies none of them, and the child would wait for ever.

A process forked before JAX was used starts its own. One forked later cannot: that is an error here. Nothing
that runs in NumPy is concerned, such as decoding a few images. No JAX.
"""

import os
import sys

from codec.errors import ForkedProcessError

__all__ = ["claim_jax"]

_user: int | None = None
"""The process in which the library uses JAX; a forked child finds its parent's number here."""
_orphaned = False
"""Whether this process was forked from one in which anyone had used JAX."""


def _look_around() -> None:
    """In a forked child: did anyone use JAX before? The name is JAX's own; without it ``_user`` must do."""
    global _orphaned
    started = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", None)
    _orphaned = started is not None and bool(started())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_around)


def claim_jax() -> None:
    """Say that this process is about to use JAX.

    Raises:
        ForkedProcessError: it was forked from one that had.
    """
    global _user
    if _orphaned or _user not in (None, os.getpid()):
        raise ForkedProcessError(
            "this process was forked from one in which JAX was running, and whose threads are not here: "
            "expected a process started by spawn or forkserver (multiprocessing.get_context), or one forked "
            "before its parent first used JAX"
        )
    _user = os.getpid()

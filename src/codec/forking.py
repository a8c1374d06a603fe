"""JAX in forked processes: it runs threads, a fork copies none of them, and the child would wait for ever.

A process forked before its parent used JAX starts its own. One forked later cannot: that is an error here.
Nothing that runs in NumPy is concerned, such as decoding a few images. No JAX.
"""

import os

from codec.errors import ForkedProcessError

__all__ = ["claim_jax"]

_user: int | None = None
"""The process in which the library uses JAX; a forked child finds its parent's number here."""


def claim_jax() -> None:
    """Say that this process is about to use JAX.

    Raises:
        ForkedProcessError: it was forked from one that had.
    """
    global _user
    if _user not in (None, os.getpid()):
        raise ForkedProcessError(
            "this process was forked from one in which JAX was running, and whose threads are not here: "
            "expected a process started by spawn or forkserver (multiprocessing.get_context), or one forked "
            "before its parent first encoded or decoded"
        )
    _user = os.getpid()

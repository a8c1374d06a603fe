"""The most memory that a fresh process has resident when it does one thing, its imports included."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.rows import Memory, PartFailure, plain
from benchmarks.speed.workers import WorkerError, run, say, scratch

__all__ = ["peak_of", "rows"]

_FULL_IMAGES, _QUICK_IMAGES = 10_000, 1000
_LOAD = "import sys, numpy, codec; images = numpy.load(sys.argv[1]); "
_ENCODE = _LOAD + "packet = codec.encode(images, 'mnist')"
_DECODE = "import sys, codec; codec.decode(open(sys.argv[2], 'rb').read(), 'mnist')"
_PNG = "import sys, numpy; images = numpy.load(sys.argv[1]); from benchmarks.speed.peers import PEERS; "
_PNG_ENCODE = _PNG + "files = [PEERS['PNG'].encode(image[..., 0]) for image in images]"
_PNG_BOTH = _PNG_ENCODE + "; decoded = [PEERS['PNG'].decode(file) for file in files]"
_PEAK = "; from benchmarks.speed.child import peak_mib; print(peak_mib())"


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    count = _QUICK_IMAGES if quick else _FULL_IMAGES
    repeated = np.resize(images, (count, *images.shape[1:]))
    with scratch(repeated) as path:
        packet = path.with_name("packet")
        snippets = {
            "python, nothing imported": "pass",
            "import numpy": "import numpy",
            "import codec": "import codec",
            "import jax": "import jax",
            "import codec.encoder": "import codec.encoder",
            "import codec.decoder": "import codec.decoder",
            f"mnist: encode {count:,} images": f"{_ENCODE}; open(sys.argv[2], 'wb').write(packet)",
            f"mnist: decode {count:,} images": _DECODE,
            f"PNG: encode {count:,} images": _PNG_ENCODE,
            f"PNG: encode and decode {count:,} images": _PNG_BOTH,
        }
        found: list[Memory | PartFailure] = []
        for what, snippet in snippets.items():
            say(f"memory: {what}")
            try:
                found.append(Memory(what, peak_of(snippet, str(path), str(packet))))
            except WorkerError as error:
                found.append(PartFailure(what, str(error)))
    return plain(found)


def peak_of(snippet: str, *arguments: str) -> float:
    """The most memory, in MiB, that a fresh Python has resident when it runs a snippet.

    Raises:
        WorkerError: it failed.
    """
    return float(run([sys.executable, "-c", snippet + _PEAK, *arguments]))

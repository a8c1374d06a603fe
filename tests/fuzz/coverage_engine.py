"""Fuzzing guided by coverage: the same targets and mutators under atheris, which is libFuzzer for Python."""

import argparse
import sys
from functools import partial
from hashlib import sha1
from random import Random

import atheris

from tests.fuzz.target import CORPUS, Target

__all__ = ["instrumented", "run"]

instrumented = partial(atheris.instrument_imports, include=["codec"])
"""Modules of the library imported in this context tell atheris of their branches; all others stay fast."""


def run(target: Target, options: argparse.Namespace) -> None:
    """Fuzz until time or runs are over, or an input fails; ends the process, with status 0 if none did."""

    prefix = f"{options.failures}/{target.name}-"

    def test_one_input(data: bytes) -> None:
        try:
            target.check(data)
        except BaseException:
            path = f"{prefix}crash-{sha1(data).hexdigest()}"  # as libFuzzer will name it
            print(f"{target.name}: failed; the input is in {path}; to run it again:")
            print(f"    python -m tests.fuzz {target.name} --input {path}", flush=True)
            raise

    def mutator(data: bytes, most: int, seed: int) -> bytes:
        return target.mutate(data, Random(seed))[:most]

    kept = options.corpus / target.name
    kept.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-seed={options.seed or 1}",
        f"-max_len={target.most}",
        f"-timeout={6 * options.timeout}",  # libFuzzer's clock counts what other processes do too
        f"-rss_limit_mb={options.memory + 1024}",  # above what JAX and the library take by themselves
        f"-artifact_prefix={prefix}",
        "-print_final_stats=1",
        "-len_control=0",
        str(kept),
        str(CORPUS / target.name),
    ]
    if options.seconds:
        arguments.insert(1, f"-max_total_time={max(1, round(options.seconds))}")
    if options.runs:
        arguments.insert(1, f"-runs={options.runs}")
    atheris.Setup(arguments, test_one_input, custom_mutator=mutator)
    atheris.Fuzz()

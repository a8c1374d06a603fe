"""Run fuzzing targets: ``python -m tests.fuzz packet --seconds 60``; see CONTRIBUTING.md."""

import argparse
import faulthandler
import subprocess
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

TARGETS = ("packet", "bundle", "tables", "image", "round_trip", "archive")
"""Modules of this package; each has a ``TARGET``."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=(*TARGETS, "all"))
    parser.add_argument("--seconds", type=float, default=0, help="for each target; 0 is no bound")
    parser.add_argument("--runs", type=int, default=0, help="of each target; 0 is no bound")
    parser.add_argument(
        "--engine",
        choices=("atheris", "random"),
        default="atheris",
        help="guided by coverage, or without instrumentation and many times faster",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--corpus", type=Path, help="folder where atheris keeps what covers more than before")
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures"), help="folder for failing inputs"
    )
    parser.add_argument("--timeout", type=int, default=10, help="seconds that one input may take")
    parser.add_argument("--memory", type=int, default=1 << 10, help="MiB that the process may grow by")
    parser.add_argument("--input", type=Path, help="run this one input and tell what becomes of it")
    return parser.parse_args()


def one(options: argparse.Namespace) -> bool:
    """Fuzz a single target; return whether nothing failed."""
    warnings.simplefilter("error")
    faulthandler.enable()
    module = f"tests.fuzz.{options.target}"
    if options.input is not None:
        print(import_module(module).TARGET.check(options.input.read_bytes()))
        return True
    options.failures.mkdir(parents=True, exist_ok=True)
    if options.engine == "atheris":
        try:
            from tests.fuzz import coverage_engine
        except ModuleNotFoundError:
            sys.exit("atheris is not installed here: pip install '.[fuzz]', or use --engine random")
        with coverage_engine.instrumented():
            target = import_module(module).TARGET
        coverage_engine.run(target, options)  # ends the process
    from tests.fuzz import random_engine

    return random_engine.run(
        import_module(module).TARGET,
        seconds=options.seconds,
        runs=options.runs,
        seed=options.seed,
        folder=options.failures,
        timeout=options.timeout,
        memory=options.memory << 20,
    )


def each() -> bool:
    """Fuzz all targets, each in a process of its own."""
    failed = []
    for name in TARGETS:
        given = [name if argument == "all" else argument for argument in sys.argv[1:]]
        if subprocess.run([sys.executable, "-m", "tests.fuzz", *given], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return not failed


def main() -> None:
    options = arguments()
    if options.corpus is None:
        options.corpus = Path(tempfile.mkdtemp(prefix="codec-fuzz-"))
    sys.exit(not (each() if options.target == "all" else one(options)))


if __name__ == "__main__":
    main()

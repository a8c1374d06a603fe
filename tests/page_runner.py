"""A process that runs the blocks of documents: started once, as importing what they all need takes seconds.

A line that comes in is a JSON object of ``folder`` and ``blocks``, each with ``kind``, ``code``, ``where``
and ``fails``. They run in that folder, each in a forked process, up to the first that ends as it should not;
a line goes out with the exit status and the output of each. Nothing here uses JAX, which could not be forked
then.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from typing import IO, Any

import codec.cli
import codec.decoder
import codec.encoder
import codec.synthesis


def in_child(task: Callable[[], None], output: IO[bytes]) -> int:
    """Run ``task`` in a forked process whose output goes to a file; returns its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of any fork; here it has not run yet
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        task()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def simple_commands(code: str) -> list[list[str]] | None:
    """The words of each line if all are plain ``codec`` commands; None where it takes a shell."""
    try:
        lines = [shlex.split(line, comments=True) for line in code.replace("\\\n", " ").splitlines()]
    except ValueError:  # a quotation over several lines
        return None
    lines = [words for words in lines if words]
    plain = all(words[0] == "codec" and not set("".join(words)) & set("|&;<>$*?~`") for words in lines)
    return lines if plain else None


def run_block(kind: str, code: str, where: str, output: IO[bytes]) -> int:
    """Run one block; returns its exit status."""
    if kind == "python":
        return in_child(lambda: exec(compile(code, where, "exec"), {"__name__": "__main__"}), output)
    lines = simple_commands(code)
    if lines is None:
        shell = ["bash", "-euo", "pipefail", "-c", code]
        return subprocess.run(shell, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
    for words in lines:

        def command(words: list[str] = words) -> None:
            sys.argv = words
            codec.cli.main()

        if status := in_child(command, output):
            return status
    return 0


def run_page(folder: str, blocks: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Run the blocks of a page in ``folder``, up to one that ends as it should not."""
    os.chdir(folder)
    results: list[tuple[int, str]] = []
    for block in blocks:
        with tempfile.TemporaryFile() as output:
            status = run_block(block["kind"], block["code"], block["where"], output)
            output.seek(0)
            results.append((status, output.read().decode(errors="replace")))
        if bool(status) != block["fails"]:
            break
    return results


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run_page(**json.loads(line))), flush=True)

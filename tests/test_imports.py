"""What loading one side, or asking for help, pulls in: told by fresh processes and by the source itself."""

import ast
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder

SOURCE = Path(codec.__file__).parent
TRAINING = {
    "array_record",
    "codec.training",
    "grain",
    "keras",
    "matplotlib",
    "mlxtend",
    "optax",
    "orbax",
    "tensorflow",
    "tensorflow_datasets",
}
SENDER = {"codec.analysis", "codec.encoder", "codec.packet_writer", "codec.rounding"}
RECEIVER = {"codec.numpy_synthesis", "codec.synthesis", "codec.decoder", "codec.packet_reader"}
NETWORKS = {"jax", "jaxlib", "flax", "codec.layers", "codec.synthesis"}
"""What decoding loads for many images, and for few does not."""


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory,
    small_bundles: tuple[Bundle, Bundle],
    small_pair: tuple[Encoder, Decoder],
) -> Path:
    """A folder with the two bundles of a pair, some images and their packet."""
    folder = tmp_path_factory.mktemp("files")
    for bundle in small_bundles:
        (folder / bundle.side).write_bytes(write_bundle(bundle))
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    np.save(folder / "images.npy", images)
    (folder / "packet").write_bytes(small_pair[0].encode(images))
    return folder


def loaded(code: str, *arguments: str | Path) -> tuple[set[str], list[str]]:
    """The modules that a fresh process holds after ``code``, and the lines it printed."""
    ending = "import json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ending}", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *lines, modules = done.stdout.splitlines()
    return set(json.loads(modules)), lines


def command(*arguments: str | Path) -> tuple[set[str], list[str]]:
    """The same after the command line ran with ``arguments``."""
    code = """
import sys
sys.argv[0] = "codec"
from codec.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    return loaded(code, *arguments)


def among(names: set[str], modules: set[str]) -> set[str]:
    """Those of ``names`` of which ``modules`` holds the module itself or one inside it."""
    return {name for name in names if any(m == name or m.startswith(f"{name}.") for m in modules)}


def test_importing_the_package_loads_neither_numpy_nor_jax() -> None:
    modules, _ = loaded("import codec; codec.__version__; codec.CodecError; codec.Limits")
    assert (
        among({"numpy", "jax", "jaxlib", "flax", "msgpack", "PIL", "typer", "cryptography"}, modules) == set()
    )
    assert among({"codec"}, modules)


def test_the_receiver_loads_no_sender_and_nothing_of_training(
    files: Path, small_pair: tuple[Encoder, Decoder]
) -> None:
    code = """
import hashlib, sys
import codec
decoder = codec.load_decoder(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    print(hashlib.sha256(decoder.decode(file.read()).tobytes()).hexdigest())
"""
    modules, lines = loaded(code, files / "decoder", files / "packet")
    expected = small_pair[1].decode((files / "packet").read_bytes())
    assert lines == [hashlib.sha256(expected.tobytes()).hexdigest()]
    assert among(TRAINING | SENDER | NETWORKS | {"codec.cli", "codec.evaluation", "typer"}, modules) == set()
    assert among(RECEIVER, modules) == RECEIVER - NETWORKS


def test_the_receiver_of_many_images_loads_no_sender_either(files: Path) -> None:
    code = """
import sys
import codec
import numpy
print(codec.load_decoder(sys.argv[1]).images(numpy.zeros((1, 100, 100, 3), numpy.float32)).shape)
"""
    modules, lines = loaded(code, files / "decoder")
    assert lines == ["(1, 200, 200, 1)"]
    assert among(TRAINING | SENDER | {"codec.cli", "codec.evaluation", "typer"}, modules) == set()
    assert among(RECEIVER | NETWORKS, modules) == RECEIVER | NETWORKS


def test_the_command_line_decodes_a_few_images_without_jax(files: Path, tmp_path: Path) -> None:
    modules, _ = command("decode", files / "packet", "-o", tmp_path, "--decoder", files / "decoder")
    assert len(list(tmp_path.iterdir())) == 2
    assert among(TRAINING | SENDER | NETWORKS | {"cryptography"}, modules) == set()


def test_the_command_line_shows_a_packet_without_jax_the_sender_and_matplotlib(
    files: Path, tmp_path: Path
) -> None:
    modules, _ = command("show", files / "packet", "-o", tmp_path / "x.svg", "--decoder", files / "decoder")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]
    assert among(TRAINING | SENDER | NETWORKS | {"cryptography"}, modules) == set()


def test_the_sender_loads_no_receiver_and_nothing_of_training(files: Path) -> None:
    code = """
import hashlib, sys
import numpy
import codec
encoder = codec.load_encoder(sys.argv[1])
print(hashlib.sha256(encoder.encode(numpy.load(sys.argv[2]))).hexdigest())
"""
    modules, lines = loaded(code, files / "encoder", files / "images.npy")
    assert lines == [hashlib.sha256((files / "packet").read_bytes()).hexdigest()]
    assert among(TRAINING | RECEIVER | {"codec.cli", "codec.evaluation", "typer"}, modules) == set()
    assert among(SENDER, modules) == SENDER


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]], ids=" ".join)
def test_help_loads_neither_numpy_nor_jax(arguments: list[str]) -> None:
    modules, lines = command(*arguments)
    assert any("codec" in line for line in lines)
    assert (
        among({"numpy", "jax", "flax", "msgpack", "PIL", "constriction", "cryptography"} | TRAINING, modules)
        == set()
    )


@pytest.mark.parametrize("name", ["packet", "encoder", "decoder"])
def test_inspecting_a_file_does_not_load_jax(files: Path, name: str) -> None:
    modules, lines = command("inspect", files / name)
    assert lines[0].split() == ["kind", "packet" if name == "packet" else "bundle"]
    halves = {"codec.encoder", "codec.analysis", "codec.decoder", "codec.synthesis"}
    assert (
        among({"jax", "jaxlib", "flax", "PIL", "constriction", "cryptography"} | TRAINING | halves, modules)
        == set()
    )
    assert ("numpy" in modules) == (name != "packet")  # which takes longer to load than all the rest


@pytest.fixture(scope="module")
def archive(files: Path, small_pair: tuple[Encoder, Decoder]) -> Path:
    """An archive of two images."""
    with codec.ArchiveWriter(files / "x.archive", small_pair[0].bundle.pair.digest) as writer:
        writer.add_packet((files / "packet").read_bytes(), ["a.png", "b.png"])
    return files / "x.archive"


def test_archives_are_checked_joined_appended_to_and_recovered_without_jax(archive: Path) -> None:
    code = """
import sys
import codec
path, packet, output = sys.argv[1:]
codec.concat_archives([path, path], output)
with codec.ArchiveWriter(output, None, append=True) as writer:
    writer.add_packet(open(packet, "rb").read())
codec.recover_archive(output, output)
print(codec.inspect_archive(output).images, codec.open_archive(output).find("b.png"))
"""
    modules, lines = loaded(code, archive, archive.parent / "packet", archive.parent / "joined")
    assert lines == ["6 [1, 3]"]
    halves = {"codec.encoder", "codec.analysis", "codec.decoder", "codec.synthesis", "codec.packet_writer"}
    assert among({"jax", "jaxlib", "flax", "PIL", "constriction"} | TRAINING | halves, modules) == set()


def test_the_receiver_of_an_archive_loads_no_sender(archive: Path) -> None:
    code = """
import sys
import codec
archive = codec.open_archive(sys.argv[1], sys.argv[2])
print(archive["b.png"].image.shape, len(codec.ArchiveSource(sys.argv[1], sys.argv[2]).__getitems__([0, 1])))
"""
    modules, lines = loaded(code, archive, archive.parent / "decoder")
    assert lines == ["(8, 8, 1) 2"]
    assert among(TRAINING | SENDER | NETWORKS | {"codec.cli", "codec.archive_encoder"}, modules) == set()


def test_the_sender_of_an_archive_loads_no_receiver(files: Path) -> None:
    code = """
import sys
import numpy
import codec
with codec.create_archive(sys.argv[1], sys.argv[2]) as archive:
    archive.add(numpy.load(sys.argv[3]), metadata=[{"label": 1}, {"label": 2}])
"""
    modules, _ = loaded(code, files / "new.archive", files / "encoder", files / "images.npy")
    assert among(TRAINING | RECEIVER | {"codec.cli"}, modules) == set()


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(name: str) -> Iterator[str]:
    """The modules that ``name`` imports anywhere in its source, inside functions too."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (inside & MODULES.keys()) or {str(node.module)}


def reachable(name: str) -> set[str]:
    """All of the package that ``name`` imports, directly or not, but for the lazy table of contents."""
    found: set[str] = set()
    waiting = {name}
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= {m for m in imports(module) if m in MODULES and m != "codec"} - found
    return found


def test_only_the_command_line_and_training_itself_import_training() -> None:
    importers = {name for name in MODULES if among({"codec.training"}, set(imports(name)))}
    outside = {name for name in importers if not among({"codec.training"}, {name})}
    assert outside == {"codec.cli", "codec.cli_train"}


@pytest.mark.parametrize("name", ["codec.analysis", "codec.encoder", "codec.packet_writer"])
def test_the_sender_never_imports_the_receiver(name: str) -> None:
    found = reachable(name)
    assert found & RECEIVER == set()
    assert among({"codec.training", "codec.cli"}, found) == set()


@pytest.mark.parametrize("name", ["codec.synthesis", "codec.decoder", "codec.packet_reader"])
def test_the_receiver_never_imports_the_sender(name: str) -> None:
    found = reachable(name)
    assert found & SENDER == set()
    assert among({"codec.training", "codec.cli"}, found) == set()


def test_the_search_for_imports_follows_them_to_their_end() -> None:
    assert reachable("codec.encoder") >= SENDER | {"codec.tables", "codec.limits", "codec.errors"}
    assert reachable("codec.decoder") >= RECEIVER | {"codec.tables", "codec.limits", "codec.errors"}
    assert "codec.training.export" in reachable("codec.cli")


@pytest.mark.parametrize(
    "name",
    [
        "codec.errors",
        "codec.limits",
        "codec.packet",
        "codec.tables",
        "codec.files",
        "codec.sealing",
        "codec.keys",
        "codec.archive",
        "codec.archive_inspection",
        "codec.archive_records",
        "codec.archive_repair",
        "codec.archive_writer",
    ],
)
def test_formats_and_tables_know_no_network(name: str) -> None:
    outside = {module.split(".")[0] for found in reachable(name) for module in imports(found)}
    assert outside & {"jax", "flax", "optax"} == set()

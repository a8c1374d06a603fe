"""Archives on the command line: a folder in, some images out, and what else is done with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.imagefiles import png_bytes, read_image
from tests.test_cli import fails, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: NDArray[np.uint8]) -> Path:
    """Eight digits and a file that is none in two folders; labels; the archive of them, 3 a packet."""
    path = tmp_path_factory.mktemp("cli")
    for kind in ("even", "odd"):
        (path / kind).mkdir()
    for i, image in enumerate(digits[:80:10]):
        (path / ("odd" if i % 2 else "even") / f"{i}.png").write_bytes(png_bytes(image))
    (path / "odd" / "bad.png").write_text("x")
    lines = ["name,digit,text,share", *(f"{i}.png,{i},{'' if i else '007'},{i}.5" for i in range(6))]
    (path / "labels.csv").write_text("\n".join(lines))
    options = ["--folder-labels", "--labels", "labels.csv", "--images-per-packet", "3", "--quality", "2"]
    done = run("encode", "even", "odd", "-o", "x.archive", *options, cwd=path)
    told = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert told[0] == "codec: labels.csv: 3 of 9 images are not in it and get no metadata from it"
    assert told[1].startswith("codec: odd/bad.png: not an image file")
    assert told[3] == "codec: 1 of 9 images cannot be encoded; they are listed above"
    return path


def listed(archive: Path) -> list[dict[str, object]]:
    done = run("archive", "list", archive)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_becomes_an_archive_with_names_and_labels(folder: Path) -> None:
    rows = listed(folder / "x.archive")
    assert [row["name"] for row in rows] == [f"{i}.png" for i in (0, 2, 4, 6, 1, 3, 5, 7)]
    assert rows[0] == {"number": 0, "name": "0.png", "label": "even", "digit": 0, "text": "007", "share": 0.5}
    assert rows[5] == {"number": 5, "name": "3.png", "label": "odd", "digit": 3, "share": 3.5}
    assert rows[7] == {"number": 7, "name": "7.png", "label": "odd"}


def test_some_images_are_decoded_by_number_range_and_name_with_their_metadata(
    folder: Path, tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    done = run("decode", folder / "x.archive", "-o", tmp_path / "out", "--only", "7,1:3,1.png")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["1.png", "2.png", "4.png", "7.png", "metadata.jsonl"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert rows[0] == {"name": "7.png", "label": "odd"}
    assert rows[1] == {"name": "2.png", "label": "even", "digit": 2, "share": 2.5}
    expected = codec.decode(codec.encode(digits[20], "mnist", quality=2), "mnist")[0]
    assert np.array_equal(read_image(tmp_path / "out" / "2.png"), expected)
    again = run(
        "encode",
        tmp_path / "out",
        "-o",
        tmp_path / "y",
        "--archive",
        "--labels",
        tmp_path / "out/metadata.jsonl",
    )
    assert again.returncode == 0, again.stderr
    assert listed(tmp_path / "y")[1]["digit"] == 2


def test_all_images_are_decoded_and_of_one_name_none_is_lost(folder: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice.archive"
    assert run("archive", "concat", folder / "x.archive", folder / "x.archive", "-o", twice).returncode == 0
    done = run("decode", twice, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == 17
    assert {"3.png", "3-000013.png"} <= names


def test_inspect_tells_what_is_in_an_archive(folder: Path) -> None:
    report = json.loads(run("inspect", folder / "x.archive", "--json").stdout)
    assert (report["kind"], report["images"], report["packets"], report["qualities"]) == (
        "archive",
        8,
        3,
        [2],
    )
    assert report["metadata"] == {"label": 8, "digit": 6, "text": 1, "share": 6}
    said = run("inspect", folder / "x.archive").stdout.decode()
    assert "metadata        label 8, digit 6, text 1, share 6" in said


def test_images_are_appended_and_a_failure_changes_nothing(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.archive"
    path.write_bytes((folder / "x.archive").read_bytes())
    assert run("archive", "append", path, folder / "even", "--no-names").returncode == 0
    assert len(listed(path)) == 12
    assert listed(path)[-1] == {"number": 11}
    before = path.read_bytes()
    error = fails(1, "archive", "append", path, folder / "even", "--encoder", "article")
    assert "an archive of the pair" in error
    assert path.read_bytes() == before


def test_a_damaged_archive_is_recovered_and_what_is_gone_is_told(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "x.archive").read_bytes())
    index = codec.open_archive(folder / "x.archive").records.index
    data[index.offset(2) - 1] ^= 1
    (tmp_path / "x").write_bytes(data)
    assert "record 1, images 3 to 5" in fails(1, "inspect", tmp_path / "x")
    done = run("archive", "recover", tmp_path / "x", "-o", tmp_path / "y")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"5 images in 2 packets saved in {tmp_path / 'y'}",
        "codec: archive: damaged; the images from number 3 to 5 are missing",
    ]
    assert [row["name"] for row in listed(tmp_path / "y")] == ["0.png", "2.png", "4.png", "5.png", "7.png"]
    (tmp_path / "x").write_bytes(b"?" + data[1 : index.offset(2)])
    assert "this is not an archive" in fails(1, "archive", "recover", tmp_path / "x", "-o", tmp_path / "y")
    done = run("archive", "recover", tmp_path / "x", "-o", tmp_path / "y", "--decoder", "mnist")
    assert done.returncode == 0, done.stderr
    assert "the end is gone: of images from number 3 on nothing is known" in done.stderr.decode()


def test_wrong_usage_is_told(folder: Path, tmp_path: Path) -> None:
    one, x = folder / "even" / "0.png", folder / "x.archive"
    (tmp_path / "l.csv").write_text("name,a\n0.png,1\n0.png,2\n")
    (tmp_path / "l.jsonl").write_text('{"a": 1}\n')
    wrong: list[tuple[str, list[str | Path]]] = [
        ("neither --compact nor --seal", ["encode", one, "-o", tmp_path / "a.archive", "--compact"]),
        ("expected image files and an output file", ["encode", one, "-o", "-", "--archive"]),
        (
            "--labels, --folder-labels: expected with an archive",
            ["encode", one, "-o", "x", "--folder-labels"],
        ),
        (
            "images_per_packet: expected 1 to 1,024",
            ["encode", one, "-o", tmp_path / "a.archive", "--images-per-packet", "0"],
        ),
        (
            "'0.png' is in it twice",
            ["encode", one, "-o", tmp_path / "a.archive", "--labels", tmp_path / "l.csv"],
        ),
        (
            "line 1 is no object",
            ["encode", one, "-o", tmp_path / "a.archive", "--labels", tmp_path / "l.jsonl"],
        ),
        ("--only: expected numbers below 8", ["decode", x, "-o", tmp_path / "o", "--only", "8"]),
        ("no image is called 'none.png'", ["decode", x, "-o", tmp_path / "o", "--only", "none.png"]),
        ("expected neither --salvage nor --key", ["decode", x, "-o", tmp_path / "o", "--salvage"]),
        ("--only: expected an archive", ["decode", one, "-o", tmp_path / "o", "--only", "3"]),
    ]
    for told, arguments in wrong:
        assert told in fails(2, *arguments), arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.csv", "l.jsonl"]


def test_where_no_image_can_be_encoded_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    done = run("encode", folder / "odd" / "bad.png", "-o", tmp_path / "a.archive")
    assert done.returncode == 1
    assert b"none of 1 images can be encoded; nothing is written" in done.stderr
    assert list(tmp_path.iterdir()) == []

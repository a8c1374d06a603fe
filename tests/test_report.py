"""The benchmarks' report: its figures are the results', failures and gaps are told, the page stands alone."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.charts import Bar, bar_chart
from benchmarks.curves import RESULTS_FILE, TABLE_PSNRS, curves, read_results
from benchmarks.document import Table, Text, markdown, markdown_table
from benchmarks.report import parts, write_texts
from benchmarks.sections import SECTIONS
from benchmarks.tables import main_table, pair_table, with_tables
from benchmarks.verdict import equal_psnr_table, verdict

ROOT = Path(__file__).parent.parent
EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img"}


def rows(
    codec: str, kind: str, arrangement: str, points: list[tuple[float, float | None]], **more: Any
) -> list[dict[str, Any]]:
    return [
        {
            "codec": codec,
            "kind": kind,
            "arrangement": arrangement,
            "parameter": "quality",
            "setting": number,
            "images": 100,
            "bytes_per_image": size,
            "bits_per_pixel": size / 98,
            "mse": 0.001,
            "psnr": psnr,
            "ssim": 0.95,
            "mae": 0.0123,
            "worst_psnr": psnr and psnr - 5,
            "lossless": psnr is None,
            "note": "",
            "error": None,
            **more,
        }
        for number, (size, psnr) in enumerate(points)
    ]


FAILURE = {
    "codec": "CompressAI",
    "kind": "learned",
    "arrangement": "each",
    "parameter": "quality",
    "setting": 1,
    "images": 100,
    "lossless": False,
    "bytes_per_image": None,
    "psnr": None,
    "error": "ValueError: images are too small | at least 64",
}
RATE = [
    *rows("mnist", "pair", "packet", [(10, 22), (20, 32)]),
    *rows("mnist, effort 3", "pair", "packet", [(9, 22), (19, 32)]),
    *rows("mnist, single packets", "pair", "each", [(30, 22), (40, 32)], images=50),
    *rows("WebP", "format", "each", [(100, 24), (200, 34)]),
    *rows("JPEG XL, one sheet", "format", "sheet", [(5, 29), (35, 34)]),
    *rows("JPEG XL lossless", "format", "each", [(190, None)]),
    *rows("xz", "bytes", "stream", [(135, None)]),
    *rows("PCA", "linear", "packet", [(20, 22), (40, 32)]),
    *rows(EVIL, "format", "each", [(150, 24), (250, 34)]),
    *rows("mnist, float codes", "pair", "packet", [(6272, 33)]),
    FAILURE,
]


def section(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "command": f"python -m benchmarks {name} --of-this-test",
        "quick": False,
        "data": "sample digits",
        "machine": {
            "cpu": "A Processor",
            "cores": 3,
            "memory_gib": 7.8,
            "system": "Linux",
            "python": "3.11.4",
            "versions": {"jax": "9.8.7"},
        },
        "rows": rows,
    }


RESULTS = {
    "rate": section("rate", RATE),
    "bjontegaard": section(
        "bjontegaard",
        [
            {
                "pair": "mnist",
                "codec": "WebP",
                "arrangement": "each",
                "rate_difference_percent": -41.24,
                "low_db": 24,
                "high_db": 32,
            },
            {"pair": "mnist", "codec": "AVIF", "arrangement": "sheet", "error": "no PSNR in common"},
        ],
    ),
    "gallery": section(
        "gallery",
        [
            {
                "picture": name,
                "codec": "mnist",
                "arrangement": "packet",
                "setting": 3.0,
                "bytes_per_image": 12.34,
                "psnr": 25,
            }
            for name in ("gallery-bytes.png", "gallery-lost.png")
        ],
    ),
    "throughput": section(
        "throughput",
        [
            {
                "codec": "mnist",
                "work": "encode",
                "batch": 1000,
                "threads": 2,
                "setting": "quality 6",
                "images_per_s": 12345.6,
                "images_per_s_low": 11000.0,
                "images_per_s_high": 13000.0,
                "runs": 7,
                "ratio_to": "PNG",
                "ratio": 1.234,
                "ratio_low": 1.1,
                "ratio_high": 1.3,
            },
            {"codec": "WebP", "work": "encode", "error": "is not installed"},
        ],
    ),
    "growth": section(
        "growth",
        [
            {
                "codec": "mnist",
                "images": 1000,
                "work": "encode",
                "seconds": 0.5,
                "images_per_s": 2000,
                "peak_mib": 321,
            },
            {"codec": "mnist", "images": 10**6, "work": "encode", "error": "left out: too slow"},
        ],
    ),
    "memory": section("memory", [{"what": "import codec", "error": "killed"}]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The report on ``RESULTS``, written."""
    Image.new("L", (8, 8)).save(tmp_path / "gallery-bytes.png")
    write_texts(RESULTS, tmp_path)
    return tmp_path


class Page(HTMLParser):
    """A page's elements, whether they nest, and the text of its tables and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data
        if "script" in self.open:
            self.scripts[-1] += data


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def line(text: str, start: str) -> str:
    (found,) = [one for one in text.splitlines() if one.startswith(start)]
    return found


def test_the_main_table_is_interpolated_between_settings_and_blank_beyond() -> None:
    text = markdown_table(equal_psnr_table(RATE))
    assert line(text, "| mnist | one packet") == (
        "| mnist | one packet of all images | 100 | 10.4 | 12.4 | 14.3 | 15.3 | 18.0 |  |  |"
    )
    assert line(text, "| mnist | a packet").endswith("| 50 | 30.4 | 32.4 | 34.3 | 35.3 | 38.0 |  |  |")
    assert line(text, "| WebP").endswith("| 100 |  | 104.0 | 123.0 | 133.0 | 160.0 | 185.0 |  |")
    assert line(text, "| JPEG XL | ").endswith("in one picture | 100 |  |  |  |  | 11.0 | 26.0 |  |")
    assert line(text, "| JPEG XL lossless").endswith("|  |  |  |  |  |  | 190.0 |")
    assert TABLE_PSNRS == (22.4, 24.4, 26.3, 27.3, 30.0, 32.5)


def test_failures_are_told_with_their_reason(folder: Path) -> None:
    text = (folder / "REPORT.md").read_text()
    reason = "failed: quality 1: ValueError: images are too small \\| at least 64"
    assert line(text, "| CompressAI") == (
        f"| CompressAI | a packet for each image |  | {reason} |  |  |  |  |  |  |"
    )
    assert "Failed, with reasons below: CompressAI (a packet for each image)." in text
    assert "| mnist | AVIF | all images side by side in one picture | failed: no PSNR in common |" in text
    assert "| WebP | encode | failed: is not installed |" in text
    assert "| mnist | encode | 1,000,000 | failed: left out: too slow |" in text
    assert "| import codec | failed: killed |" in text
    assert "failed: quality 1: ValueError: images are too small | at least 64" in page_of(folder).cells


def test_the_verdict_compares_with_the_best_peers_and_tells_where_they_are_better() -> None:
    (told,) = verdict(RATE)
    assert told == Text(
        "`mnist`: one packet of all images, 10.4, 14.3 and 18.0 bytes each at 22.4, 26.3 and 30.0 dB; "
        "a packet for each image, 30.4, 34.3 and 38.0 bytes each at 22.4, 26.3 and 30.0 dB.",
        (
            "Image formats, all images together: the best (JPEG XL) takes 0.61 times the pair's bytes at "
            "30.0 dB; fewer at all of them.",
            "Image formats, each image by itself: the best (WebP) takes 3.21 to 4.21 times the pair's bytes "
            "at 24.4 to 30.0 dB.",
            "Learned peers: none was measured.",
            "Linear peers, all images together: the best (PCA) takes 2.00 times the pair's bytes at "
            "22.4 to 30.0 dB.",
        ),
    )


def test_a_pairs_table_has_its_packet_and_its_single_packets(folder: Path) -> None:
    text = (folder / "REPORT.md").read_text()
    assert "| 1 | 20.0 | 40.0 | 0.204 | 32.00 | 0.9500 | 0.0123 | 27.00 |" in text
    assert "### `mnist, effort 3`" in text
    assert "| 0 | 6,272.0 | 64.000 | 33.00 |" in text


def test_sections_tell_their_figures_command_and_machine(folder: Path) -> None:
    text = (folder / "REPORT.md").read_text()
    assert (
        "`python -m benchmarks throughput --of-this-test` on sample digits; A Processor, 3 cores, 8 GiB, "
        "Linux, Python 3.11.4." in text
    )
    assert (
        "| mnist | encode | quality 6 | 1,000 | 2 | 12,346 (11,000 to 13,000) | 7 | 1.23 (1.10 to 1.30) "
        "| PNG |" in text
    )
    assert "12,346 images a second, 1.23 times as fast as PNG" in text
    assert "| mnist | WebP | a file for each image | -41.2 | 24.0 | 32.0 |" in text
    assert "| mnist | encode | 1,000 | 0.50 | 2,000 | 321.0 |" in text
    assert "| jax | 9.8.7 | rate, bjontegaard, gallery, throughput, growth, memory |" in text


def test_a_quick_run_is_called_one() -> None:
    results = {"sizes": {**section("sizes", [{"what": "a bundle", "bytes": 12345}]), "quick": True}}
    text = markdown(list(parts(results, ROOT)))
    assert "Python 3.11.4. A quick run" in text
    assert "| a bundle | 12,345 |" in text


@pytest.mark.parametrize("name", ["rate", "gallery", *SECTIONS])
def test_a_missing_section_names_its_command(name: str, tmp_path: Path) -> None:
    write_texts({}, tmp_path)
    for path in ("REPORT.md", "report.html"):
        assert f"python -m benchmarks {name}" in (tmp_path / path).read_text()


def test_pictures_are_in_the_page_and_missing_ones_are_named(folder: Path) -> None:
    (source,) = [attributes["src"] or "" for tag, attributes in page_of(folder).elements if tag == "img"]
    start = "data:image/png;base64,"
    assert source.startswith(start)
    with Image.open(io.BytesIO(base64.b64decode(source.removeprefix(start)))) as image:
        assert image.size == (8, 8)
    text = (folder / "REPORT.md").read_text()
    assert "](gallery-bytes.png)" in text
    assert "`gallery-lost.png` is missing" in text


def test_the_page_nests_and_needs_nothing_from_elsewhere(folder: Path) -> None:
    page = page_of(folder)
    assert page.open == []
    assert not re.search(r"https?:|//\w|@import|url\(", (folder / "report.html").read_text())
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "iframe", "object", "embed", "base"}
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [{}]
    sources = [attributes for _, attributes in page.elements if "src" in attributes or "href" in attributes]
    assert all((attributes["src"] or "").startswith("data:") for attributes in sources)


def test_names_from_the_results_are_text(folder: Path) -> None:
    page = page_of(folder)
    assert EVIL in page.cells
    assert len(page.scripts) == 1
    assert "alert" not in page.scripts[0]
    assert "\\<script>" in (folder / "REPORT.md").read_text()


def test_tables_sort_by_their_heads_and_curves_have_switches(folder: Path) -> None:
    page = page_of(folder)
    heads = [attributes for tag, attributes in page.elements if tag == "th"]
    assert heads
    assert all(head["aria-sort"] == "none" for head in heads)
    assert "aria-sort" in page.scripts[0]
    switches = {
        attributes["data-curve"]: attributes["data-first"]
        for tag, attributes in page.elements
        if tag == "button" and "data-curve" in attributes
    }
    drawn = {attributes["id"] for tag, attributes in page.elements if tag == "g" and "id" in attributes}
    assert set(switches) == drawn
    assert len(drawn) == len(curves(RATE)) - 1  # not the float codes
    assert set(switches.values()) == {"true", "false"}


def test_the_charts_points_tell_their_setting(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert "<title>WebP, a file for each image; quality 0: 100.0 bytes an image, 24.00 dB</title>" in text
    assert (
        "<title>xz, all pixels in a row in one file; quality 0: 135.0 bytes an image, lossless</title>"
        in text
    )


def test_a_bar_is_as_long_as_its_share_of_the_greatest() -> None:
    chart = bar_chart("speed", [Bar("a", 50), Bar("b", 200, 190, 210)])
    widths = [float(width) for width in re.findall(r'class="bar"[^>]* width="([\d.]+)"', chart)]
    assert widths[0] / widths[1] == pytest.approx(0.25, abs=0.001)
    assert "<title>b: 190 to 210</title>" in chart


def test_a_column_is_of_numbers_if_all_that_it_says_is() -> None:
    table = Table(
        ("a", "b", "c"), (("+1.5", "2", "1.2.3"), ("1,000 (9 to 10)", "", "4"), ("", "failed: x", ""))
    )
    assert [table.numeric(column) for column in range(3)] == [True, True, False]


def test_the_readmes_main_table_is_interpolated() -> None:
    text = main_table(RESULTS)
    assert text.splitlines()[0] == (
        "| bytes an image at | 22.4 dB | 24.4 dB | 26.3 dB | 27.3 dB | 30.0 dB | 32.5 dB |"
    )
    assert text.splitlines()[2:] == [
        "| `mnist, effort 3`, one packet of all images | 9.4 | 11.4 | 13.3 | 14.3 | 17.0 |  |",
        "| `mnist`, one packet of all images | 10.4 | 12.4 | 14.3 | 15.3 | 18.0 |  |",
        "| `mnist`, a packet for each image (of 50) | 30.4 | 32.4 | 34.3 | 35.3 | 38.0 |  |",
        "| WebP, a file for each image |  | 104.0 | 123.0 | 133.0 | 160.0 | 185.0 |",
        "| JPEG XL, all images side by side in one picture |  |  |  |  | 11.0 | 26.0 |",
        "| PCA, one packet of all images | 20.8 | 24.8 | 28.6 | 30.6 | 36.0 |  |",
        "",
        "Without loss, a file for each image: JPEG XL 190.0; all in one file: xz 135.0.",
    ]


def test_a_pairs_table_of_the_readme_is_its_rows() -> None:
    assert pair_table(RESULTS, "mnist").splitlines() == [
        "| quality | bytes an image | bits a pixel | PSNR dB | SSIM | MAE |",
        "|---:|---:|---:|---:|---:|---:|",
        "| 0 | 10.0 | 0.102 | 22.00 | 0.9500 | 0.0123 |",
        "| 1 | 20.0 | 0.204 | 32.00 | 0.9500 | 0.0123 |",
    ]
    with pytest.raises(ValueError, match=r"expected rows of another.*python -m benchmarks rate"):
        pair_table(RESULTS, "another")
    with pytest.raises(ValueError, match="python -m benchmarks rate"):
        main_table({})


def test_the_committed_readme_says_what_the_committed_results_say() -> None:
    results = read_results()
    if "rate" not in results:
        pytest.skip("results.json has no rates yet; run: python -m benchmarks rate")
    assert not results["rate"]["quick"]
    text = (ROOT / "README.md").read_text()
    assert main_table(results) in text
    names = re.findall(r"<!-- table: (\S+) -->", text)
    assert all(pair_table(results, name) in text for name in names if name not in ("main", "domains"))
    assert with_tables(text) == text


def test_the_committed_report_is_made_from_the_committed_results(tmp_path: Path) -> None:
    if not RESULTS_FILE.exists():
        pytest.skip("there is no results.json yet; run: python -m benchmarks")
    for picture in RESULTS_FILE.parent.glob("*.png"):
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    write_texts(read_results(), tmp_path)
    for name in ("REPORT.md", "report.html"):
        assert (tmp_path / name).read_text() == (RESULTS_FILE.parent / name).read_text()


def test_the_picture_is_drawn_from_the_rows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; run: pip install '.[bench]'")
    from benchmarks.report import write_report

    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    write_report(tmp_path)
    with Image.open(tmp_path / "rate-distortion.png") as image:
        assert min(image.size) >= 1000
    assert "](rate-distortion.png)" in (tmp_path / "REPORT.md").read_text()

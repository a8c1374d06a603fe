"""The section ``denoising`` in the report: every method at every strength of noise, and what noise costs.

What enters: the results. What leaves: parts of the report, of which every figure is computed from the rows.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.curves import Results, Row, section_rows
from benchmarks.document import Heading, Part, Picture, Table, Text, markdown_table
from benchmarks.sections import figure, made_by

__all__ = ["CURVES", "DIGITS", "denoising_parts", "denoising_table", "denoising_tables"]

CURVES = "denoising.png"
DIGITS = "denoising-digits.png"

_AT = 0.5
"""The noise that the promises are about."""
_LEAST_GAIN, _MOST_BYTES, _MOST_MORE = 5.0, 60.0, 0.15
_PAIR_MARK = ", quality "


def _cells(rows: Sequence[Row], text: Callable[[Row], str]) -> Table:
    """A row a method, a column a strength of noise."""
    deviations = sorted({row["deviation"] for row in rows})
    methods = list(dict.fromkeys(row["method"] for row in rows))
    by_place = {(row["method"], row["deviation"]): row for row in rows}

    def cell(method: str, deviation: float) -> str:
        row = by_place.get((method, deviation))
        return "" if row is None or row.get("error") else text(row)

    lines = tuple((method, *(cell(method, deviation) for deviation in deviations)) for method in methods)
    return Table(("noise", *(f"{deviation:g}" for deviation in deviations)), lines)


def denoising_tables(rows: Sequence[Row]) -> dict[str, Table]:
    """PSNR, SSIM, bytes an image, and how many more bytes noise takes, by heading."""
    coded = [row for row in rows if row.get("bytes_per_image") is not None]
    pair = [row for row in coded if _PAIR_MARK in row["method"]]

    def more(row: Row) -> str:
        return f"{100 * (row['bytes_per_image'] / row['clean_bytes_per_image'] - 1):+.1f}"

    return {
        "PSNR against the clean images, dB": _cells(rows, lambda row: figure(row["psnr"], 2)),
        "SSIM against the clean images": _cells(rows, lambda row: figure(row["ssim"], 4)),
        "Bytes an image": _cells(coded, lambda row: figure(row["bytes_per_image"], 1)),
        "Bytes more than the clean images' packet at the same quality, %": _cells(pair, more),
    }


def _verdict(rows: Sequence[Row]) -> Iterator[str]:
    """What was promised at noise 0.5, and what came out."""
    here = [row for row in rows if row["deviation"] == _AT and not row.get("error")]
    pair = [row for row in here if _PAIR_MARK in row["method"]]
    peers = [row for row in here if row not in pair and "JPEG XL" not in row["method"]]
    if not pair or not peers:
        return
    small = [row for row in pair if row["bytes_per_image"] < _MOST_BYTES]
    best = max(small, key=lambda row: float(row["psnr"]))
    for what, candidates in (
        ("as it is", [row for row in peers if not row["method"].endswith("tone curve")]),
        ("with a tone curve fitted to the noise", peers),
    ):
        peer = max(candidates, key=lambda row: float(row["psnr"]))
        gain = best["psnr"] - peer["psnr"]
        kept = "Kept." if gain >= _LEAST_GAIN else "Not kept."
        yield (
            f"Promised, at least {_LEAST_GAIN:g} dB above the best classical denoiser in under "
            f"{_MOST_BYTES:g} bytes; {what}: {gain:.2f} dB ({best['method']}, {best['psnr']:.2f} dB in "
            f"{best['bytes_per_image']:.1f} bytes; {peer['method']}, {peer['psnr']:.2f} dB). {kept}"
        )
    most = max(pair, key=lambda row: float(row["bytes_per_image"] / row["clean_bytes_per_image"]))
    more = most["bytes_per_image"] / most["clean_bytes_per_image"] - 1
    kept = "Kept." if more <= _MOST_MORE else "Not kept."
    yield (
        f"Promised, at most {_MOST_MORE:.0%} more bytes than the clean images at the same quality: at the "
        f"most {more:+.1%} ({most['method']}). {kept}"
    )


def _fewer(rows: Sequence[Row]) -> str:
    """Which methods are measured on fewer of the images than others, because they are slow."""
    counts = {row["method"]: row["images"] for row in rows if not row.get("error")}
    most = max(counts.values(), default=0)
    fewer = [f"{method} on {count:,}" for method, count in counts.items() if count < most]
    return f"Measured on the first of the {most:,} images: {'; '.join(fewer)}." if fewer else ""


def denoising_parts(results: Results, folder: Path) -> Iterator[Part]:
    """The section, with the pictures that are in ``folder``; nothing where there is no such section."""
    if "denoising" not in results:
        return
    rows = section_rows(results, "denoising")
    yield Heading(2, "Denoising")
    yield made_by(results, "denoising")
    yield Text(
        "Gaussian noise, clipped to black and white and rounded to bytes; one pair with one set of weights "
        "for all strengths, which it is not told. Settings and tone curves of the classical denoisers are "
        "the best for each strength on training images."
    )
    yield Text(f"At noise {_AT:g}:", tuple(_verdict(rows)))
    for name, alt in ((DIGITS, "Digits before and after"), (CURVES, "PSNR against noise")):
        if (folder / name).exists():
            yield Picture(folder / name, alt)
    for heading, table in denoising_tables(rows).items():
        yield Heading(3, heading)
        yield table
    failures = dict.fromkeys(f"{row['method']}: {row['error']}" for row in rows if row.get("error"))
    if failures:
        yield Text("Not measured:", tuple(failures))
    if told := _fewer(rows):
        yield Text(told)


def denoising_table(results: Results) -> str:
    """PSNR and bytes at every strength of noise, as Markdown; empty before it is measured."""
    rows = section_rows(results, "denoising")
    if not rows:
        return ""
    tables = denoising_tables(rows)
    psnr, size = tables["PSNR against the clean images, dB"], tables["Bytes an image"]
    verdict = "\n".join(f"- {line}" for line in _verdict(rows))
    parts = (
        verdict,
        _fewer(rows),
        "PSNR, dB:",
        markdown_table(psnr),
        "Bytes an image:",
        markdown_table(size),
    )
    return "\n\n".join(filter(None, parts))

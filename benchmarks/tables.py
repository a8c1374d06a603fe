"""The tables of the documents, made from the committed results.

    python -m benchmarks.tables            prints them
    python -m benchmarks.tables --write    puts them into the documents, between their markers

What enters: the sections ``rate``, ``denoising`` and ``domains`` of results/results.json, which
``python -m benchmarks`` makes.
"""

import re
import sys
from pathlib import Path

from benchmarks.curves import (
    TABLE_PSNRS,
    Curve,
    Results,
    Row,
    curves,
    name_of,
    read_results,
    section_rows,
)
from benchmarks.denoising.told import denoising_table
from benchmarks.document import Table, markdown_table
from benchmarks.domains.told import domains_table
from benchmarks.report import USUAL
from benchmarks.sections import setting_number
from benchmarks.verdict import named, ordered
from codec.loading import pretrained

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "denoising.md")
"""Those that hold tables."""
_PEERS = ("PCA", "TensorFlow Compression", "CompressAI")
"""How the names of the linear and learned peers of the main table start."""
_LOSSLESS_BEST = 3


def pair_rows(results: Results, name: str) -> list[Row]:
    """A pair's rows with all images in one packet."""
    return [
        row
        for row in section_rows(results, "rate")
        if (row.get("kind"), name_of(row), row.get("arrangement")) == ("pair", name, "packet")
        and not row.get("error")
    ]


def pair_table(results: Results, name: str) -> str:
    """Rate and distortion of a pair by quality, as Markdown.

    Raises:
        ValueError: the results have no rows of it.
    """
    rows = pair_rows(results, name)
    if not rows:
        raise ValueError(f"expected rows of {name} in the results, found none: run python -m benchmarks rate")
    head = ("quality", "bytes an image", "bits a pixel", "PSNR dB", "SSIM", "MAE")
    cells = tuple(
        (
            setting_number(row),
            f"{row['bytes_per_image']:.1f}",
            f"{row['bits_per_pixel']:.3f}",
            "" if row["psnr"] is None else f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['mae']:.4f}",
        )
        for row in rows
    )
    return markdown_table(Table(head, cells))


def main_table(results: Results) -> str:
    """Bytes an image at equal PSNR of the pairs and of what a user would pick instead, as Markdown.

    A pair has rows as one packet and as a packet for each image, and of its variants the last by name. Below
    the table a line tells the best lossless figures.

    Raises:
        ValueError: the results have no rows of any pair.
    """
    found = ordered(curves(section_rows(results, "rate")))
    pairs = [one for one in found if one.kind == "pair" and not one.lossless]
    if not pairs:
        raise ValueError("expected rows of a pair in the results, found none: run python -m benchmarks rate")
    most = max(one.images for one in found)
    curved = [one for one in pairs if len(one.psnr) > 1]
    chosen = [one for one in curved if not one.variant or one is _last_variant(curved, one)]
    chosen += [
        one for peer in USUAL for one in found if (one.name, one.arrangement) == peer and not one.lossless
    ]
    chosen += [
        one
        for one in found
        if one.kind in ("linear", "learned") and one.name.startswith(_PEERS) and not one.lossless
    ]
    chosen = [one for one in chosen if any(one.bytes_at(psnr) is not None for psnr in TABLE_PSNRS)]
    head = ("bytes an image at", *(f"{psnr:.1f} dB" for psnr in TABLE_PSNRS))
    lines = tuple(
        (
            named(one) + (f" (of {one.images:,})" if one.images < most else ""),
            *("" if (size := one.bytes_at(psnr)) is None else f"{size:.1f}" for psnr in TABLE_PSNRS),
        )
        for one in chosen
    )
    return "\n\n".join(filter(None, (markdown_table(Table(head, lines)), lossless_line(found))))


def _last_variant(pairs: list[Curve], one: Curve) -> Curve:
    base = one.name.split(",")[0]
    variants = [other for other in pairs if other.variant and other.name.split(",")[0] == base]
    return max(variants, key=lambda other: (other.name, other.arrangement))


def lossless_line(found: list[Curve]) -> str:
    """The best lossless codecs in a sentence: a file for each image, among them PNG, and one file of all."""
    lossless = sorted((one for one in found if one.lossless), key=lambda one: one.bytes_per_image)
    each = [one for one in lossless if one.arrangement == "each" and not one.name.endswith(" alone")]
    shown = [one for at, one in enumerate(each) if at < _LOSSLESS_BEST or one.name == "PNG"]
    joint = [one for one in lossless if one.arrangement != "each"][:_LOSSLESS_BEST]
    texts = [
        f"{where}: " + ", ".join(f"{_plain(one)} {one.bytes_per_image[0]:.1f}" for one in chosen)
        for where, chosen in (("a file for each image", shown), ("all in one file", joint))
        if chosen
    ]
    return f"Without loss, {'; '.join(texts)}." if texts else ""


def _plain(one: Curve) -> str:
    return one.name.removesuffix(" lossless")


def with_tables(text: str) -> str:
    """``text`` with every marked table made anew: <!-- table: NAME --> ... <!-- end -->.

    NAME is a pair's, ``main`` for the comparison at equal PSNR, ``domains`` for new domains' promises, or
    ``denoising``.
    """
    return re.sub(
        r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + _named_table(match[2]) + "\n" + match[3],
        text,
        flags=re.DOTALL,
    )


def _named_table(name: str) -> str:
    results = read_results()
    tables = {"main": main_table, "domains": domains_table, "denoising": denoising_table}
    return tables[name](results) if name in tables else pair_table(results, name)


def main() -> None:
    """Print the tables, or put them into the documents."""
    if "--write" in sys.argv[1:]:
        for document in DOCUMENTS:
            document.write_text(with_tables(document.read_text()))
        return
    for name in ("main", "denoising", *pretrained()):
        print(f"{name}\n\n{_named_table(name)}\n")


if __name__ == "__main__":
    main()

"""The report on all that was measured: for reading, REPORT.md, and for looking into, report.html.

    python -m benchmarks.report        from results/results.json, next to it

What enters: the results file, each section of which one command makes. What leaves: REPORT.md, report.html,
which needs no other file, and rate-distortion.png. A section that is missing is named with its command; no
figure is written here that is not computed from the results. Needs the extra ``bench``, for the PNG.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.charts import Bar, bar_chart, rate_chart
from benchmarks.curves import (
    RESULTS_FILE,
    Curve,
    Results,
    Row,
    arrangement_of,
    curves,
    name_of,
    read_results,
    section_rows,
    setting_of,
)
from benchmarks.denoising.told import denoising_parts
from benchmarks.document import Chart, Heading, Part, Picture, Table, Text, markdown
from benchmarks.domains.told import domain_parts
from benchmarks.sections import SECTIONS, Column, figure, made_by, number, plain, setting_number, table_of
from benchmarks.verdict import equal_psnr_table, failed, ordered, verdict
from benchmarks.webpage import page
from codec.cli import DEFAULT_PAIR

TITLE = "Benchmarks"
PICTURE = "rate-distortion.png"
USUAL = (("WebP", "each"), ("JPEG XL", "each"), ("JPEG", "each"), ("AVIF", "sheet"), ("JPEG XL", "sheet"))
"""Codecs and arrangements that a user would pick among first."""


def usual(found: Iterable[Curve]) -> list[Curve]:
    """The curves a reader looks for first: pairs, what a user would pick, linear and learned peers."""
    return [
        one
        for one in found
        if not one.lossless
        and (
            (one.kind == "pair" and not one.variant)
            or one.kind in ("linear", "learned")
            or (one.name, one.arrangement) in USUAL
        )
    ]


def pair_part(rows: Sequence[Row], name: str) -> Table:
    """Rate and distortion of a pair, or a variant of one, by quality: one packet, and a packet an image."""
    own = [row for row in rows if row.get("kind") == "pair" and name_of(row) == name]
    joint = {row["setting"]: row for row in own if row.get("arrangement") == "packet"}
    alone = {row["setting"]: row for row in own if row.get("arrangement") == "each"}
    columns = (
        Column("quality", setting_number),
        Column("bytes an image, one packet", lambda row: _figure(joint, row, "bytes_per_image", 1)),
        Column("bytes of a packet an image", lambda row: _figure(alone, row, "bytes_per_image", 1)),
        number("bits a pixel", "bits_per_pixel", 3),
        number("PSNR dB", "psnr", 2),
        number("SSIM", "ssim", 4),
        number("MAE", "mae", 4),
        number("worst image's PSNR dB", "worst_psnr", 2),
    )
    return table_of(list({**alone, **joint}.values()), columns, 1)


def _figure(rows: dict[Any, Row], row: Row, key: str, digits: int) -> str:
    return figure(rows.get(row["setting"], {}).get(key), digits)


_ALL = (
    Column("codec", name_of),
    Column("arrangement", lambda row: arrangement_of(row.get("kind", ""), row.get("arrangement", ""))),
    Column("setting", setting_of),
    number("bytes an image", "bytes_per_image", 2),
    number("bits a pixel", "bits_per_pixel", 3),
    number("PSNR dB", "psnr", 2),
    number("SSIM", "ssim", 4),
    number("MAE", "mae", 4),
    number("worst image's PSNR dB", "worst_psnr", 2),
    number("images", "images"),
    Column("note", lambda row: "" if row.get("kind") == "pair" else str(row.get("note", ""))),
)


def _verdict(results: Results) -> Iterator[Part]:
    yield Heading(2, "Verdict")
    rows = section_rows(results, "rate")
    if not rows:
        yield made_by(results, "rate")
        return
    yield Text("Bytes really written, headers included, and PSNR really decoded, at equal PSNR.")
    yield from verdict(rows)
    wrong = failed(rows)
    if wrong:
        names = ", ".join(dict.fromkeys(f"{name} ({how})" for name, how, _ in wrong))
        yield Text(f"Failed, with reasons below: {names}.")
    ours = {one.name for one in curves(rows) if one.kind == "pair"}
    fastest: dict[tuple[str, str, str], Row] = {}
    for row in section_rows(results, "throughput"):
        # Of the pairs the default one alone: the table has the rest.
        told = row["codec"] == DEFAULT_PAIR or row["work"] in ("analysis", "synthesis")
        if told and row["codec"] in ours and row.get("ratio") and not row.get("error"):
            key = row["codec"], row["work"], row["ratio_to"]
            fastest[key] = max(fastest.get(key, row), row, key=lambda one: float(one["images_per_s"]))
    if fastest:
        yield Text("Speed, at the fastest that was measured beside each peer:", _speeds(fastest.values()))


def _speeds(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(
        f"`{row['codec']}`, {row['work']}{_conditions(row)}: {row['images_per_s']:,.0f} images a second, "
        f"{row['ratio']:.2f} times as fast as {row['ratio_to']}"
        for row in rows
    )


def _conditions(row: Row) -> str:
    known = [str(row["setting"])] if row.get("setting") else []
    known += [f"{key} {row[key]:,}" for key in ("batch", "threads") if row.get(key)]
    return f" ({', '.join(known)})" if known else ""


def _rate(results: Results, folder: Path) -> Iterator[Part]:
    yield Heading(2, "Bytes at equal PSNR")
    yield made_by(results, "rate")
    rows = section_rows(results, "rate")
    if not rows:
        return
    found = ordered(curves(rows))
    yield Text(
        "Bytes an image, interpolated between the settings measured; blank beyond them. A codec measured on "
        "fewer images than the others says so in its row."
    )
    # A variant measured at one setting, the codes sent as floats, is far off all else: the tables have it.
    drawn = [one for one in found if not (one.variant and len(one.psnr) == 1)]
    yield Chart(rate_chart(drawn, usual(drawn)))
    yield equal_psnr_table(rows)
    if (folder / PICTURE).exists():
        yield Picture(folder / PICTURE, "Bytes an image against PSNR")
    yield Heading(2, "The pairs by quality")
    yield Text(
        "MAE is on the scale of 0 to 1. Where a packet holds one image alone, its header is in the bytes."
    )
    for name in dict.fromkeys(one.name for one in found if one.kind == "pair"):
        yield Heading(3, f"`{name}`")
        yield pair_part(rows, name)


def _gallery(results: Results, folder: Path) -> Iterator[Part]:
    yield Heading(2, "Pictures")
    yield made_by(results, "gallery")
    columns = (
        plain("codec", "codec"),
        Column("arrangement", lambda row: arrangement_of("", row.get("arrangement", ""))),
        Column("setting", lambda row: setting_number(row) if "setting" in row else ""),
        number("bytes an image", "bytes_per_image", 1),
        number("PSNR dB", "psnr", 2),
    )
    rows = section_rows(results, "gallery")
    for picture in dict.fromkeys(str(row["picture"]) for row in rows):
        path = folder / Path(picture).name
        if path.exists():
            yield Picture(path, f"Digits as each codec returns them, {path.stem}")
        else:
            yield Text(f"`{path.name}` is missing; the command above makes it.")
        yield table_of([row for row in rows if str(row["picture"]) == picture], columns, 2)


def _bars(section: str, rows: Sequence[Row]) -> Iterator[Part]:
    rows = [row for row in rows if not row.get("error")]
    works = dict.fromkeys(str(row.get("work", "")) for row in rows)
    if section == "throughput":
        for work in works:
            of_work = [row for row in rows if row.get("work") == work]
            bars = [
                Bar(
                    f"{row['codec']}{_conditions(row)}",
                    row["images_per_s"],
                    row.get("images_per_s_low"),
                    row.get("images_per_s_high"),
                )
                for row in of_work
            ]
            yield Chart(
                bar_chart(f"{work}, images a second", list({bar.label: bar for bar in bars}.values()))
            )
    if section == "growth":
        for key, title, digits in (("images_per_s", "images a second", 0), ("peak_mib", "peak MiB", 0)):
            bars = [
                Bar(f"{row['work']}, {row['images']:,} images", row[key])
                for work in works
                for row in rows
                if row.get("work") == work and row.get(key) is not None
            ]
            yield Chart(bar_chart(title, bars, digits))


def _versions(results: Results) -> Iterator[Part]:
    used: dict[tuple[str, str], list[str]] = {}
    for section, found in results.items():
        for library, version in found.get("machine", {}).get("versions", {}).items():
            used.setdefault((str(library), str(version)), []).append(section)
    if used:
        yield Heading(2, "Versions")
        rows = tuple((*key, ", ".join(sections)) for key, sections in sorted(used.items()))
        yield Table(("library", "version", "sections"), rows)


def parts(results: Results, folder: Path) -> Iterator[Part]:
    """The report, but for what the page alone has; pictures are looked for in ``folder``."""
    yield Heading(1, TITLE)
    yield Text("Made from `results.json` by `python -m benchmarks.report`.")
    yield from _verdict(results)
    yield from _rate(results, folder)
    yield from denoising_parts(results, folder)
    yield from domain_parts(results, folder)
    for section, told in SECTIONS.items():
        yield Heading(2, told.heading)
        yield made_by(results, section)
        if rows := section_rows(results, section):
            yield Text(told.about)
            yield from _bars(section, rows)
            yield table_of(rows, told.columns, told.labels)
        if section == "bjontegaard":
            yield from _gallery(results, folder)
    yield from _versions(results)


def all_measurements(results: Results) -> Iterator[Part]:
    """Every row of rate and distortion, for the page, where it can be sorted."""
    if rows := section_rows(results, "rate"):
        yield Heading(2, "All measurements of rate and distortion")
        yield table_of(rows, _ALL, 3)


def write_report(folder: Path) -> None:
    """Draw the picture of, and write the report on, results.json in ``folder``, next to it."""
    # They load matplotlib, which the tables need not.
    from benchmarks.denoising.pictures import draw_curves as draw_denoising
    from benchmarks.domains.pictures import draw_curves
    from benchmarks.rate_distortion import draw_rows, save

    results = read_results(folder / RESULTS_FILE.name)
    if rows := section_rows(results, "rate"):
        save(draw_rows(rows), folder / PICTURE)
    if rows := section_rows(results, "denoising"):
        draw_denoising(rows, folder)
    for entry in results.get("domains", {}).get("domains", ()):
        name = entry["domain"]
        own = [row for row in section_rows(results, "domains") if row["domain"] == name]
        draw_curves(name, own, folder)
    write_texts(results, folder)


def write_texts(results: Results, folder: Path) -> None:
    """Write REPORT.md and report.html into ``folder``, where the pictures are."""
    told = list(parts(results, folder))
    (folder / "REPORT.md").write_text(markdown(told), encoding="utf-8")
    (folder / "report.html").write_text(page(TITLE, [*told, *all_measurements(results)]), encoding="utf-8")


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS_FILE.parent, help="folder of results.json")
    write_report(parser.parse_args().out)


if __name__ == "__main__":
    main()

"""The section ``domains`` in the report and in the README: what is promised, whether it is kept, all figures.

What enters: the results. What leaves: parts of the report, of which every figure is computed from the rows,
and tables as Markdown. Nothing leaves before the section has been measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.charts import rate_chart
from benchmarks.curves import Curve, Results, Row, arrangement_of, curves, section_rows
from benchmarks.document import Chart, Heading, Part, Picture, Table, Text, markdown
from benchmarks.domains.claims import (
    GREY_DB,
    GREY_MOST,
    HOUR_S,
    RGB_DBS,
    RGB_LEAST,
    Saving,
    Share,
    savings,
    shares,
)
from benchmarks.sections import made_by
from benchmarks.verdict import failed, named

__all__ = ["domain_parts", "domains_table"]

_CHART_PREFIX = "domain"


def domain_parts(results: Results, folder: Path) -> Iterator[Part]:
    """The section, with the pictures that are in ``folder``; nothing where there is no such section."""
    if "domains" not in results:
        return
    yield Heading(2, "New domains")
    yield made_by(results, "domains")
    yield Text(
        "Pairs that `codec train` makes with default options from images that no pair ships for, measured on "
        "test images that training never saw. Bytes are of files and packets really written, headers "
        "included; PSNR is of what was decoded, over all pixels."
    )
    for entry in results["domains"]["domains"]:
        yield from _domain(entry, _rows_of(results, entry), folder)


def _rows_of(results: Results, entry: Row) -> list[Row]:
    return [row for row in section_rows(results, "domains") if row["domain"] == entry["domain"]]


def _domain(entry: Row, rows: Sequence[Row], folder: Path) -> Iterator[Part]:
    name = entry["domain"]
    yield Heading(3, f"`{name}`")
    yield Text(
        f"{entry['data'][:1].upper()}{entry['data'][1:]}, {'x'.join(map(str, entry['size']))}: "
        f"{entry['training_images']:,} images to train on, {entry['test_images']:,} of the test. "
        f"{_training(entry)}"
    )
    yield Text(_verdict(entry, rows))
    yield _shares_table(list(shares(rows))) if entry["grey"] else _savings_table(list(savings(rows)))
    if wrong := failed(rows):
        yield Text("Failed:", tuple(f"{who}, {how}, {at}: {why}" for (who, how, at), why in wrong.items()))
    found = curves(rows)
    drawn = [one for one in found if not one.variant]
    yield Chart(rate_chart(drawn, drawn, f"{_CHART_PREFIX}-{name}"))
    yield _all_settings(rows)
    for file, alt in (
        (f"domain-{name}.png", f"{name}: bytes an image against PSNR"),
        (f"domain-{name}-images.png", f"{name}: test images, what the pair and WebP make of them"),
    ):
        if (folder / file).exists():
            yield Picture(folder / file, alt)


def _training(entry: Row) -> str:
    training = entry["training"]
    minutes = f"{training['wall_s'] / 60:.1f} minutes on {training['cores']} cores"
    if training["cpu_s"] is not None:
        minutes += f", {training['cpu_s'] / 60:.1f} of processors"
    several = training["attempts"] > 1
    attempts = f", in {training['attempts']} attempts" if several else ""
    return (
        f"`{training['command']}` chose the model `{entry['model']}`, {training['epochs']} epochs, and "
        f"took {minutes}{attempts}; both bundles are {training['bundle_bytes']:,} bytes."
    )


def _verdict(entry: Row, rows: Sequence[Row]) -> str:
    """The promise in a sentence, how far it goes in another, and whether it is kept."""
    training = entry["training"]
    cores, by_clock = training["cores"], training["wall_s"]
    # What a machine with other work on it gives late counts for what it is: seconds of processors.
    used = by_clock * cores if training["cpu_s"] is None else training["cpu_s"]
    hour = used <= HOUR_S * cores
    promise, measured, kept = (_grey if entry["grey"] else _rgb)(rows)
    return (
        f"Promised, {promise}, after at most what {cores} cores do in an hour, all images in one packet. "
        f"Measured: {'; '.join(measured) or 'the two have no such PSNR in common'}; training took "
        f"{used / 60:.0f} minutes of processors of {cores * HOUR_S / 60:.0f}, {by_clock / 60:.0f} by the "
        f"clock. {'Kept' if kept and hour else 'Not kept'}."
    )


def _grey(rows: Sequence[Row]) -> tuple[str, list[str], bool]:
    """Promise, what was measured, and whether it holds of the curve with one packet of all images."""
    firsts: dict[tuple[str, str], Share] = {}  # the strictest of each curve
    for one in shares(rows):
        firsts.setdefault((one.ours.name, one.ours.arrangement), one)
    measured = [
        f"{100 * one.share:.1f} % ({one.size:.1f} bytes an image at {one.psnr:.2f} dB, JPEG XL "
        f"{one.peer_size:.1f} at {one.peer_psnr:.2f} dB) with {_how(one.ours)}"
        for one in firsts.values()
    ]
    promise = f"at most {100 * GREY_MOST:.0f} % of JPEG XL's bytes at {GREY_DB:g} dB or better"
    joint = [one.share for one in firsts.values() if one.ours.arrangement == "packet"]
    return promise, measured, bool(joint) and joint[0] <= GREY_MOST


def _rgb(rows: Sequence[Row]) -> tuple[str, list[str], bool]:
    """Promise, what was measured, and whether it holds of the curve with one packet of all images."""
    measured, kept = [], False
    for group in _by_curve(savings(rows)):
        values = [one.saving for one in group if one.saving is not None]
        if values:
            measured.append(
                f"{100 * min(values):.1f} to {100 * max(values):.1f} % fewer with {_how(group[0].ours)}"
            )
        if group[0].ours.arrangement == "packet":
            kept = len(values) == len(RGB_DBS) and min(values) >= RGB_LEAST
    span = f"{RGB_DBS[0]:g} to {RGB_DBS[-1]:g} dB"
    promise = f"{100 * RGB_LEAST:.0f} % fewer bytes than WebP at equal PSNR from {span}"
    return promise, measured, kept


def _by_curve(found: Iterable[Saving]) -> list[list[Saving]]:
    groups: dict[tuple[str, str], list[Saving]] = {}
    for one in found:
        groups.setdefault((one.ours.name, one.ours.arrangement), []).append(one)
    return list(groups.values())


def _how(one: Curve) -> str:
    text = arrangement_of(one.kind, one.arrangement)
    return f"{text}, not compact" if one.variant else text


def _shares_table(found: Sequence[Share]) -> Table:
    head = ("arrangement", "setting", "dB", "bytes an image", "JPEG XL's dB", "JPEG XL's bytes", "share, %")
    return Table(
        head,
        tuple(
            (
                _how(one.ours),
                one.setting or "interpolated",
                f"{one.psnr:.2f}",
                f"{one.size:.1f}",
                f"{one.peer_psnr:.2f}",
                f"{one.peer_size:.1f}",
                f"{100 * one.share:.1f}",
            )
            for one in found
        ),
    )


def _savings_table(found: Sequence[Saving]) -> Table:
    """WebP's bytes, then two rows for each of our curves: its bytes, and what is saved."""
    head = ("bytes an image at", *(f"{psnr:g} dB" for psnr in RGB_DBS))
    lines: list[tuple[str, ...]] = []
    for group in _by_curve(found):
        if not lines:
            lines.append(("WebP, a file for each image", *(_cell(one.peer_size, 1) for one in group)))
        how = _how(group[0].ours)
        lines.append((f"`{group[0].ours.name.split(',')[0]}`, {how}", *(_cell(one.size, 1) for one in group)))
        lines.append((f"saved with {how}, %", *(_cell(one.saving, 1, 100) for one in group)))
    return Table(head, tuple(lines))


def _cell(value: float | None, digits: int, factor: float = 1) -> str:
    return "" if value is None else f"{factor * value:.{digits}f}"


def _all_settings(rows: Sequence[Row]) -> Table:
    """Each codec's bytes at whole dB, by interpolation."""
    head = ("codec", "images", *(f"{psnr:g} dB" for psnr in RGB_DBS), "lossless")
    lines = []
    for one in curves(rows):
        sizes = [one.bytes_at(psnr) for psnr in RGB_DBS]
        sizes.append(one.bytes_per_image[0] if one.lossless else None)
        lines.append((named(one), f"{one.images:,}", *(_cell(size, 1) for size in sizes)))
    return Table(head, tuple(lines))


def domains_table(results: Results) -> str:
    """Of every domain measured the verdict and the figures behind it, as Markdown.

    Raises:
        ValueError: no domain was measured.
    """
    entries = results.get("domains", {}).get("domains")
    if not entries:
        raise ValueError("expected the section domains in the results: run python -m benchmarks domains")
    return markdown([part for entry in entries for part in _short(entry, _rows_of(results, entry))]).strip()


def _short(entry: Row, rows: Sequence[Row]) -> Iterator[Part]:
    yield Text(f"`{entry['domain']}`. {_verdict(entry, rows)}")
    yield _shares_table(list(shares(rows))) if entry["grey"] else _savings_table(list(savings(rows)))

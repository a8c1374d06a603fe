"""The comparison at equal PSNR: the main table, and what it says of each pair in a few sentences.

What enters: rows of the results' section ``rate``. What leaves: tables and texts, of which every figure is
interpolated between those rows.
"""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.curves import TABLE_PSNRS, Curve, Row, arrangement_of, curves, failures, name_of, setting_of
from benchmarks.document import Table, Text

_KINDS = ("pair", "learned", "linear", "format", "bytes")
_GROUPS = {"Image formats": ("format", "bytes"), "Learned peers": ("learned",), "Linear peers": ("linear",)}
_HOW = {True: "each image by itself", False: "all images together"}


def ordered(found: Sequence[Curve]) -> list[Curve]:
    """Pairs first, by their fewest bytes; then learned peers, linear ones, formats, bytes, as they are."""

    def place(one: Curve) -> tuple[int, float]:
        kind = _KINDS.index(one.kind) if one.kind in _KINDS else len(_KINDS)
        return kind, min(one.bytes_per_image) if one.kind == "pair" else 0

    return sorted(found, key=place)


def _listed(values: Iterable[float]) -> str:
    """Numbers in a sentence: ``22.4, 24.4 and 30.0``."""
    texts = [f"{value:.1f}" for value in values]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def named(one: Curve) -> str:
    """A curve's name and arrangement in a sentence."""
    name = f"`{one.name}`" if one.kind == "pair" else one.name
    return f"{name}, {arrangement_of(one.kind, one.arrangement)}"


def failed(rows: Iterable[Row]) -> dict[tuple[str, str, str], str]:
    """Failures as name, arrangement and settings, and each one's reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in failures(rows):
        arrangement = arrangement_of(row.get("kind", ""), row.get("arrangement", ""))
        groups.setdefault((name_of(row), arrangement, str(row["error"])), []).append(setting_of(row))
    return {(name, how, ", ".join(settings)): why for (name, how, why), settings in groups.items()}


def equal_psnr_table(rows: Sequence[Row]) -> Table:
    """Bytes an image of each codec and arrangement at the table's PSNRs; blank beyond its measurements."""
    heads = [f"{psnr:.1f} dB" for psnr in TABLE_PSNRS]
    lines = []
    for one in ordered(curves(rows)):
        sizes = [one.bytes_at(psnr) for psnr in TABLE_PSNRS]
        sizes.append(one.bytes_per_image[0] if one.lossless else None)
        cells = ("" if size is None else f"{size:.1f}" for size in sizes)
        lines.append((one.name, arrangement_of(one.kind, one.arrangement), f"{one.images:,}", *cells))
    blanks = ("",) * len(TABLE_PSNRS)
    lines += [
        (name, how, "", f"failed: {settings}: {why}", *blanks)
        for (name, how, settings), why in failed(rows).items()
    ]
    return Table(("codec", "arrangement", "images", *heads, "lossless"), tuple(lines))


def best(found: Sequence[Curve], psnr: float) -> tuple[float, Curve] | None:
    """The curve with the fewest bytes an image at a PSNR, and how many; None if none reaches so far."""
    sizes = [(size, one) for one in found if (size := one.bytes_at(psnr)) is not None]
    return min(sizes, key=lambda pair: pair[0], default=None)


def verdict(rows: Sequence[Row]) -> Iterator[Text]:
    """For each pair its bytes, and against them the best peers of each group in the same arrangement."""
    found = ordered(curves(rows))
    peers = [one for one in found if one.kind != "pair" and not one.lossless]
    pairs = [one for one in found if one.kind == "pair" and not one.variant and not one.lossless]
    for name in dict.fromkeys(one.name for one in pairs):
        own = [one for one in pairs if one.name == name]
        yield Text(f"`{name}`: {'; '.join(map(_sizes, own))}.", tuple(_against(own, peers)))


def _sizes(pair: Curve) -> str:
    """A few of its figures: the first, the middle and the last of the table's PSNRs."""
    reached = [(size, psnr) for psnr in TABLE_PSNRS if (size := pair.bytes_at(psnr)) is not None]
    how = arrangement_of(pair.kind, pair.arrangement)
    if not reached:
        return f"{how}, {pair.psnr[0]:.1f} to {pair.psnr[-1]:.1f} dB, at none of the table's PSNRs"
    few = list(dict.fromkeys((reached[0], reached[len(reached) // 2], reached[-1])))
    return f"{how}, {_listed(size for size, _ in few)} bytes each at {_listed(psnr for _, psnr in few)} dB"


def _against(own: Sequence[Curve], peers: Sequence[Curve]) -> Iterator[str]:
    """A sentence a group: the ratios of its best peer's bytes to the pair's, wherever both reach."""
    for group, kinds in _GROUPS.items():
        members = [one for one in peers if one.kind in kinds]
        if not members:
            yield f"{group}: none was measured."
        for pair in own:
            alike = [one for one in members if (one.arrangement == "each") == (pair.arrangement == "each")]
            if alike:
                yield f"{group}, {_HOW[pair.arrangement == 'each']}: {_ratios(pair, alike)}."


def _ratios(pair: Curve, peers: Sequence[Curve]) -> str:
    ratios: dict[float, float] = {}
    names: dict[str, None] = {}
    for psnr in TABLE_PSNRS:
        size, rival = pair.bytes_at(psnr), best(peers, psnr)
        if size is not None and rival is not None:
            ratios[psnr] = rival[0] / size
            names[rival[1].name] = None
    if not ratios:
        return "none reaches a PSNR of the table that the pair reaches"
    span = " to ".join(dict.fromkeys(f"{edge:.2f}" for edge in (min(ratios.values()), max(ratios.values()))))
    range_ = " to ".join(dict.fromkeys(f"{edge:.1f}" for edge in (min(ratios), max(ratios))))
    fewer = [psnr for psnr, ratio in ratios.items() if ratio < 1]
    lost = (
        f"; fewer at {'all of them' if len(fewer) == len(ratios) else _listed(fewer) + ' dB'}"
        if fewer
        else ""
    )
    return f"the best ({'; '.join(names)}) takes {span} times the pair's bytes at {range_} dB{lost}"

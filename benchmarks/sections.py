"""What each section of the results is and how its rows become a table.

What enters: a section's rows. What leaves: a table, each figure rounded for reading, each failure with its
reason; and a paragraph that tells the command and machine a section is from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.curves import Results, Row, arrangement_of
from benchmarks.document import Table, Text


def figure(value: Any, digits: int) -> str:
    """A number with so many decimals, or nothing for None."""
    return "" if value is None else f"{value:,.{digits}f}"


def setting_number(row: Row) -> str:
    """A row's setting without its parameter."""
    return f"{row['setting']:g}" if isinstance(row["setting"], int | float) else str(row["setting"])


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and a row's text in it."""

    head: str
    text: Callable[[Row], str]


def plain(head: str, key: str) -> Column:
    """What stands under a key."""
    return Column(head, lambda row: "" if row.get(key) is None else str(row[key]))


def number(head: str, key: str, digits: int = 0, factor: float = 1) -> Column:
    """A number, times ``factor``."""
    return Column(head, lambda row: "" if row.get(key) is None else figure(row[key] * factor, digits))


def ranged(head: str, middle: str, low: str, high: str, digits: int) -> Column:
    """A number, and in brackets the range it was measured in, if the row has one."""

    def text(row: Row) -> str:
        if row.get(middle) is None:
            return ""
        value = figure(row[middle], digits)
        if row.get(low) is None or row.get(high) is None:
            return value
        return f"{value} ({figure(row[low], digits)} to {figure(row[high], digits)})"

    return Column(head, text)


def _share(row: Row) -> str:
    if row.get("share") is None:
        return ""
    low, high = row.get("share_low"), row.get("share_high")
    span = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * row['share']:.1f}{span}"


_RATIO = (ranged("ratio", "ratio", "ratio_low", "ratio_high", 2), plain("to", "ratio_to"))
_RUNS = number("runs", "runs")
_SETTING = plain("setting", "setting")


@dataclass(frozen=True)
class Section:
    """How a section is told: its heading, what it is, its table; ``labels`` columns say what a row is of."""

    heading: str
    about: str
    columns: tuple[Column, ...]
    labels: int = 1


SECTIONS = {
    "bjontegaard": Section(
        "Difference in rate, by Bjontegaard",
        "How many bytes more (+) or fewer (-) the pair needs on average over the PSNRs that both reach.",
        (
            plain("pair", "pair"),
            plain("against", "codec"),
            Column("arrangement", lambda row: arrangement_of("", row.get("arrangement", ""))),
            Column(
                "bytes, %",
                lambda row: (
                    ""
                    if row.get("rate_difference_percent") is None
                    else f"{row['rate_difference_percent']:+.1f}"
                ),
            ),
            number("from dB", "low_db", 1),
            number("to dB", "high_db", 1),
        ),
        labels=3,
    ),
    "throughput": Section(
        "Speed",
        "Images a second: the median of the runs, and the slowest and fastest. A ratio is the median of "
        "those of runs in turn; above 1 is faster.",
        (
            plain("codec", "codec"),
            plain("work", "work"),
            _SETTING,
            number("batch", "batch"),
            number("threads", "threads"),
            ranged("images a second", "images_per_s", "images_per_s_low", "images_per_s_high", 0),
            _RUNS,
            *_RATIO,
        ),
        labels=2,
    ),
    "latency": Section(
        "One image at a time",
        "Milliseconds a call.",
        (
            plain("codec", "codec"),
            plain("work", "work"),
            _SETTING,
            number("median ms", "p50_ms", 2),
            number("99th percentile ms", "p99_ms", 2),
            number("calls", "calls"),
        ),
        labels=2,
    ),
    "cold_start": Section(
        "Starting up",
        "Seconds from starting a process to its end. A ratio above 1 is faster.",
        (plain("what", "what"), ranged("seconds", "median_s", "low_s", "high_s", 2), _RUNS, *_RATIO),
    ),
    "training": Section(
        "Training",
        "Time a step, or an epoch. A ratio above 1 is faster.",
        (
            plain("what", "what"),
            ranged("ms", "median_ms", "low_ms", "high_ms", 1),
            ranged("seconds", "median_s", "low_s", "high_s", 1),
            _RUNS,
            *_RATIO,
        ),
    ),
    "memory": Section(
        "Memory",
        "The most that a process held, in MiB.",
        (plain("what", "what"), number("MiB", "peak_mib", 1)),
    ),
    "sizes": Section(
        "Sizes", "Bytes of what is installed or sent once.", (plain("what", "what"), number("bytes", "bytes"))
    ),
    "ceiling": Section(
        "How near the machine's ceiling",
        "Multiply-adds a second of a network, as a share of those of a plain matrix product.",
        (
            plain("what", "what"),
            number("batch", "batch"),
            number("threads", "threads"),
            number("million multiply-adds an image", "multiply_adds_per_image", 2, 1e-6),
            number("images a second", "images_per_s"),
            number("matrix product, billion a second", "matrix_product_gmacs_per_s", 1),
            Column("share, %", _share),
            _RUNS,
        ),
        labels=1,
    ),
    "growth": Section(
        "Growth with the number of images",
        "Time and memory of one call on so many images.",
        (
            plain("codec", "codec"),
            plain("work", "work"),
            number("images", "images"),
            number("seconds", "seconds", 2),
            number("images a second", "images_per_s"),
            number("peak MiB", "peak_mib", 1),
        ),
        labels=3,
    ),
}


def table_of(rows: Sequence[Row], columns: Sequence[Column], labels: int) -> Table:
    """Rows as a table; columns that say nothing are left out, and a failure tells its reason."""
    kept = [
        column
        for at, column in enumerate(columns)
        if at < labels or any(column.text(row) for row in rows if not row.get("error"))
    ]
    if len(kept) == labels:
        kept = list(columns)  # nothing but failures, whose reasons need a place

    def line(row: Row) -> tuple[str, ...]:
        if not row.get("error"):
            return tuple(column.text(row) for column in kept)
        known = tuple(column.text(row) for column in kept[:labels])
        return (*known, f"failed: {row['error']}", *("" for _ in kept[labels + 1 :]))

    return Table(tuple(column.head for column in kept), tuple(line(row) for row in rows))


def made_by(results: Results, section: str) -> Text:
    """The command that makes a section, on what data and machine; or that it has not been made."""
    found = results.get(section)
    if found is None:
        return Text(f"Not measured. This command does it: `python -m benchmarks {section}`")
    machine = found.get("machine", {})
    memory = machine.get("memory_gib")
    told = [
        machine.get("cpu"),
        f"{machine['cores']} cores" if machine.get("cores") else None,
        f"{memory:.0f} GiB" if isinstance(memory, int | float) else None,
        machine.get("system"),
        f"Python {machine['python']}" if machine.get("python") else None,
    ]
    place = ", ".join(str(part) for part in told if part)
    on = f" on {found['data']}" if found.get("data") else ""
    quick = " A quick run: fewer images, settings or repetitions." if found.get("quick") else ""
    return Text(f"`{found.get('command', '')}`{on}; {place}.{quick}")

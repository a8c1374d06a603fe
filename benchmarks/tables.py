"""The tables of the documents, made from the committed results: what ``codec evaluate --json`` printed.

    python -m benchmarks.tables            prints them
    python -m benchmarks.tables --write    puts them into README.md, between their markers

The results, for each shipped pair: TFDS_DATA_DIR=... codec evaluate --encoder NAME --decoder NAME
--dataset mnist --split test --quality all --json > benchmarks/results/NAME.jsonl
"""

import json
import re
import sys
from pathlib import Path

from codec.loading import pretrained

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def rate_table(name: str) -> str:
    """Rate and distortion of a shipped pair by quality, as Markdown."""
    rows = [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]
    lines = ["| quality | bytes an image | bits a pixel | PSNR dB | MAE |", "|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row['quality']} | {row['bytes_per_image']:.1f} | {row['bits_per_pixel']:.3f} "
        f"| {row['psnr']:.2f} | {row['mae']:.4f} |"
        for row in rows
    ]
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """``text`` with every marked table made anew: <!-- table: NAME --> ... <!-- end -->."""
    return re.sub(
        r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + rate_table(match[2]) + "\n" + match[3],
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    readme = ROOT / "README.md"
    if "--write" in sys.argv[1:]:
        readme.write_text(with_tables(readme.read_text()))
    else:
        for pair in pretrained():
            print(f"{pair}\n\n{rate_table(pair)}\n")

"""A report's parts as one HTML page that needs nothing else: style, script, charts and pictures are in it."""

import base64
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.document import CODE, Chart, Heading, Part, Picture, Table, Text

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c1c1e; --faint: #5c5c63; --rule: #d8d8de;
  --stripe: #f5f5f8; --link: #0a5aa8; --series-0: #0072b2; --series-1: #b84a00; --series-2: #007a5a;
  --series-3: #a3357f; --series-4: #7d6000; --series-5: #6a3fb5; --series-6: #5f5f66; }
@media (prefers-color-scheme: dark) { :root { --back: #17171a; --text: #ececf0; --faint: #a5a5ae;
  --rule: #3a3a41; --stripe: #202025; --link: #7cc0ff; --series-0: #56b4e9; --series-1: #ff9550;
  --series-2: #3ecf9f; --series-3: #f29ad1; --series-4: #e6cf55; --series-5: #b9a2ff; --series-6: #bcbcc4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .6rem; }
h1 { margin-top: .5rem; }
code { font: .9em ui-monospace, monospace; background: var(--stripe); padding: .05em .15em;
  border-radius: 3px; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figcaption { margin-bottom: .3rem; font-weight: 600; }
img { max-width: 100%; height: auto; background: #fff; }
.wide { overflow-x: auto; max-width: 100%; }
.wide:focus-visible, button:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
table { border-collapse: collapse; font-size: .875rem; margin: .5rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
tbody tr:nth-child(even) { background: var(--stripe); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:first-child { min-width: 9rem; }
td.failed { color: var(--series-1); text-align: left; white-space: normal; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button::after { content: " \\2195"; color: var(--faint); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
svg text { font: 13px system-ui, sans-serif; fill: var(--text); } svg text.faint { fill: var(--faint); }
.chart { min-width: 40rem; width: 100%; display: block; }
.bars { min-width: 20rem; max-width: 44rem; width: 100%; display: block; }
.grid { stroke: var(--rule); stroke-width: .7; } .axis { stroke: var(--faint); fill: none; }
.bar { fill: var(--series-0); } .range { stroke: var(--text); stroke-width: 1.5; fill: none; }
.series { color: var(--series-6); } .line { stroke: currentColor; stroke-width: 1.4; fill: none; }
.series.pair .line { stroke-width: 3; }
.point { fill: currentColor; stroke: var(--back); stroke-width: .8; }
.point .open { fill: none; stroke: currentColor; stroke-width: 2; }
.series:hover .line { stroke-width: 4; } [hidden] { display: none; }
.tip { min-height: 3em; margin: .2rem 0; color: var(--faint); font-size: .875rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem; align-items: center; margin: .4rem 0;
  font-size: .875rem; }
.legend b { flex-basis: 100%; font-weight: 600; }
.legend button { display: inline-flex; gap: .35rem; align-items: center; font: inherit; color: var(--text);
  background: var(--back); border: 1px solid var(--faint); border-radius: 4px; padding: .2rem .5rem;
  cursor: pointer; }
.legend button[aria-pressed=false] { opacity: .55; border-style: dashed; }
""" + "".join(f".s{number} {{ color: var(--series-{number}); }}\n" for number in range(7))

_SCRIPT = """
"use strict";
const text = (row, column) => row.cells[column]?.textContent ?? "";  // a failure takes the cells after it
const value = (row, column) => parseFloat(text(row, column).replace(/,/g, ""));
function compare(one, other, column, down, numbers) {
  const [x, y] = [value(one, column), value(other, column)];
  if (numbers && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y);  // blanks stay last
  const order = numbers ? x - y
    : text(one, column).localeCompare(text(other, column), "en", { numeric: true });
  return down ? -order : order;
}
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const numbers = head.classList.contains("number");
  body.append(...[...body.rows].sort((one, other) => compare(one, other, head.cellIndex, down, numbers)));
});
for (const button of document.querySelectorAll("button[data-curve]")) {
  const show = on => {
    button.setAttribute("aria-pressed", on);
    document.getElementById(button.dataset.curve).toggleAttribute("hidden", !on);
  };
  show(button.dataset.first === "true");
  button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
}
for (const figure of document.querySelectorAll("figure")) {
  const tip = figure.querySelector(".tip");
  const tell = event => {
    const title = event.target.closest(".point")?.querySelector("title");
    if (tip && title) tip.textContent = title.textContent;
  };
  figure.addEventListener("pointerover", tell);
  figure.addEventListener("click", tell);
}
"""


def html_text(text: str) -> str:
    """A text with what HTML would take for markup escaped, and code between its own tags."""
    return "".join(
        f"<code>{escape(part[1:-1])}</code>" if CODE.fullmatch(part) else escape(part)
        for part in CODE.split(text)
    )


def _table(table: Table) -> str:
    numeric = [table.numeric(column) for column in range(len(table.head))]

    def cells(row: Sequence[str]) -> Iterator[str]:
        for column, text in enumerate(row):
            if text.startswith("failed") and not any(row[column + 1 :]):
                yield f'<td class="failed" colspan="{len(row) - column}">{html_text(text)}</td>'
                return
            yield f'<td class="{"number" if numeric[column] else "text"}">{html_text(text)}</td>'

    head = "".join(
        f'<th scope="col" aria-sort="none" class="{"number" if number else "text"}">'
        f'<button type="button">{html_text(name)}</button></th>'
        for name, number in zip(table.head, numeric, strict=True)
    )
    rows = "".join(f"<tr>{''.join(cells(row))}</tr>\n" for row in table.rows)
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="table">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _html(part: Part) -> str:
    match part:
        case Heading(level, text):
            return f"<h{level}>{html_text(text)}</h{level}>"
        case Text(text, points):
            paragraph = f"<p>{html_text(text)}</p>" if text else ""
            items = "".join(f"<li>{html_text(point)}</li>" for point in points)
            return paragraph + (f"<ul>{items}</ul>" if items else "")
        case Table():
            return _table(part)
        case Picture(path, alt):
            data = base64.b64encode(path.read_bytes()).decode()
            return f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alt)}"></figure>'
        case Chart(html):
            return html


def page(title: str, parts: Sequence[Part]) -> str:
    """The whole page."""
    body = "\n".join(_html(part) for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )

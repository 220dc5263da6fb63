"""One HTML page that needs nothing else: no script, no font, no address is loaded by it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.workflows.report.draw import svg
from napari_tumorseg.workflows.report.plot import Plot
from napari_tumorseg.workflows.report.section import Section, Table, number

__all__ = ["html_page", "write_page"]

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1a1a1a; background: #ffffff; }
body { max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #cccccc; }
table { border-collapse: collapse; margin: 0.8rem 0; font-size: 13px; }
caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; border-bottom: 1px solid #e5e5e5; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: 0.5rem 1rem 0.5rem 0; max-width: 520px; vertical-align: top; }
figure svg { width: 100%; height: auto; }
figcaption, .note, footer { font-size: 13px; color: #444444; }
.scroll { overflow-x: auto; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
""".strip()


def html_page(title: str, sections: Sequence[Section], facts: Mapping[str, Any]) -> str:
    """Return the page as text.

    Parameters
    ----------
    title : str
        Heading.
    sections : sequence of Section
        In order.
    facts : mapping of str
        What the reader needs to repeat it: versions, constants, files, seed; a table at the end.

    Returns
    -------
    str
        HTML 5; everything given is escaped.

    Examples
    --------
    >>> from napari_tumorseg.workflows.report.section import Section
    >>> "<h2>A &lt; B</h2>" in html_page("Report", [Section("A < B")], {"version": "1"})
    True
    """
    parts = [f"<h1>{html.escape(title)}</h1>", *map(_section, sections)]
    rows = tuple((name, _fact(value)) for name, value in facts.items())
    parts.append(_section(Section("How this was made", tables=(Table("", ("what", "value"), rows),))))
    notice = RESEARCH_USE_ONLY
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    head += f"<style>{_STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n<footer>{notice}</footer>\n</body></html>\n'


def write_page(path: Path, title: str, sections: Sequence[Section], facts: Mapping[str, Any]) -> Path:
    """Write the page whole or not at all; return its path.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(html_page(title, sections, facts), encoding="utf-8")
    return path


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.heading)}</h2>"]
    parts += [f"<p>{html.escape(text)}</p>" for text in section.text]
    # The plots stand after the summary: tables of single lesions may be long.
    parts += [_table(table) for table in section.tables[:1] if table.rows]
    parts += [_figure(plot) for plot in section.plots]
    parts += [_table(table) for table in section.tables[1:] if table.rows]
    parts += [f'<p class="note">Note: {html.escape(note)}</p>' for note in section.notes]
    return "\n".join(parts)


def _table(table: Table) -> str:
    kinds = [' class="number"' if flag else "" for flag in table.numeric]
    head = "".join(f'<th scope="col"{kind}>{html.escape(name)}</th>' for name, kind in zip(table.columns, kinds, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{html.escape(number(cell))}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _figure(plot: Plot) -> str:
    caption = f"<figcaption>{html.escape(plot.caption)}</figcaption>" if plot.caption else ""
    return f'<figure role="img" aria-label="{html.escape(plot.title)}">{svg(plot)}{caption}</figure>'


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} = {_fact(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return number(value)

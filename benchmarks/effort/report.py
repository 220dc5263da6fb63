"""The page with the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["document", "ratio_of"]

#: What is reported for each task, and which sort of cost.
TARGETS = {"outline": ("WT 0.95",), "classes": ("classes 0.90",)}
WORDS = {
    "WT 0.95": "Whole tumour at Dice 0.95, classes not asked for",
    "classes 0.90": "Whole tumour at Dice 0.95 and every class of 1 mL or more at 0.90",
}
GOAL = 1 / 3

Row = dict[str, Any]
Pair = tuple[Row, Row]


def document(rows: list[Row]) -> str:
    """Return the Markdown page."""
    pairs = list(paired(rows))
    parts = [HEAD]
    for task, targets in TARGETS.items():
        for target in targets:
            mine = [p for p in pairs if p[0]["task"] == task]
            if mine:
                parts.append(
                    f"## {WORDS[target]}\n\n" + "\n".join((*summary(mine, target), "", *given_up(mine, target), *each(mine, target)))
                )
    parts.append("## Which tools did it\n\n" + "\n".join(tools(rows)))
    return "\n\n".join(parts) + "\n"


def paired(rows: list[Row]) -> Iterator[Pair]:
    """Give the runs of both arms, stock first, for each task, start and case."""
    found = {(r["task"], r["start"], r["case"], r["arm"]): r for r in rows}
    for (task, start, case, arm), row in found.items():
        other = found.get((task, start, case, "ours"))
        if arm == "stock" and other is not None:
            yield row, other


def cost(row: Row, target: str, what: str) -> tuple[float, bool]:
    """Return what a run paid until a target, and whether it reached it; what it paid in all where it did not."""
    if target in row["milestones"]:
        return float(row["milestones"][target][what]), True
    return float(row["bill"][what]), False


def ratio_of(pair: Pair, target: str, what: str) -> float | None:
    """Return ours over stock until a target.

    Where the stock arm gave up it would have needed more, so the value is an upper bound. None where our arm gave
    up, or the start was there already.

    Examples
    --------
    >>> stock = {"milestones": {}, "bill": {"strokes": 1500}}
    >>> ours = {"milestones": {"WT 0.95": {"strokes": 300}}, "bill": {"strokes": 310}}
    >>> ratio_of((stock, ours), "WT 0.95", "strokes")
    0.2
    """
    (stock, _), (ours, reached) = cost(pair[0], target, what), cost(pair[1], target, what)
    return ours / stock if reached and stock > 0 else None


def spread(values: list[float], places: int) -> str:
    """Return median and quartiles."""
    if not values:
        return "-"
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def summary(pairs: list[Pair], target: str) -> Iterator[str]:
    """Give the table by start: medians and quartiles."""
    heads = ("start", "cases", "reached: stock, ours", "strokes, stock", "strokes, ours", "ratio of strokes", "ratio of seconds")
    yield f"| {' | '.join(heads)} | at a third or less |"
    yield "|---|---|---|---|---|---|---|---|"
    starts = list(dict.fromkeys(p[0]["start"] for p in pairs))
    for start in [*starts, "all"]:
        some = [p for p in pairs if start in (p[0]["start"], "all") and not there(p, target)]
        if not some:
            yield f"| {start} | 0 | all there already | | | | | |"
            continue
        strokes = [[cost(p[k], target, "strokes") for p in some] for k in (0, 1)]
        counts = ", ".join(str(sum(r for _, r in arm)) for arm in strokes)
        ratios = [r for p in some if (r := ratio_of(p, target, "strokes")) is not None]
        seconds = [r for p in some if (r := ratio_of(p, target, "seconds")) is not None]
        cells = [spread([v for v, _ in arm], 0) for arm in strokes]
        third = f"{sum(r <= GOAL for r in ratios)} of {len(some)}"
        yield f"| {start} | {len(some)} | {counts} | {' | '.join(cells)} | {spread(ratios, 2)} | {spread(seconds, 2)} | {third} |"


def given_up(pairs: list[Pair], target: str) -> Iterator[str]:
    """Give the median ratio with our arm's failures in it, where there are any."""
    some = [p for p in pairs if not there(p, target)]
    ratios = [ratio_of(p, target, "strokes") for p in some]
    failed = ratios.count(None)
    if failed:
        median = np.median([1.0 if r is None else r for r in ratios])
        yield f"Our arm gave up in {failed} of {len(some)}; with these counted as 1, the median ratio of strokes is {median:.2f}."
        yield ""


def there(pair: Pair, target: str) -> bool:
    """Whether nothing had to be done."""
    return all(cost(row, target, "strokes") == (0.0, True) for row in pair)


def each(pairs: list[Pair], target: str) -> Iterator[str]:
    """Give the table of the single cases."""
    heads = ("case", "start", "Dice at the start", "stock: strokes, settings, line, time", "ours: the same", "ratio of strokes")
    yield f"| {' | '.join(heads)} |"
    yield "|---|---|---|---|---|---|"
    for pair in pairs:
        stock = pair[0]
        first = ", ".join(f"{k} {v:.2f}" for k, v in stock["first"].items() if k != "Lesion")
        ratio = ratio_of(pair, target, "strokes")
        bound = "" if target in stock["milestones"] else "at most "
        cell = "there already" if there(pair, target) else f"{bound}{ratio:.2f}" if ratio is not None else "not reached"
        yield f"| {stock['case']} | {stock['start']} | {first} | {paid(stock, target)} | {paid(pair[1], target)} | {cell} |"


def paid(row: Row, target: str) -> str:
    """Return what a run paid until a target."""
    (strokes, reached), settings, line, seconds = (cost(row, target, w) for w in ("strokes", "settings", "line_mm", "seconds"))
    prefix = "" if reached else "gave up after "
    return f"{prefix}{strokes:.0f}, {settings[0]:.0f}, {line[0] / 1000:.1f} m, {seconds[0] / 60:.0f} min"


def tools(rows: list[Row]) -> Iterator[str]:
    """Give the table of tools by arm: strokes, net voxels mended, estimated seconds over all runs."""
    yield "| task | arm | tool | strokes | share of the strokes | voxels mended | share of what was mended | voxels a stroke |"
    yield "|---|---|---|---|---|---|---|---|"
    for task in TARGETS:
        for arm in ("stock", "ours"):
            total: dict[str, list[float]] = {}
            for row in (r for r in rows if (r["task"], r["arm"]) == (task, arm)):
                for tool, (strokes, mended, _) in row["bill"]["by_tool"].items():
                    entry = total.setdefault(tool, [0, 0])
                    entry[0] += strokes
                    entry[1] += mended
            all_strokes, all_mended = (sum(v[k] for v in total.values()) or 1 for k in (0, 1))
            for tool, (strokes, mended) in sorted(total.items(), key=lambda t: -t[1][1]):
                shares = f"{100 * strokes / all_strokes:.0f} % | {mended:.0f} | {100 * mended / all_mended:.0f} %"
                yield f"| {task} | {arm} | {tool} | {strokes:.0f} | {shares} | {mended / max(strokes, 1):.0f} |"


HEAD = """# Correction effort: napari's brush and fill against our tools

Remade by `python benchmarks/correction_effort.py` (about an hour on two free cores; finished runs are kept outside the
repository, each arm's under the hash of the code that it runs).

A simulated user corrects a mask until a target is reached, or gives up after 1500 strokes. **Stock** is what napari 0.9
has: brush and eraser as disc and sphere, fill in a slice and in space, keeping other labels on request; a drawn outline
may be filled. **Ours** has the same, and redrawing of borders (a line, to which the mask grows and shrinks), lasso (also
through slices), threshold paint, click-lesion, dropping specks, smoothing, margins, and learning from checked slices
(`inference.prompted.learn`). A stroke is a line or a click on the canvas, or the use of a tool by key or button, undoing
and marking a slice as checked included. Changes of tool, label, size or option are counted as settings, and paid for in
time.

- The policy is one for both arms and stands in `benchmarks/effort/user.py`: largest error first, the act that mends most
  voxels per estimated second. Both arms know the reference. What a brush, a fill, a lasso or a redrawn border will do is
  foreseen, without the hand's noise; what a tool that looks at the image will do is not: it is tried on its record so
  far, and undone, at a price, when it made things worse. Ours begins with up to three rounds of five slices that are
  corrected, checked and learnt from (`benchmarks/effort/our_user.py`).
- A target is reached at the stroke after which the mask is first there.
- The hand is off by 0.5 mm (standard deviation; lines smoothly, over 6 mm), with the same seed in both arms.
- Time is a keystroke-level model (Card, Moran and Newell 1980) with Fitts' law (MacKenzie, Sellen and Buxton 1991);
  constants in `benchmarks/effort/klm.py`. It is an estimate, not a measurement of people.
- Every change goes through `MaskDocument.write`.
- Constants of the policy and tools were chosen on the six other labelled cases; the masks of those reported were not looked
  at. An earlier state of the tools was reported on four of the reported cases, tools by strokes included, and what to build
  next was chosen from that table.
- Three cases (CBICA_AME_1, TCIA02_135_1, TCIA10_628_1) are unseen by brain-tumour-small, whose masks on the other three
  are in-sample; **all are in-sample for brats17-cascade**. Six gliomas are few.
- A class is asked for when the reference has 1 mL or more of it. Where the stock arm gave up, the ratio is with the
  strokes it had used, an upper bound of the true one; where ours did, there is none, and a line below the table counts it
  as 1. Tables give median (quartiles).
- Carrying corrections between slices (`editing.carry`) is not among the tools of this user: on two of the other six cases,
  carried after learning, it made the mask worse in 14 of 17 uses. What it does where nothing is learnt is told in `carry.md`.
- Two readers of enhancing lesions agree at a Dice of 0.86 to 0.90 (PMC8408868), so classes are asked for to 0.90. In an
  earlier run to 0.95, on four of these cases from three starts, both arms gave up every time; that is not run any more.

The goal is a third of the strokes."""

"""Whether the primary analysis of a study says what is so: simulated studies without and with a planted saving of time.

Makes `docs/results/null_studies.md` again (three minutes of one core):

    python benchmarks/null_studies.py

`--studies` takes another number of studies for each row; `--quick` takes 50, two rows, and writes no file.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.evaluation.study.randomisation import FEWEST_RATERS, RandomisationTest, Redraw
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.evaluation.study.simulate import Truth, draw_times
from napari_tumorseg.evaluation.study.time_model import fit_time
from napari_tumorseg.workflows.study_design import planned_readings, protocol_redraw

ROOT = Path(__file__).resolve().parents[1]
SEED = 20261124
ALPHA = 0.05
#: Allocations that each test draws, and designs that the studies of a row are spread over.
DRAWS, DESIGNS = 199, 5
#: The mixed model, which takes most of the time, is fitted to every fourth study.
MIXED_EVERY = 4
#: Planted where a saving is.
SAVING = 0.3


@dataclass(frozen=True)
class Row:
    """One kind of study.

    Attributes
    ----------
    raters, cases : int
        How many.
    by, per_arm, sets : str, int, int
        Of the protocol: who reads what.
    what : str
        In words.
    spread : tuple of float
        Standard deviations, between raters and between cases, of what the arm does to log time.
    """

    raters: int
    cases: int
    by: str
    per_arm: int
    sets: int
    what: str
    spread: tuple[float, float] = (0.12, 0.12)


ROWS = (
    Row(6, 10, "crossed", 2, 0, "everybody reads every case in both arms"),
    Row(8, 20, "crossed", 2, 0, "everybody reads every case in both arms"),
    Row(8, 20, "crossed", 2, 0, "the same, the arm does the same to all", (0.0, 0.0)),
    Row(8, 20, "crossed", 2, 0, "the same, raters differ much", (0.25, 0.0)),
    Row(8, 20, "crossed", 2, 0, "the same, cases differ much", (0.0, 0.25)),
    Row(8, 40, "crossed", 2, 1, "two raters for each case, both arms (the protocol as it ships)"),
    Row(8, 40, "different", 2, 0, "everybody reads every case once, in one arm"),
    Row(6, 20, "same", 2, 0, "everybody reads every case twice in both arms"),
    Row(4, 20, "crossed", 2, 0, "everybody reads every case in both arms; raters are fixed"),
)


def design(row: Row, protocol: Protocol, seed: int) -> Readings:
    """Return who reads what, allocated as the protocol does it; lesion counts are drawn."""
    rng = np.random.default_rng(seed)
    cases = [f"C{n:03d}" for n in range(row.cases)]
    counts = dict(zip(cases, np.maximum(1, np.rint(np.exp(rng.normal(np.log(4), 0.8, row.cases)))).tolist(), strict=True))
    return planned_readings(protocol, [f"R{n}" for n in range(row.raters)], counts, seed, ("scratch", "ai"))


@dataclass(frozen=True)
class Prepared:
    """A design, its test, and the procedure that gives each simulated study its own allocation."""

    readings: Readings
    test: RandomisationTest
    fresh: Redraw


def prepare(row: Row) -> list[Prepared]:
    """Return the designs that the studies of a row are spread over."""
    shipped = load_protocol("brats-mets-raters")
    protocol = replace(shipped, instances=replace(shipped.instances, by=row.by, per_arm=row.per_arm, sets=row.sets))
    found = []
    for number in range(DESIGNS):
        readings = design(row, protocol, number)
        test = RandomisationTest(readings, protocol_redraw(protocol, readings, 1), DRAWS)
        found.append(Prepared(readings, test, protocol_redraw(protocol, readings, 2)))
    return found


def simulate(row: Row, designs: list[Prepared], saving: float, studies: int, *, mixed: bool) -> dict[str, Any]:
    """Return how many studies of a kind are rejected, and how many intervals hold what was planted.

    The planted effect is the mean over all raters and cases; where raters are fixed it is the mean over the raters of the study.
    """
    truth = Truth(saving=saving, rater_arm_sd=row.spread[0], case_arm_sd=row.spread[1])
    rng = np.random.default_rng((SEED, ROWS.index(row), round(100 * saving)))
    counts = dict.fromkeys(("rejected", "by_redraw", "by_t", "by_mixed", "covered"), 0)
    widths, errors, began = [], [], time.perf_counter()
    for number in range(studies):
        readings, test = designs[number % DESIGNS].readings, designs[number % DESIGNS].test
        arm = np.asarray(designs[number % DESIGNS].fresh(number))
        log_s, own = draw_times(readings, truth, rng, arm)
        if row.raters < FEWEST_RATERS and saving == 0:
            # The null hypothesis is about these very raters.
            log_s, own = log_s - own * arm, 0.0
        planted = own if row.raters < FEWEST_RATERS else truth.effect
        found = test.test(log_s, alpha=ALPHA, arm=arm, interval=saving > 0)
        counts["rejected"] += found.p <= ALPHA
        counts["by_redraw"] += found.p_redraw <= ALPHA
        counts["by_t"] += found.p_t <= ALPHA
        counts["covered"] += found.low <= planted <= found.high
        widths.append(found.high - found.low)
        errors.append(found.estimate - planted)
        if mixed and number % MIXED_EVERY == 0:
            fit = fit_time(replace(readings, arm=arm, seconds=np.exp(log_s)))
            counts["by_mixed"] += fit.effect({"arm": 1.0}).p <= ALPHA
    shares = {name: float(count) / studies for name, count in counts.items()}
    shares["by_mixed"] = counts["by_mixed"] / len(range(0, studies, MIXED_EVERY))
    shares |= {"width": float(np.median(widths)), "bias": float(np.mean(errors)), "seconds": time.perf_counter() - began}
    return {**shares, "studies": studies, "mixed": mixed}


def percent(share: float, studies: int) -> str:
    """Return a share in per cent with its standard error."""
    return f"{100 * share:.1f} ({100 * math.sqrt(share * (1 - share) / studies):.1f})"


def document(found: list[tuple[Row, dict[str, Any], dict[str, Any]]]) -> str:
    """Return the results as a page."""
    studies = found[0][1]["studies"]
    lines = [
        "# Simulated studies: does the primary analysis say what is so?",
        "",
        f"Made by `python benchmarks/null_studies.py --studies {studies}` (seed {SEED}): {studies:,} studies without and",
        f"{studies:,} with a planted saving of {100 * SAVING:.0f} % in each row, {DRAWS} re-drawn allocations for each test, level",
        f"{100 * ALPHA:.0f} %. Allocations are drawn, and drawn again, by the protocol's own procedure. Times are drawn from the model",
        "that is fitted: standard deviations of log time 0.25 between raters, 0.4 between cases, 0.25 between readings; learning, a second",
        "reading that is faster, and a slope over the count of lesions. *Spread* is the standard deviation, between raters and between",
        "cases, of what the arm does to log time. In brackets the standard error of a share, in percentage points.",
        "",
        "## Studies without a saving that are rejected, %",
        "",
        "*Primary* rejects where both the re-draw and the t test do. The next columns are these two, and the mixed model with",
        f"Kenward-Roger, fitted to every {MIXED_EVERY}th study.",
        "",
        "| Raters x cases | Design | Spread | Primary | Re-draw alone | t alone | Mixed model |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, null, _ in found:
        shares = [percent(null[name], studies) for name in ("rejected", "by_redraw", "by_t")]
        shares.append(percent(null["by_mixed"], len(range(0, studies, MIXED_EVERY))) if null["mixed"] else "")
        lines.append(f"| {row.raters} x {row.cases} | {row.what} | {row.spread[0]:g}, {row.spread[1]:g} | {' | '.join(shares)} |")
    lines += ["", f"## Studies with a saving of {100 * SAVING:.0f} %", ""]
    lines += ["| Raters x cases | Design | Spread | Intervals that hold it, % | Power, % | Median width, log time | Bias, log time |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row, _, planted in found:
        told = f"{percent(planted['covered'], studies)} | {percent(planted['rejected'], studies)}"
        told += f" | {planted['width']:.3f} | {planted['bias']:+.4f}"
        lines.append(f"| {row.raters} x {row.cases} | {row.what} | {row.spread[0]:g}, {row.spread[1]:g} | {told} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-mixed", action="store_true", help="do not fit the mixed model, which takes most of the time")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "null_studies.md")
    options = parser.parse_args(arguments)
    rows = (ROWS[0], ROWS[-1]) if options.quick else ROWS
    studies = 50 if options.quick else options.studies
    found = []
    for row in rows:
        designs = prepare(row)
        both = [simulate(row, designs, saving, studies, mixed=not options.no_mixed and not saving) for saving in (0.0, SAVING)]
        print(json.dumps({"row": f"{row.raters} x {row.cases}, {row.what}, {row.spread}", "null": both[0], "planted": both[1]}), flush=True)
        found.append((row, both[0], both[1]))
    if not options.quick:
        options.out.write_text(document(found), encoding="utf-8")


if __name__ == "__main__":
    main()

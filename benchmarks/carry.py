"""What the slices between gain when every few slices of a mask are corrected: carried, filled, or learnt.

    python benchmarks/carry.py            makes docs/results/carry.md from the labelled real cases (minutes)

Some slices, evenly over the tumour's height, are redrawn by the simulated hand of the correction-effort benchmark; the
overlap is that of the other slices alone.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from effort.cases import TUNING, Subject, brain_box, real_subject, starting_mask
from effort.hand import Hand

from napari_tumorseg.editing.carry import CarryParams, carry
from napari_tumorseg.editing.interpolate import InterpolateParams, interpolate
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.inference.prompted.learn import learn

ROOT = Path(__file__).resolve().parents[1]
START = "brats17-cascade"
COUNTS = (5, 10, 20)
WAYS = ("as the model left it", "filled between slices", "carried", "learnt")
Labels = npt.NDArray[np.uint8]

HEAD = """# Corrections carried between slices

Remade by `python benchmarks/carry.py`. Masks of {start} on six gliomas (those that constants are chosen on; in-sample for
the model). Some axial slices, evenly over the tumour's height, are redrawn by a hand that is off by 0.5 mm (standard deviation);
the table gives the Dice of **all other slices**, median over the cases. Apart is the median distance between redrawn
slices. *Filled* forgets the model's mask and fills between the redrawn slices (`editing.interpolate`), *carried* carries
the change (`editing.carry`), *learnt* learns from the redrawn slices and the images (`inference.prompted.learn`).

Carrying mends the outline and the large classes, less than learning does; the thin enhancing rim comes out worse than the
model left it. It needs no image and a fraction of a second, and is meant for a shift or a cut that neighbouring slices share.

"""


def redrawn(truth: npt.NDArray[np.uint8], hand: Hand, spacing_mm: tuple[float, float]) -> Labels:
    """Return a slice as a hand draws it: the tumour's outline first, then each class inside."""
    out = np.zeros_like(truth)
    tumour = hand.drawn(truth > 0, spacing_mm)
    for value in sorted((int(v) for v in np.unique(truth) if v), key=lambda v: -np.count_nonzero(truth == v)):
        drawn = hand.drawn(truth == value, spacing_mm) & tumour
        out[drawn] = value
    # What no class was drawn over belongs to the largest.
    if tumour.any():
        out[tumour & (out == 0)] = np.bincount(truth[truth > 0]).argmax()
    return out


def written(labels: Labels, found: Draft | None) -> Labels:
    """Return the labels with a draft written."""
    out = labels.copy()
    if found is not None:
        out[found.box.slices] = found.labels
    return out


def measured(subject: Subject, start: Labels, count: int) -> tuple[float, dict[str, dict[str, float]]]:
    """Return how far apart the redrawn slices are in mm, and by way and region the Dice of the others."""
    truth, grid = subject.truth, subject.grid
    heights = np.flatnonzero((truth > 0).any((1, 2)))
    keys = np.unique((heights[0] + (np.arange(count) + 0.5) / count * (heights[-1] + 1 - heights[0])).astype(int))
    hand = Hand(0)
    now = start.copy()
    for z in keys:
        now[z] = redrawn(truth[z], hand, grid.spacing_mm[1:])
    known = np.zeros(truth.shape, bool)
    known[keys] = True
    alone = np.where(known, now, 0).astype(np.uint8)
    scope = Scope(now, grid, subject.schema, 1, before=start, checked=frozenset((0, int(z)) for z in keys))
    fill = InterpolateParams(labels="every label", max_gap_mm=60.0)
    masks = {WAYS[0]: now, WAYS[1]: written(alone, interpolate(Scope(alone, grid, subject.schema, 1), Target(), fill))}
    masks[WAYS[2]] = written(now, carry(scope, Target(), CarryParams(max_gap_mm=60.0)))
    found = learn(subject.images, grid, now, known, start)
    masks[WAYS[3]] = written(now, Draft(found.box, found.labels))
    rest = ~known
    regions = {"WT": (lambda m: m > 0)} | {e.name: (lambda m, v=e.value: m == v) for e in subject.schema.labels}
    scores = {way: {name: dice(of(mask)[rest], of(truth)[rest]) for name, of in regions.items()} for way, mask in masks.items()}
    return float(np.median(np.diff(keys)) * grid.spacing_mm[0]), scores


def dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Return the overlap."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def cropped(whole: Subject, start: Labels) -> tuple[Subject, Labels]:
    """Return a case and a mask cut to the brain."""
    box = brain_box(whole.images, whole.grid.shape)
    images = {m: np.ascontiguousarray(i[box.slices]) for m, i in whole.images.items()}
    subject = Subject(whole.name, images, whole.grid.crop(box), whole.schema, np.ascontiguousarray(whole.truth[box.slices]))
    return subject, np.ascontiguousarray(start[box.slices])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TUMORSEG_TEST_DATA") or ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "carry.md")
    options = parser.parse_args()
    found: dict[int, list[tuple[float, dict[str, dict[str, float]]]]] = {count: [] for count in COUNTS}
    for name in TUNING:
        whole = real_subject(options.data / "brain_mri" / "brats2018" / name)
        subject, start = cropped(whole, starting_mask(whole, START, options.data / "weights" / "brats17_wang_cascade"))
        for count in COUNTS:
            found[count].append(measured(subject, start, count))
            print(name, count, found[count][-1], flush=True)
    regions = list(found[COUNTS[0]][0][1][WAYS[0]])
    lines = [f"| slices redrawn | apart, mm | mask | {' | '.join(regions)} |", "|---" * (3 + len(regions)) + "|"]
    for count, rows in found.items():
        for way in WAYS:
            cells = [f"{np.median([scores[way][region] for _, scores in rows]):.3f}" for region in regions]
            lines.append(f"| {count} | {np.median([apart for apart, _ in rows]):.0f} | {way} | {' | '.join(cells)} |")
    options.out.write_text(HEAD.format(start=START) + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

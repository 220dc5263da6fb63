"""How long the lesion table takes to follow a stroke, beside labelling the whole mask anew.

    python benchmarks/lesion_table.py
    python benchmarks/lesion_table.py --quick

A phantom mask holds balls of two diameters that do not touch. A brush stroke (a disc of 10 mm in one slice) is written to the
document at the edge of a lesion, painting, erasing or cutting it in two, and undone. "index" is what the table needs: lesions,
volumes, make-up, diameters and the rows. The peers label the whole mask by connected-components-3d (with its statistics) and by
scipy (label, objects, counts, centres), without make-up or diameters. All are timed in one process, medians in milliseconds.
Exit code 1 means that on the large volume a stroke takes 50 ms or more, or less than ten times less than the fastest peer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.core.document import Change, MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.lesion_index import LesionIndex

SMALL, LARGE = (155, 240, 240), (400, 512, 512)
GOAL_MS, GOAL_RATIO = 50.0, 10.0
_BRUSH_MM = 10.0


def phantom(shape: tuple[int, int, int], lesions: int, diameter_mm: float, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Return a mask of balls with a rim and a core on a lattice; every second one has half the diameter."""
    labels = np.zeros(shape, np.uint8)
    per_axis = int(np.ceil(lesions ** (1 / 3)))
    size = np.array(shape) * spacing_mm
    places = [(np.array(i) + 0.5) / per_axis * size for i in np.ndindex(per_axis, per_axis, per_axis)][:lesions]
    for number, place in enumerate(places):
        radius = diameter_mm / (2 if number % 2 == 0 else 4)
        low = np.maximum(0, np.floor((place - radius) / spacing_mm)).astype(int)
        high = np.minimum(shape, np.ceil((place + radius) / spacing_mm).astype(int) + 1)
        block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = [(np.arange(a, b) * s - c) ** 2 for a, b, s, c in zip(low, high, spacing_mm, place, strict=True)]
        away = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None]
        labels[block][away < radius**2] = 3
        labels[block][away < (0.5 * radius) ** 2] = 1
    return labels


def timed(act: Callable[[], Any]) -> float:
    """Return the milliseconds that a call takes."""
    started = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - started)


def whole_cc3d(labels: np.ndarray) -> None:
    """Label the whole mask by connected-components-3d, with its statistics."""
    import cc3d

    parts = cc3d.connected_components(np.isin(labels, (1, 2, 3)).view(np.uint8), connectivity=26)
    cc3d.statistics(parts)


def whole_scipy(labels: np.ndarray) -> None:
    """Label the whole mask by scipy, with boxes, counts and centres."""
    from scipy import ndimage

    parts, count = ndimage.label(np.isin(labels, (1, 2, 3)), np.ones((3, 3, 3)))
    ndimage.find_objects(parts)
    np.bincount(parts.ravel())
    ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))


def strokes(document: MaskDocument, index: LesionIndex, spacing_mm: tuple[float, float, float]) -> list[tuple[str, Box, np.ndarray]]:
    """Return strokes at the largest lesion: grow it, take a bite, cut it through in one slice, relabel inside."""
    row = index.view().lesions[0]
    middle = [(a + b) // 2 for a, b in zip(row.box_start, row.box_stop, strict=True)]
    half = [max(1, round(_BRUSH_MM / 2 / s)) for s in spacing_mm]
    found = []
    for name, x, value in (
        ("grow", row.box_stop[2], 3),
        ("bite", row.box_stop[2] - 1, 0),
        ("hole", middle[2], 0),
        ("relabel", middle[2], 2),
    ):
        start = (middle[0], max(0, middle[1] - half[1]), max(0, x - half[2]))
        stop = (middle[0] + 1, min(document.grid.shape[1], middle[1] + half[1] + 1), min(document.grid.shape[2], x + half[2] + 1))
        box = Box(start, stop)
        new = document.labels[box.slices].copy()
        y, c = np.ogrid[: new.shape[1], : new.shape[2]]
        disc = ((y - half[1]) * spacing_mm[1]) ** 2 + ((c - half[2]) * spacing_mm[2]) ** 2 <= (_BRUSH_MM / 2) ** 2
        new[0][disc] = value
        found.append((name, box, new))
    whole = Box((row.box_start[0], row.box_start[1], middle[2]), (row.box_stop[0], row.box_stop[1], middle[2] + 1))
    found.append(("cut in two", whole, np.zeros(whole.shape, np.uint8)))
    return found


def measure(shape: tuple[int, int, int], lesions: int, diameter_mm: float, repeats: int) -> dict[str, Any]:
    """Return the times of one phantom."""
    spacing_mm = (1.0, 1.0, 1.0) if shape == SMALL else (0.6, 0.5, 0.5)
    labels = phantom(shape, lesions, diameter_mm, spacing_mm)
    document = MaskDocument(labels, Grid.from_spacing(shape, spacing_mm), preset("brats-mets-2025"))
    indexes: list[LesionIndex] = []
    build_ms = timed(lambda: indexes.append(LesionIndex.of(document)))
    (index,) = indexes
    taken: list[float] = []

    def follow(change: Change) -> None:
        taken.append(timed(lambda: (index.follow(change, document.labels), index.view(), index.regions_ml)))

    document.listen(follow)
    by_stroke: dict[str, float] = {}
    # What is imported at the first stroke of a process is not the stroke's.
    _, box, new = strokes(document, index, spacing_mm)[-1]
    document.write(box, new, Origin(PatchSource.HAND, "paint"))
    document.undo()
    for name, box, new in strokes(document, index, spacing_mm):
        taken.clear()
        for _ in range(repeats):
            document.write(box, new, Origin(PatchSource.HAND, "paint"))
            document.undo()
        by_stroke[name] = statistics.median(taken)
        by_stroke[f"{name}, worst"] = max(taken)
    # The peers take seconds on the large volume.
    few = 2
    peers = {
        "cc3d": statistics.median(timed(lambda: whole_cc3d(document.labels)) for _ in range(few)),
        "scipy": statistics.median(timed(lambda: whole_scipy(document.labels)) for _ in range(few)),
    }
    return {
        "shape": shape,
        "lesions": len(index.numbers),
        "diameter_mm": diameter_mm,
        "build_ms": build_ms,
        "strokes_ms": by_stroke,
        "peers_ms": peers,
        "worst_ms": max(by_stroke.values()),
        "ratio": min(peers.values()) / max(v for k, v in by_stroke.items() if not k.endswith("worst")),
    }


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small volume alone, few repeats; nothing is judged")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    cases = [(SMALL, 12, 30.0)] if args.quick else [(SMALL, 12, 30.0), (SMALL, 200, 12.0)]
    cases += [] if args.quick else [(LARGE, 40, 30.0), (LARGE, 400, 12.0), (LARGE, 2, 90.0)]
    rows = [measure(*case, 3 if args.quick else 9) for case in cases]
    names = list(rows[0]["strokes_ms"])[::2]
    print(f"{'volume':>13} {'lesions':>7} {'mm':>4} {'build':>7}" + "".join(f" {n:>10}" for n in names) + "   worst    cc3d   scipy  ratio")
    for row in rows:
        size = "x".join(map(str, row["shape"]))
        cells = "".join(f" {row['strokes_ms'][name]:10.2f}" for name in names)
        peers = f"{row['worst_ms']:8.2f}{row['peers_ms']['cc3d']:8.0f}{row['peers_ms']['scipy']:8.0f}{row['ratio']:7.0f}"
        print(f"{size:>13} {row['lesions']:7d} {row['diameter_mm']:4.0f} {row['build_ms']:7.0f}{cells}{peers}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))
    judged = [row for row in rows if tuple(row["shape"]) == LARGE and row["lesions"] == 40]
    return 0 if all(row["worst_ms"] < GOAL_MS and row["ratio"] >= GOAL_RATIO for row in judged) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The bench beside napari's own painting, and all other measurements of editing, in one run.

    python benchmarks/editing.py              everything: strokes and undo, journal, lesion table, tools
    python benchmarks/editing.py --strokes    strokes and undo alone
    python benchmarks/editing.py --quick      everything on small volumes, few repeats

A stroke is what the mouse does between press and release: 20 moves of about 3 voxels. napari's own
Labels layer and ours, with its document, patches and a journal on disk, paint the same strokes with
the same brush, in turns A B A B in one process. Between strokes the journal's thread gets its time, as
it does from a hand; drawing on the screen is not part of it, it is the same for both. On a machine
that is busy with other things the times say little.

The other parts are run as programs of their own: `journal.py`, `lesion_table.py` and
`editing_tools.py`, which say what they compare. Exit code 1 means that one of them found a result
that differs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels

from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.workflows.scene import Scene

HERE = Path(__file__).parent
PARTS = ("journal.py", "lesion_table.py", "editing_tools.py")
VOLUMES = (((155, 240, 240), (1.0, 1.0, 1.0)), ((400, 512, 512), (1.0, 0.8, 0.8)))
QUICK = (((40, 120, 120), (1.0, 1.0, 1.0)),)
BRUSHES = (10, 40)
MOVES = 20

Point = tuple[float, float, float]


def path_of(shape: tuple[int, int, int], brush: int, rng: np.random.Generator) -> list[Point]:
    """Return the places of a stroke, in the middle slice, away from the border."""
    edge = brush + 4
    y, x = rng.uniform(edge, shape[1] - edge), rng.uniform(edge, shape[2] - edge)
    turn = rng.uniform(0, 2 * np.pi)
    points = []
    for _ in range(MOVES):
        turn += rng.normal(0, 0.4)
        y = float(np.clip(y + 3 * np.sin(turn), edge, shape[1] - edge))
        x = float(np.clip(x + 3 * np.cos(turn), edge, shape[2] - edge))
        points.append((float(shape[0] // 2), y, x))
    return points


def stroke(layer: Labels, label: int, points: list[Point]) -> float:
    """Do what napari's mouse callback does between press and release; return the seconds."""
    begin = time.perf_counter()
    with layer.block_history():
        before = points[0]
        for point in points:
            layer._draw(label, before, point)
            before = point
    return time.perf_counter() - begin


def measure(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], brush: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Paint the same strokes with both; return times in ms, their ratio, undo times, whether the masks are equal."""
    grid = Grid.from_spacing(shape, spacing_mm, "IPL")
    document = MaskDocument(np.zeros(shape, np.uint8), grid, preset("brats-mets-2025"))
    journal = Journal(folder / f"{shape[0]}-{brush}.journal", Task.of(document, "phantom", "mask"), document)
    recorder = Recorder(document, journal)
    ours = MaskLayer(document, Scene(grid), "ours")
    stock = Labels(np.zeros(shape, np.uint8), scale=spacing_mm)
    viewers = [ViewerModel() for _ in range(2)]
    for viewer, layer in zip(viewers, (stock, ours.layer), strict=True):
        viewer.add_layer(layer)
        layer.mode = "paint"
        layer.contour = 1
    stock.brush_size = brush
    # napari's radius is that of an odd number of voxels.
    ours.brush_mm = (2 * (brush // 2) + 1) * min(spacing_mm[1:])
    rng = np.random.default_rng(0)
    times: list[tuple[float, float]] = []
    journal.flush(60.0)
    for number in range(repeats + 5):
        points = path_of(shape, brush, rng)
        times.append((stroke(stock, 1 + number % 3, points), stroke(ours.layer, 1 + number % 3, points)))
        # A hand leaves the journal's thread its time before the next stroke.
        journal.flush(60.0)
    times = times[5:]
    equal = bool(np.array_equal(stock.data, document.labels))
    undone = []
    for _ in range(min(repeats, 40)):
        begin = time.perf_counter()
        document.undo()
        undone.append(time.perf_counter() - begin)
    recorder.stop()
    ours.close()
    written = journal.close()
    return {
        "shape": shape,
        "brush_voxels": brush,
        "napari_ms": 1e3 * statistics.median(a for a, _ in times),
        "ours_ms": 1e3 * statistics.median(b for _, b in times),
        "ratio": statistics.median(b / a for a, b in times),
        "undo_ms": 1e3 * statistics.median(undone),
        "undo_slowest_ms": 1e3 * max(undone),
        "same_mask": equal,
        "journal_written": written,
    }


def main() -> int:
    """Measure, print, run the other parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", action="store_true", help="strokes and undo alone")
    parser.add_argument("--quick", action="store_true", help="small volumes, few repeats")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--json", type=Path, help="also write the numbers of the strokes to this file")
    args = parser.parse_args()
    rows = []
    print("A brush stroke of 20 moves, written to document and journal, beside napari's own; goal at most 1.3 times, undo under 20 ms\n")
    print("| volume | brush | napari ms | ours ms | ratio | undo ms (slowest) | same mask |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for shape, spacing_mm in QUICK if args.quick else VOLUMES:
            for brush in BRUSHES:
                row = measure(shape, spacing_mm, brush, 5 if args.quick else args.repeats, Path(folder))
                rows.append(row)
                size = " x ".join(str(n) for n in shape)
                print(
                    f"| {size} | {brush} | {row['napari_ms']:.1f} | {row['ours_ms']:.1f} | {row['ratio']:.2f} "
                    f"| {row['undo_ms']:.2f} ({row['undo_slowest_ms']:.1f}) | {'yes' if row['same_mask'] else 'NO'} |",
                    flush=True,
                )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))
    failed = not all(row["same_mask"] and row["journal_written"] for row in rows)
    if not args.strokes:
        for part in PARTS:
            print(f"\n{part}\n", flush=True)
            done = subprocess.run([sys.executable, str(HERE / part), *(["--quick"] if args.quick else [])], check=False)
            failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

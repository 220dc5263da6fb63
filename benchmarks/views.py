"""How long the window takes: opening the four linked views, and drawing a stroke in all of them. Needs a display, e.g. xvfb-run.

Run: xvfb-run -a -s "-screen 0 1920x1080x24" python benchmarks/views.py [--quick] [--profile FILE]

Opening is measured until the three planes are drawn; the goal is 2 s on a machine that does nothing else, with a software
renderer. A stroke is a change of the mask as a brush makes it: until the lesion table has followed and every view is drawn.
Processor seconds of this process stand beside those of the clock, as on a busy machine the clock measures the other programs.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SHAPES = {"155x240x240": ((155, 240, 240), (1.0, 1.0, 1.0)), "400x512x512": ((400, 512, 512), (1.0, 0.7, 0.7))}
GOAL_S = 2.0


def make_case(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], sequences: int):
    """Return a case with noisy images and a mask with twelve balls."""
    from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, TimePoint
    from napari_tumorseg.core.grid import Grid
    from napari_tumorseg.core.labels import preset
    from napari_tumorseg.core.volume import Volume

    rng = np.random.default_rng(0)
    grid = Grid.from_spacing(shape, spacing_mm)
    names = ("T1c", "T1", "T2", "FLAIR")[:sequences]
    volumes = {name: Volume(rng.integers(0, 1000, shape, np.int16).astype(np.float32), grid, name) for name in names}
    labels = np.zeros(shape, np.uint8)
    at = np.ogrid[tuple(slice(-9, 10) for _ in range(3))]
    ball = at[0] ** 2 + at[1] ** 2 + at[2] ** 2 < 80
    for _ in range(12):
        z, y, x = (int(rng.integers(20, n - 20)) for n in shape)
        labels[z - 9 : z + 10, y - 9 : y + 10, x - 9 : x + 10][ball] = 3
    mask = MaskVersion(labels, grid, preset("brats-mets-2025"), MaskKind.AI, "net")
    return Case("bench", (TimePoint(volumes, {"mask": (mask,)}),))


class Clock:
    """Seconds by the clock and of the processor, from when it is made."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return both."""
        return time.perf_counter() - self.start[0], time.process_time() - self.start[1]


def until(done: Callable[[], bool], seconds: float = 120.0) -> None:
    """Let the window work until it is so."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while not done():
        assert time.perf_counter() < end, "took too long"
        QApplication.processEvents()


def draw(views) -> None:
    """Draw what waits to be drawn, in every view that is seen."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
    for view in views:
        if view.canvas.isVisible():
            view.canvas.repaint()
    QApplication.processEvents()


def told(what: str, clock: Clock, goal: str = "") -> float:
    """Print one line and return the seconds of the clock."""
    wall, processor = clock.read()
    print(f"{what:<52}{wall:8.2f} s{processor:8.2f} s {goal}")
    return wall


def measure(name: str, sequences: int, profile: Path | None) -> bool:
    """Print the table of one volume and return whether the goal is met."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_tumorseg.core.document import Origin, PatchSource
    from napari_tumorseg.core.grid import Box
    from napari_tumorseg.widgets.launch import open_dock
    from napari_tumorseg.widgets.linked_views import LinkedViews
    from napari_tumorseg.widgets.napari_adapter import main_window

    viewer = napari.Viewer(show=True)
    main_window(viewer).resize(1600, 1000)
    session = open_dock(viewer).session
    session.open_case(make_case(*SHAPES[name], sequences))
    until(lambda: session.lesions.up_to_date)
    draw([session.view.main])
    print(f"\n{name}, {sequences} sequences{'':<30}{'clock':>8}  {'processor':>8}   load {os.getloadavg()[0]:.1f}")
    views = LinkedViews.of(session)
    profiler = cProfile.Profile() if profile is not None else None
    clock = Clock()
    if profiler is not None:
        profiler.enable()
    views.set_on(True)
    told("four views: made", clock)
    while not all(side.canvas.drawn for side in views.sides):
        QApplication.processEvents()
    wall = told("four views: three planes drawn", clock, f"goal {GOAL_S:.0f} s")
    if profiler is not None:
        profiler.disable()
        profiler.dump_stats(str(profile))
    until(lambda: views.surface is not None and views.surface.up_to_date)
    draw(views.views)
    told("four views: the 3-D view drawn, too", clock)
    stroke = np.array([[(a - 7) ** 2 + (b - 7) ** 2 < 50 for a in range(15)] for b in range(15)])[None]
    times: dict[str, list[float]] = {"the mask and the lesion table": [], "the other views, refreshed and drawn": []}
    # With the 3-D view off, as its surface is made later, when nothing is painted.
    views.show_three_d(False)
    row = session.lesions.rows[0]
    session.focus.go_to(row)
    draw(views.views)
    document = session.active.document
    for number in range(20):
        box = Box(*_around([(a + b) // 2 for a, b in zip(row.box_start, row.box_stop, strict=True)], number))
        labels = np.where(stroke, np.uint8(1 + number % 3), document.labels[box.slices])
        start = time.process_time()
        document.write(box, labels, Origin(PatchSource.HAND, "paint", "A.B."))
        middle = time.process_time()
        draw(views.views)
        for kind, seconds in zip(times, (middle - start, time.process_time() - middle), strict=True):
            times[kind].append(1000 * seconds)
    for kind, ms in times.items():
        print(f"stroke: {kind:<44}{statistics.median(ms):8.1f} ms, most {max(ms):.1f} ms (processor)")
    for mask in session.masks:
        mask.mark_saved(mask.document.revision, mask.document.review, Path(tempfile.gettempdir()))
    session.close_case()
    viewer.close()
    return wall < GOAL_S


def _around(middle: list[int], shift: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    z, y, x = middle[0], middle[1] - 7 + shift % 5, middle[2] - 7 + shift // 5
    return (z, y, x), (z + 1, y + 15, x + 15)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small volume only")
    parser.add_argument("--profile", type=Path, help="write a profile of opening the four views on the small volume")
    args = parser.parse_args(arguments)
    os.environ.setdefault("TUMORSEG_HOME", tempfile.mkdtemp())
    fine = measure("155x240x240", 4, args.profile)
    if not args.quick:
        measure("400x512x512", 1, None)
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())

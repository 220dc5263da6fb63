"""What the journal costs: 10,000 brush strokes with and without it, undo, memory, file and reopening, and an hour at the screen.

Run: python benchmarks/journal.py [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np

from napari_tumorseg.annotation.coverage import SceneFrame, coverage_of, displayed
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.rehearsal import HandClock
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.annotation.timeline import timeline_of
from napari_tumorseg.annotation.timing import task_timing
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset

#: Name, shape (z, y, x), spacing (z, y, x) in mm.
VOLUMES = (("155x240x240", (155, 240, 240), (1.0, 1.0, 1.0)), ("400x512x512", (400, 512, 512), (1.0, 0.7, 0.7)))
SEED = 20261124


def strokes(shape: tuple[int, int, int], count: int) -> list[tuple[Box, np.ndarray, int]]:
    """Return boxes, which voxels of each are painted, and labels: drags of a round brush in a slice, one in ten of a ball.

    Brushes are 5 to 21 voxels wide, drags up to 40 voxels long, around forty lesions.
    """
    rng = np.random.default_rng(SEED)
    lesions = [[int(rng.integers(40, n - 40)) for n in shape] for _ in range(40)]
    made = []
    for _ in range(count):
        radius = int(rng.integers(2, 11))
        length = int(rng.integers(0, 40))
        deep = radius if rng.random() < 0.1 else 0
        z, y, x = (c + int(rng.integers(-8, 9)) for c in lesions[int(rng.integers(40))])
        half = (deep, radius, radius + length // 2)
        start = [max(0, c - h) for c, h in zip((z, y, x), half, strict=True)]
        stop = [min(n, c + h + 1) for c, h, n in zip((z, y, x), half, shape, strict=True)]
        box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        at = np.ogrid[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        beyond = np.maximum(np.abs(at[2] - x) - length // 2, 0)
        made.append((box, (at[0] - z) ** 2 + (at[1] - y) ** 2 + beyond**2 <= radius**2, int(rng.integers(0, 4))))
    return made


def new(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> MaskDocument:
    """Return an empty document."""
    return MaskDocument(np.zeros(shape, np.uint8), Grid.from_spacing(shape, spacing_mm), preset("brats-mets-2025"))


def paint(document: MaskDocument, made: list[tuple[Box, np.ndarray, int]], pause_s: float = 0.0) -> list[float]:
    """Write all strokes and return the milliseconds that each took the caller; with a pause, as a hand leaves one."""
    taken = []
    rest = threading.Event()
    for box, inside, label in made:
        labels = np.where(inside, np.uint8(label), document.labels[box.slices])
        start = time.perf_counter()
        document.write(box, labels, Origin(PatchSource.HAND, "paint", "A.B."))
        taken.append((time.perf_counter() - start) * 1000)
        if pause_s:
            rest.wait(pause_s)
    return taken


def line(name: str, ms: list[float]) -> str:
    """Return median, 95th percentile and maximum in one line."""
    ordered = sorted(ms)
    return f"{name:<44}{statistics.median(ms):9.3f}{ordered[int(0.95 * (len(ms) - 1))]:9.3f}{ordered[-1]:9.1f}"


def measure(name: str, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], count: int) -> None:
    """Print the table of one volume."""
    made = strokes(shape, count)
    few = made[: min(200, count)]
    print(f"\n{name}, {count:,} strokes{'':<18}{'median':>9}{'p95':>9}{'max':>9}  ms")
    paint(new(shape, spacing_mm), few)  # warm up
    print(line("stroke, no journal, no pause", paint(new(shape, spacing_mm), made)))
    print(line("stroke, no journal, 20 ms apart", paint(new(shape, spacing_mm), few, 0.02)))
    with tempfile.TemporaryDirectory() as folder:
        slow = new(shape, spacing_mm)
        journal = Journal(Path(folder) / "slow.journal", Task.of(slow, "case", "mask"), slow)
        Recorder(slow, journal)
        journal.flush(60)
        print(line("stroke, journal, 20 ms apart", paint(slow, few, 0.02)))
        journal.close()
        path = Path(folder) / "a.journal"
        document = new(shape, spacing_mm)
        journal = Journal(path, Task.of(document, "case", "mask"), document)
        Recorder(document, journal)
        journal.flush(60)
        print(line("stroke, journal, no pause", paint(document, made)))
        events = []
        for n in range(5000):
            start = time.perf_counter()
            journal.event("pointer", act="move", view="main", at=[n, 0, 0], button=0)
            events.append((time.perf_counter() - start) * 1000)
        print(line("event at the screen", events))
        back = []
        for _ in range(min(100, count)):
            start = time.perf_counter()
            document.undo()
            back.append((time.perf_counter() - start) * 1000)
        print(line("undo, with the journal", back))
        for _ in back:
            document.redo()
        labels = document.labels.copy()
        assert journal.close(60)
        print(f"{'journal on the disk':<44}{path.stat().st_size / 1e6:9.2f}  MB")
        start = time.perf_counter()
        with JournalReader(path) as reader:
            again = reader.document()
        print(f"{'reopening: labels, undo and redo':<44}{time.perf_counter() - start:9.2f}  s")
        assert np.array_equal(again.labels, labels)
        assert again.revision == document.revision
        start = time.perf_counter()
        with JournalReader(path) as reader:
            assert reader.verify().ok
        print(f"{'verifying the chain':<44}{time.perf_counter() - start:9.2f}  s")
    # Last, because tracing slows all down. The mask itself is not counted.
    traced = new(shape, spacing_mm)
    tracemalloc.start()
    paint(traced, made)
    held = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    print(f"{'memory of the history':<44}{held:9.2f}  MB")


#: Events in a busy second, as the screen tells them: pointer moves are told ten times a second, slices one by one.
_AT = [-12.35, 101.22, 40.01]
BUSY: tuple[tuple[str, int, dict], ...] = (
    ("pointer", 10, {"act": "move", "view": "main", "at": _AT, "button": 0}),
    ("wheel", 4, {"view": "main", "by": 120}),
    ("slice", 8, {"view": "main", "step": [70, 120, 120], "at": _AT, "order": [0, 1, 2], "shown": 2}),
    ("zoom", 1, {"view": "main", "zoom": 3.1416, "centre": _AT, "size": [900, 800]}),
    ("key", 1, {"key": "Up"}),
)


def hour(minutes: int) -> None:
    """Print what it costs to record somebody who never stops, three views linked, and to tell the times again."""
    document = new(*VOLUMES[0][1:])
    rng = np.random.default_rng(SEED)
    clock = HandClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.journal"
        journal = Journal(path, Task.of(document, "case", "mask"), document, clock=clock.clock)
        journal.flush(60)
        empty = path.stat().st_size
        journal.event("shown", volumes=["T1c"])
        told, spent = 0, 0.0
        for second in range(60 * minutes):
            start = time.perf_counter()
            for kind, count, data in BUSY:
                for _ in range(count):
                    journal.event(kind, **{**data, "n": int(rng.integers(1000))})
                    told += 1
            spent += time.perf_counter() - start
            clock.work(1)
            # As the journal's own thread does it once a second.
            if second % 20 == 0:
                journal.event("beat")
            journal.flush(60)
        journal.event("saved", name="submit")
        assert journal.close(60)
        size = path.stat().st_size - empty
        print(f"\nSomebody who never stops, {minutes} minutes")
        print(f"{'events':<44}{told / (60 * minutes):9.1f}  a second, {1e6 * spent / told:.1f} us each")
        print(f"{'events the record could take':<44}{told / spent:9.0f}  a second")
        print(f"{'journal':<44}{size / 1e6 * 60 / minutes:9.2f}  MB an hour, {size / told:.0f} bytes an event")
        start = time.perf_counter()
        with JournalReader(path) as reader:
            timing = task_timing(reader)
        print(f"{'telling the times':<44}{time.perf_counter() - start:9.2f}  s, {timing.primary_s / 60:.1f} minutes")
        start = time.perf_counter()
        with JournalReader(path) as reader:
            shape, spacing_mm = VOLUMES[0][1:]
            frame = SceneFrame(shape, spacing_mm, (-73.0, -108.5, -140.25))
            coverage_of(displayed(timeline_of(reader), frame), frame)
        print(f"{'telling the coverage':<44}{time.perf_counter() - start:9.2f}  s")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 strokes on the small volume")
    quick = parser.parse_args(arguments).quick
    for name, shape, spacing_mm in VOLUMES[:1] if quick else VOLUMES:
        measure(name, shape, spacing_mm, 200 if quick else 10_000)
    hour(2 if quick else 60)


if __name__ == "__main__":
    main()

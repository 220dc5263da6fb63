"""What a long correction costs when it is opened again: 10,000 strokes replayed step by step, exported, and restored.

Run: python benchmarks/replay.py [--quick]

Goals: reading the record and standing at its end in under 2 s, any single step in under 100 ms, restoring the mask with its
lesions and its whole undo in under 2 s. Exit code 1 means that one was missed. The strokes are those of benchmarks/journal.py.
Times are processor seconds, as on a busy machine the clock measures the other programs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from journal import VOLUMES, new, strokes

from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.replay import Replay
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.lesion_ledger import LesionLedger, restored_ledger
from napari_tumorseg.workflows.timelapse import TimelapseRequest, export_timelapse

OPEN_S, STEP_MS = 2.0, 100.0
_T = TypeVar("_T")


def record(path: Path, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], count: int) -> MaskDocument:
    """Write a journal of so many strokes with what is noted of the lesions, and return the mask at its end."""
    document = new(shape, spacing_mm)
    journal = Journal(path, Task.of(document, "case", "mask"), document)
    Recorder(document, journal)
    journal.flush(60)
    ledger = LesionLedger.of(document)
    ledger.record_to(journal.note)
    document.listen(lambda change: ledger.follow([ledger.pair(change)]))
    start = time.perf_counter()
    for box, inside, label in strokes(shape, count):
        labels = np.where(inside, np.uint8(label), document.labels[box.slices])
        document.write(box, labels, Origin(PatchSource.HAND, "paint", "A.B."))
    print(f"{'drawn, journal and lesions followed':<44}{time.perf_counter() - start:9.2f}  s")
    assert journal.close(120)
    print(f"{'journal on the disk':<44}{path.stat().st_size / 1e6:9.2f}  MB")
    return document


def timed(what: str, act: Callable[[], _T]) -> tuple[_T, float]:
    """Do it, print the seconds, and return both."""
    start = time.process_time()
    result = act()
    seconds = time.process_time() - start
    print(f"{what:<44}{seconds:9.2f}  s")
    return result, seconds


def opened(path: Path) -> Replay:
    """Read the record and go to its end, as the window does."""
    with JournalReader(path) as reader:
        replay = Replay(reader.steps())
    replay.seek(len(replay))
    return replay


def restored(path: Path) -> tuple[MaskDocument, LesionLedger]:
    """Bring the mask and its lesions back."""
    with JournalReader(path) as reader:
        steps = reader.steps()
        document = reader.document(steps)
        return document, restored_ledger(reader, steps, document)


def measure(name: str, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], count: int) -> bool:
    """Print the table of one volume and return whether the goals are met."""
    print(f"\n{name}, {count:,} strokes")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.journal"
        document = record(path, shape, spacing_mm, count)
        replay, open_s = timed("opened: record read, at its end", lambda: opened(path))
        assert np.array_equal(replay.labels, document.labels)
        ms = []
        rng = np.random.default_rng(0)
        for _ in range(100):
            # A neighbour, and anywhere: the slider may be dragged.
            for index in (max(0, replay.index - 1), int(rng.integers(0, len(replay) + 1))):
                start = time.process_time()
                replay.seek(index)
                ms.append(1000 * (time.process_time() - start))
        near, far = ms[::2], ms[1::2]
        print(f"{'step to a neighbour, median and most':<44}{statistics.median(near):9.2f} {max(near):9.2f}  ms")
        print(f"{'step to anywhere, median and most':<44}{statistics.median(far):9.2f} {max(far):9.2f}  ms")
        _, play_s = timed("played from start to end, nothing drawn", lambda: [step.index for step, _ in replay.play()])
        print(f"{'  for each step':<44}{1000 * play_s / max(1, len(replay)):9.2f}  ms")
        image = Volume(np.zeros(shape, np.float32), document.grid, "T1c")
        request = TimelapseRequest(Path(folder) / "a.gif", seconds=20)
        timed("exported as a GIF of 20 s", lambda: export_timelapse(replay, image, request))
        (again, ledger), restore_s = timed("restored: mask, undo, lesions", lambda: restored(path))
        assert np.array_equal(again.labels, document.labels)
        assert len(again.history.undo) == len(document.history.undo)
        print(f"{'lesions':<44}{len(ledger.view.lesions):9d}")
    return open_s < OPEN_S and restore_s < OPEN_S and max(near) < STEP_MS and max(far) < STEP_MS


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 strokes on the small volume")
    parser.add_argument("--strokes", type=int, default=10_000)
    args = parser.parse_args(arguments)
    done = [measure(*volume, 200 if args.quick else args.strokes) for volume in (VOLUMES[:1] if args.quick else VOLUMES)]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())

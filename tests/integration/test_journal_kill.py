"""Processes that paint are killed at any moment; what they had painted comes back."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.annotation.journal import ENDING
from napari_tumorseg.annotation.reader import JournalReader

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")

TRIALS = 40

#: Paints without end. Each line is written after a step was applied: revision, and the hash of the mask.
PAINTER = """
import hashlib, os, random, sys
from pathlib import Path
import numpy as np
from napari_tumorseg.annotation import journal as module
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset

module._CHECKPOINT_PATCHES = 40
shape = (12, 64, 64)

def begin(path, seed):
    global document, journal, rng, out
    rng = random.Random(seed)
    document = MaskDocument(np.zeros(shape, np.uint8), Grid.from_spacing(shape, (3, 1, 1)), preset("brats-mets-2025"))
    journal = Journal(path, Task.of(document, "case", "mask"), document, wait_s=5.0)
    Recorder(document, journal)
    assert journal.flush()
    # Written by the system, not by a buffer that dies with the process.
    out = os.open(path.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    say()

def say():
    digest = hashlib.sha256(document.labels.tobytes()).hexdigest()
    os.write(out, f"{document.revision} {digest}\\n".encode())

def stroke():
    chance = rng.random()
    if chance < 0.1:
        document.undo()
    elif chance < 0.15:
        document.redo()
    else:
        step = Origin(PatchSource.HAND, "paint")
        for _ in range(rng.choice((1, 1, 1, 3))):
            start = [rng.randrange(n - 6) for n in shape]
            box = Box(tuple(start), tuple(s + rng.randint(1, 6) for s in start))
            document.write(box, np.full(box.shape, rng.randint(0, 4), np.uint8), step)
    journal.event("pointer", at=[document.revision, 0, 0])
    say()
"""

#: Begins a painter for each line that it reads, tells its number, and then that it is dead.
NURSERY = (
    PAINTER
    + """
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        begin(Path(line.strip()), len(line) + hash(line))
        while True:
            stroke()
    print(child, flush=True)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
"""
)


def digest(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()


def lines_of(path: Path) -> list[bytes]:
    """Return the whole lines that a painter has written so far."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def test_a_killed_process_loses_at_most_the_stroke_in_flight(tmp_path: Path) -> None:
    script = tmp_path / "nursery.py"
    script.write_text(NURSERY)
    rng = random.Random(1)
    pause = threading.Event()
    nursery = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    try:
        for trial in range(TRIALS):
            path = tmp_path / f"{trial}{ENDING}"
            nursery.stdin.write(f"{path}\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            # At any moment of its life: after some strokes, somewhere in the next one.
            strokes = rng.randrange(2, 150)
            while len(lines_of(path.with_suffix(".said"))) < strokes:
                pause.wait(0.001)
            pause.wait(rng.random() * 0.003)
            os.kill(child, signal.SIGKILL)
            assert int(nursery.stdout.readline()) == signal.SIGKILL
            check(path, lines_of(path.with_suffix(".said")), trial)
    finally:
        nursery.stdin.close()
        nursery.stdout.close()
        nursery.wait(30)


def check(path: Path, lines: list[bytes], trial: int) -> None:
    said = {int(line.split()[0]): line.split()[1].decode() for line in lines}
    *_, last_but_one, last = sorted(said)
    with JournalReader(path) as reader:
        assert reader.closed is None
        verdict = reader.verify()
        assert verdict.ok, verdict.problem
        again = reader.document()
        steps = reader.steps()
    assert again.revision >= last_but_one, f"trial {trial}: {again.revision} of {last}"
    # All that was acknowledged and is there is there exactly, not only at the end.
    for revision, hashed in list(said.items())[-20:]:
        if revision <= again.revision:
            assert digest(steps.labels_at(revision)) == hashed, f"trial {trial}, revision {revision}"
    np.testing.assert_array_equal(again.labels, steps.labels_at(again.revision))
    # The history is there, too: all the way back, and forth again.
    again.finish_walk()
    final = again.labels.copy()
    count = 0
    while again.undo():
        count += 1
    assert not again.labels.any()
    for _ in range(count):
        again.redo()
    np.testing.assert_array_equal(again.labels, final)


FILLER = (
    PAINTER
    + """
import resource, signal, threading
told = []
path = Path(sys.argv[1])
begin(path, 5)
journal._told = lambda state, line: told.append((state.name, line))
journal._retry_s = 0.02
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = path.with_name(path.name + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20000, resource.RLIM_INFINITY))
for n in range(400):
    stroke()
pause = threading.Event()
for _ in range(500):
    if journal.failing:
        break
    pause.wait(0.01)
assert journal.failing and not journal.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for _ in range(500):
    if journal.flush():
        break
    pause.wait(0.01)
assert journal.close()
for state, line in told:
    print(f"{state}: {line}")
"""
)


def test_a_disk_that_fills_up_is_told_once_and_caught_up_with(tmp_path: Path) -> None:
    script = tmp_path / "filler.py"
    script.write_text(FILLER)
    path = tmp_path / f"a{ENDING}"
    done = subprocess.run([sys.executable, str(script), str(path)], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    told = done.stdout.decode().splitlines()
    # A disk that is full again after a part was written is no news.
    assert [line.split(":")[0] for line in told] == ["MEMORY", "SAVED"] * (len(told) // 2), told
    assert "Changes cannot be recorded" in told[0]
    assert [line.split(": ", 1)[1] for line in told[1:]] == [""] * (len(told) - 1)
    revision, expected = lines_of(path.with_suffix(".said"))[-1].split()
    with JournalReader(path) as reader:
        assert reader.verify().ok
        assert reader.closed == {}
        again = reader.document()
    assert again.revision == int(revision)
    assert digest(again.labels) == expected.decode()

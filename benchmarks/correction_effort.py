"""How much work it is to correct a mask: napari's brush and fill against our tools, by a simulated user.

Makes `docs/results/correction_effort.md` again from the labelled real cases (an hour on two cores; each finished run is
kept in the cache folder, under the hash of the code that decides it, and not run again):

    python benchmarks/correction_effort.py

`--quick` takes a small generated head (seconds) and writes no file; `--tuning` takes the cases that the policy's constants
were chosen on.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from effort.cases import REPORTED, STARTS, TUNING, Subject, brain_box, cache_folder, phantom_subject, real_subject, starting_mask
from effort.our_user import OurUser
from effort.report import document
from effort.user import Outcome, User, correct

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.labels import preset
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.phantoms.brain import tiny
from napari_tumorseg.workflows.environment import load_settings

ROOT = Path(__file__).resolve().parents[1]
ARMS = ("stock", "ours")
OUTLINE_TO = 0.95
#: What is asked for: the outline of the whole tumour alone, or every class (the whole tumour at `OUTLINE_TO` besides).
TASKS: dict[str, tuple[float, ...]] = {"outline": (), "classes": (0.90,)}
#: Parts of this benchmark that the stock arm runs, and parts that decide nothing.
STOCK = ("cases", "desk", "hand", "klm", "stock", "tally", "user")
NOT_RUN = {"report.py", "__init__.py"}
#: Strokes after which the user gives up.
MOST = 1500


def click_model() -> ClickSegmenter:
    """Return the click segmenter as the bench uses it for correcting: what is clicked, without a core."""
    spec = Catalogue(load_settings()).spec("click-lesion")
    return ClickSegmenter(replace(spec, options={**spec.options, "with_core": False}))


def cropped(subject: Subject) -> Subject:
    """Return a case cut to the brain; nobody corrects the padding."""
    box = brain_box(subject.images, subject.grid.shape)
    images = {m: np.ascontiguousarray(i[box.slices]) for m, i in subject.images.items()}
    return Subject(subject.name, images, subject.grid.crop(box), subject.schema, np.ascontiguousarray(subject.truth[box.slices]))


def run(subject: Subject, start: np.ndarray, arm: str, classes_to: tuple[float, ...], seed: int = 0, most: int = MOST) -> Outcome:
    """Correct a cropped case in one arm; without classes to reach, only tumour or not is asked for."""
    if not classes_to:
        subject = replace(subject, schema=preset("lesion"), truth=(subject.truth > 0).astype(np.uint8))
        start = (start > 0).astype(np.uint8)
    user = User if arm == "stock" else partial(OurUser, click=click_model())
    return correct(subject, start, user, seed, OUTLINE_TO, classes_to, most)


def row_of(subject: Subject, start: str, arm: str, outcome: Outcome, took_s: float) -> dict[str, Any]:
    """Return a run as plain values."""
    bill = asdict(outcome.bill) | {"strokes": outcome.bill.strokes}
    return {
        "case": subject.name,
        "start": start,
        "arm": arm,
        "milestones": {name: asdict(m) for name, m in outcome.milestones.items()},
        "first": outcome.dice_first,
        "last": outcome.dice_last,
        "bill": bill,
        "curve": outcome.curve,
        "took_s": took_s,
    }


def code_hash(arm: str) -> str:
    """Return a hash of the code that decides an arm's outcome.

    That is an arm's own part of the benchmark, and all that it imports, by way of other modules too, of the package's tools,
    segmenters and geometry.
    """
    effort = ROOT / "benchmarks" / "effort"
    todo = [effort / f"{name}.py" for name in STOCK] if arm == "stock" else [p for p in effort.glob("*.py") if p.name not in NOT_RUN]
    files: set[Path] = set()
    while todo:
        path = todo.pop()
        if path not in files:
            files.add(path)
            names = re.findall(r"^ *from napari_tumorseg\.(editing|voxels|inference\.prompted)\.(\w+) import", path.read_text(), re.M)
            todo += [ROOT / "src" / "napari_tumorseg" / folder.replace(".", "/") / f"{name}.py" for folder, name in names]
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(files))).hexdigest()[:10]


def rows(options: argparse.Namespace, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Give a row for each case, start and arm; finished ones come from the cache."""
    folder = cache_folder() / "effort"
    folder.mkdir(parents=True, exist_ok=True)
    codes = {arm: code_hash(arm) for arm in ARMS}
    for name in names:
        whole = real_subject(options.data / "brain_mri" / "brats2018" / name)
        box = brain_box(whole.images, whole.grid.shape)
        subject = cropped(whole)
        for start in options.starts:
            mask = starting_mask(whole, start, options.data / "weights" / "brats17_wang_cascade")[box.slices]
            digest = hashlib.sha256(np.ascontiguousarray(mask).tobytes()).hexdigest()[:10]
            for task, arm in itertools.product(options.tasks, options.arms):
                kept = folder / f"{name}-{start}-{task}-{arm}-{options.seed}-{options.most}-{digest}-{codes[arm]}.json"
                if not kept.is_file():
                    began = time.perf_counter()
                    outcome = run(subject, mask, arm, TASKS[task], options.seed, options.most)
                    row = row_of(subject, start, arm, outcome, time.perf_counter() - began) | {"task": task}
                    kept.write_text(json.dumps(row), encoding="utf-8")
                row = json.loads(kept.read_text(encoding="utf-8"))
                print(line(row), flush=True)
                yield row


def line(row: dict[str, Any]) -> str:
    """Return a run in one line."""
    reached = ", ".join(f"{n}: {m['strokes']} strokes {m['seconds']:.0f} s" for n, m in row["milestones"].items())
    last = " ".join(f"{k} {v:.3f}" for k, v in row["last"].items())
    which = f"{row['case']}, {row['task']}, from {row['start']}, {row['arm']}"
    return f"{which}: {reached or 'nothing reached'}; {row['bill']['strokes']} strokes, {last} ({row['took_s']:.0f} s)"


def quick() -> list[dict[str, Any]]:
    """Correct a small generated head from a mask that is shifted and lacks a lesion, in both arms."""
    head = tiny(3, shape=(64, 72, 60), spacing_mm=(2.5, 2.5, 2.5), solid_mm=(14, 18))
    subject = cropped(phantom_subject(head))
    start = np.roll(subject.truth, 1, axis=1)
    start[subject.truth.shape[0] // 2 :] = 0
    found = []
    for arm in ARMS:
        began = time.perf_counter()
        outcome = run(subject, start, arm, (0.85,), most=300)
        found.append(row_of(subject, "shifted", arm, outcome, time.perf_counter() - began) | {"task": "classes"})
    return found


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TUMORSEG_TEST_DATA") or ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "correction_effort.md")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--starts", nargs="*", default=list(STARTS))
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        found = quick()
        for row in found:
            print(line(row))
    else:
        names = tuple(options.cases) or (TUNING if options.tuning else REPORTED)
        found = list(rows(options, names))
    if options.json:
        options.json.write_text(json.dumps(found), encoding="utf-8")
    if not (options.quick or options.tuning or options.cases):
        options.out.write_text(document(found), encoding="utf-8")


if __name__ == "__main__":
    main()

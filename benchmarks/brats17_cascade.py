"""Dice of `brats17-cascade` over the labelled BraTS 2018 cases, and the time it takes.

Makes `docs/results/brats17_cascade.md` again:

    python benchmarks/brats17_cascade.py

A case takes half a minute to a minute on two free cores. Each finished case is kept in
`runs/brats17_cascade.jsonl` and not run again, so the script may be stopped at any time; remove
that file to start afresh. The networks are read from the test data and converted into a
temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.catalogue.backends.brats17_weights import MODEL, import_folder
from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import Input, Segmenter
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.inference.postprocess import fuse_nested
from napari_tumorseg.io.cases import read_case

ROOT = Path(__file__).resolve().parents[1]
REGIONS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
#: Dice (WT, TC, ET) that an earlier port of the same networks reached, without fusion.
EARLIER = {
    "Brats18_2013_20_1": (0.930, 0.922, 0.900),
    "Brats18_2013_11_1": (0.844, 0.610, 0.376),
    "Brats18_CBICA_ABM_1": (0.907, 0.920, 0.894),
    "Brats18_TCIA01_201_1": (0.969, 0.939, 0.870),
    "Brats18_TCIA10_628_1": (0.903, 0.853, 0.703),
}
HEAD = """# brats17-cascade over the labelled BraTS 2018 cases

Remade by `python benchmarks/brats17_cascade.py`.

**In-sample.** Every one of these cases was in the training list of the networks. The figures show that the port is right
and nothing about how good the model is on a new patient.

Dice of whole tumour (WT), core (TC) and enhancing tumour (ET): three views averaged, windows of one, probability above 0.5, as the
model ships ("cascade"), and with the option `fusion = true`. "Earlier port" are the figures of another implementation of the same
networks without fusion; background noise is random, so 0.015 (WT) and 0.03 (TC, ET) apart is agreement. Seconds are wall-clock
time; CPU seconds are added over the cores and say more where other work ran beside this.

| case | cascade WT | TC | ET | fusion WT | TC | ET | earlier port WT / TC / ET | seconds | CPU seconds |
|---|---|---|---|---|---|---|---|---|---|
"""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice overlap of two boolean arrays."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def load_model(weights: Path, folder: Path) -> Segmenter:
    """Convert the published networks in `weights` below `folder` and load them."""
    import_folder(weights, folder)
    return Catalogue(Settings(model_dirs=(folder,), cache_dir=folder, log_dir=folder, state_dir=folder)).load(MODEL)


def run_case(model: Segmenter, folder: Path, progress: Progress) -> dict[str, Any]:
    """Segment one case and return its row."""
    point = read_case(folder).latest
    reference = point.masks["seg"][-1].labels
    given = Input({m: np.asarray(point.volumes[m].data, np.float32) for m in model.spec.modalities}, point.volumes["T1c"].grid)
    started, started_cpu = time.perf_counter(), time.process_time()
    found = model.predict(given, probabilities=True, progress=progress)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    truth = {name: np.isin(reference, values) for name, values in REGIONS.items()}
    fused = fuse_nested(*(found.probabilities[name] > 0.5 for name in REGIONS))
    return {
        "case": folder.name,
        "cascade": [dice(model.spec.schema.region_mask(found.labels, name), truth[name]) for name in REGIONS],
        "fusion": [dice(mask, truth[name]) for mask, name in zip(fused, REGIONS, strict=True)],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "device": found.device,
    }


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows that are finished."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Give the lines of the Markdown table."""
    for row in sorted(rows, key=lambda r: r["case"]):
        earlier = " / ".join(f"{v:.3f}" for v in EARLIER.get(row["case"], ()))
        dices = " | ".join(f"{v:.3f}" for v in (*row["cascade"], *row["fusion"]))
        yield f"| {row['case']} | {dices} | {earlier} | {row['seconds']:.0f} | {row['cpu_seconds']:.0f} |"
    means = np.mean([[*r["cascade"], *r["fusion"]] for r in rows], axis=0)
    times = np.mean([[r["seconds"], r["cpu_seconds"]] for r in rows], axis=0)
    yield f"| **mean of {len(rows)}** | {' | '.join(f'{v:.3f}' for v in means)} | | {times[0]:.0f} | {times[1]:.0f} |"


def main() -> None:
    """Run the cases that have no row yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TUMORSEG_TEST_DATA") or ROOT.parent / "shared" / "data"))
    parser.add_argument("--rows", type=Path, default=ROOT / "runs" / "brats17_cascade.jsonl")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "brats17_cascade.md")
    parser.add_argument("cases", nargs="*", help="names of cases; all by default")
    options = parser.parse_args()
    folders = sorted(p.parent for p in (options.data / "brain_mri" / "brats2018").glob("*/seg.nii.gz"))
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        model = load_model(options.data / "weights" / "brats17_wang_cascade", Path(temporary))
        for folder in folders:
            done = {row["case"] for row in rows_of(options.rows)}
            if folder.name in done or (options.cases and folder.name not in options.cases):
                continue
            row = run_case(model, folder, Progress())
            with options.rows.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
            options.out.write_text(HEAD + "\n".join(table(rows_of(options.rows))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""One, two and three clicks on real and generated lesions: overlap and time of `click-lesion`, beside region growing.

Makes `docs/results/click.md` again (some minutes):

    python benchmarks/click.py

`--quick` takes one small generated head and writes no file; `--tuning` shows the cases that settings were chosen on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from effort.cases import REPORTED, TUNING, Subject, phantom_subject, real_subject

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.segmenter import Input, Prompt
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.io.cases import read_case
from napari_tumorseg.phantoms.brain import BrainPhantomConfig, tiny
from napari_tumorseg.voxels.parts import connected_parts
from napari_tumorseg.workflows.environment import load_settings

ROOT = Path(__file__).resolve().parents[1]
Bools = npt.NDArray[np.bool_]
Voxel = tuple[int, int, int]
#: Parts below this many voxels are counted and left out: a click cannot aim at them.
LEAST_VOXELS = 10
RANDOM_CLICKS = 2
CLICKS = 3
#: Beside other methods only from this volume on.
PEERS_FROM_MM3 = 100.0
#: Generated heads: those that settings were chosen on, and those reported.
PHANTOM_SEEDS = {"tuning": (101, 102), "reported": (201, 202)}


@dataclass(frozen=True, eq=False)
class Lesion:
    """A part of the reference that is clicked on."""

    case: str
    region: str
    box: Box
    mask: Bools
    voxels: int
    volume_mm3: float


def phantom_config(seed: int) -> BrainPhantomConfig:
    """Return a head with small metastases."""
    return BrainPhantomConfig(shape=(146, 172, 138), seed=seed, n_ring=2, n_solid=4, n_tiny=4, ring_mm=(12, 24))


def lesions_of(subject: Subject, regions: Sequence[str]) -> tuple[list[Lesion], int]:
    """Return the connected parts (26 neighbours) of the reference's regions, and how many were too small."""
    found, small = [], 0
    for region in regions:
        parts, count = connected_parts(subject.schema.region_mask(subject.truth, region), 26)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        for number in np.argsort(-sizes[1:]) + 1:
            if sizes[number] < LEAST_VOXELS:
                small += 1
                continue
            mask = parts == number
            box = bounding_box(mask)
            assert box is not None
            size = int(sizes[number])
            found.append(Lesion(subject.name, region, box, mask[box.slices], size, size * subject.grid.voxel_volume_mm3))
    return found, small


def deepest(mask: Bools, spacing_mm: Sequence[float]) -> Voxel:
    """Return the voxel of a mask that is farthest from its border."""
    import edt

    depth = edt.edt(np.ascontiguousarray(np.pad(mask, 1)), anisotropy=tuple(spacing_mm))[1:-1, 1:-1, 1:-1]
    z, y, x = (int(v) for v in np.unravel_index(int(depth.argmax()), mask.shape))
    return z, y, x


def first_clicks(lesion: Lesion, spacing_mm: Sequence[float], rng: np.random.Generator) -> list[Voxel]:
    """Return the most interior voxel, then random voxels at least 2 mm inside (as deep as there are, in thin parts)."""
    import edt

    depth = edt.edt(np.ascontiguousarray(np.pad(lesion.mask, 1)), anisotropy=tuple(spacing_mm))[1:-1, 1:-1, 1:-1]
    inside = np.argwhere(depth >= min(2.0, float(depth.max())))
    local = [deepest(lesion.mask, spacing_mm), *(tuple(int(v) for v in inside[rng.integers(len(inside))]) for _ in range(RANDOM_CLICKS))]
    return [(v[0] + lesion.box.start[0], v[1] + lesion.box.start[1], v[2] + lesion.box.start[2]) for v in local]


def largest_error(found: Bools, truth: Bools, spacing_mm: Sequence[float]) -> tuple[Voxel, bool] | None:
    """Return the most interior voxel of the largest connected error, and whether it was missed (else it is too much)."""
    box = bounding_box(found | truth)
    if box is None:
        return None
    best: tuple[int, Bools, bool] | None = None
    for error, missed in ((truth & ~found, True), (found & ~truth, False)):
        parts, count = connected_parts(error[box.slices], 6)
        if count:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            number = int(sizes.argmax())
            if best is None or sizes[number] > best[0]:
                best = (int(sizes[number]), parts == number, missed)
    if best is None:
        return None
    z, y, x = deepest(best[1], spacing_mm)
    return (z + box.start[0], y + box.start[1], x + box.start[2]), best[2]


def dice(a: Bools, b: Bools) -> float:
    """Return the Dice overlap."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def clicked(subject: Subject, model: ClickSegmenter, lesion: Lesion, start: Voxel, clicks: int) -> list[tuple[float, float]]:
    """Return (Dice, seconds) after each of `clicks` clicks; each next one goes into the largest error."""
    truth = np.zeros(subject.truth.shape, bool)
    truth[lesion.box.slices] = lesion.mask
    prompts: tuple[Prompt, ...] = (Prompt("point", subject.grid.to_mm([start])),)
    rows: list[tuple[float, float]] = []
    for _ in range(clicks):
        began = time.process_time()
        found = model.predict(Input(subject.images, subject.grid, prompts)).labels > 0
        rows.append((dice(found, truth), time.process_time() - began))
        error = largest_error(found, truth, subject.grid.spacing_mm)
        if error is None:
            break
        prompts = (*prompts, Prompt("point", subject.grid.to_mm([error[0]]), error[1]))
    return rows + [rows[-1]] * (clicks - len(rows))


def confidence_connected(subject: Subject, start: Voxel) -> Bools:
    """Grow by SimpleITK's ConfidenceConnected with its usual values on T1c smoothed by curvature flow."""
    import SimpleITK as sitk

    image = sitk.CurvatureFlow(_itk(subject, start), timeStep=0.0625, numberOfIterations=5)
    seed = [int(min(40, v)) for v in start[::-1]]
    return _whole(
        subject, start, sitk.ConfidenceConnected(image, [seed], numberOfIterations=4, multiplier=2.5, initialNeighborhoodRadius=2)
    )


def connected_threshold(subject: Subject, start: Voxel) -> Bools:
    """Grow by SimpleITK's ConnectedThreshold within 20 % of the brain's range around the clicked value of smoothed T1c."""
    import SimpleITK as sitk

    image = sitk.CurvatureFlow(_itk(subject, start), timeStep=0.0625, numberOfIterations=5)
    seed = [int(min(40, v)) for v in start[::-1]]
    values = subject.images["T1c"]
    width = 0.2 * float(np.ptp(np.percentile(values[values > 0], (1, 99))))
    value = image.GetPixel(*seed)
    return _whole(subject, start, sitk.ConnectedThreshold(image, [seed], value - width, value + width))


def random_walk(subject: Subject, start: Voxel) -> Bools:
    """Take scikit-image's random walker on T1c: the click against the border of a block of 30 mm around it."""
    from skimage.segmentation import random_walker

    box = Box(start, (start[0] + 1, start[1] + 1, start[2] + 1)).grown(15, subject.truth.shape)
    block = subject.images["T1c"][box.slices]
    marks = np.zeros(block.shape, np.int32)
    marks[0], marks[-1], marks[:, 0], marks[:, -1], marks[:, :, 0], marks[:, :, -1] = (2,) * 6
    z, y, x = (s - a for s, a in zip(start, box.start, strict=True))
    marks[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 1
    out = np.zeros(subject.truth.shape, bool)
    out[box.slices] = random_walker(block, marks, beta=130, mode="cg_j", tol=1e-2) == 1
    return out


def _block(subject: Subject, start: Voxel) -> Box:
    return Box(start, (start[0] + 1, start[1] + 1, start[2] + 1)).grown(40, subject.truth.shape)


def _itk(subject: Subject, start: Voxel) -> Any:
    import SimpleITK as sitk

    return sitk.GetImageFromArray(np.ascontiguousarray(subject.images["T1c"][_block(subject, start).slices]))


def _whole(subject: Subject, start: Voxel, found: Any) -> Bools:
    import SimpleITK as sitk

    out = np.zeros(subject.truth.shape, bool)
    out[_block(subject, start).slices] = sitk.GetArrayFromImage(found) > 0
    return out


PEERS: dict[str, Callable[[Subject, Voxel], Bools]] = {
    "SimpleITK ConfidenceConnected": confidence_connected,
    "SimpleITK ConnectedThreshold": connected_threshold,
    "scikit-image random_walker": random_walk,
}


def measure(subjects: Iterator[tuple[str, Subject]], models: dict[str, ClickSegmenter], peers: bool) -> dict[str, Any]:
    """Click on every part of every subject; return the rows and how many parts were too small."""
    rows: list[dict[str, Any]] = []
    small = 0
    for kind, subject in subjects:
        rng = np.random.default_rng(0)
        found, few = lesions_of(subject, tuple(models))
        small += few
        for lesion in found:
            truth = np.zeros(subject.truth.shape, bool)
            truth[lesion.box.slices] = lesion.mask
            for number, start in enumerate(first_clicks(lesion, subject.grid.spacing_mm, rng)):
                steps = clicked(subject, models[lesion.region], lesion, start, CLICKS)
                row: dict[str, Any] = {
                    "kind": kind,
                    "case": lesion.case,
                    "region": lesion.region,
                    "mm3": lesion.volume_mm3,
                    "click": "deepest" if number == 0 else "random",
                    "dice": [d for d, _ in steps],
                    "seconds": [s for _, s in steps],
                }
                if peers and number == 0 and lesion.volume_mm3 >= PEERS_FROM_MM3:
                    for name, peer in PEERS.items():
                        began = time.process_time()
                        row[name] = [dice(peer(subject, start), truth), time.process_time() - began]
                rows.append(row)
            print(json.dumps(rows[-1 - RANDOM_CLICKS]), file=sys.stderr, flush=True)
    return {"rows": rows, "small": small}


def models() -> dict[str, ClickSegmenter]:
    """Return the segmenter by region: enhancing tumour as clicked, tumour core with what the ring encloses."""
    spec = Catalogue(load_settings()).spec("click-lesion")
    return {region: ClickSegmenter(replace(spec, options={**spec.options, "with_core": region == "TC"})) for region in ("ET", "TC")}


SIZES = ((10_000, np.inf, "10 mL and more"), (1000, 10_000, "1 to 10 mL"), (100, 1000, "100 to 1000 mm3"), (0, 100, "below 100 mm3"))


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Give the lines of the table by kind, region, first click and size."""
    yield "| images | region | first click | size | parts | 1 click | 2 clicks | 3 clicks | parts at 0.7 after 1 / 3 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind in dict.fromkeys(r["kind"] for r in rows):
        for region in ("ET", "TC"):
            for click in ("deepest", "random"):
                for low, high, name in SIZES:
                    some = [r for r in rows if (r["kind"], r["region"], r["click"]) == (kind, region, click) and low <= r["mm3"] < high]
                    if not some:
                        continue
                    d = np.array([r["dice"] for r in some])
                    middle = " | ".join(f"{np.median(d[:, k]):.2f} ({np.mean(d[:, k]):.2f})" for k in range(CLICKS))
                    parts = len(some) if click == "deepest" else len(some) // RANDOM_CLICKS
                    share = f"{100 * np.mean(d[:, 0] >= 0.7):.0f} / {100 * np.mean(d[:, -1] >= 0.7):.0f} %"
                    yield f"| {kind} | {region} | {click} | {name} | {parts} | {middle} | {share} |"


def peer_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Give the lines of the table beside region growing."""
    some = [r for r in rows if next(iter(PEERS)) in r]
    if not some:
        return
    yield "| method | Dice on ET, real: median (mean) | Dice on TC, real | Dice on TC, generated | time p50, p95 |"
    yield "|---|---|---|---|---|"
    for name in ("click-lesion", *PEERS):
        cells = []
        for kind, region in (("real", "ET"), ("real", "TC"), ("generated", "TC")):
            mine = [r["dice"][0] if name == "click-lesion" else r[name][0] for r in some if (r["kind"], r["region"]) == (kind, region)]
            cells.append(f"{np.median(mine):.2f} ({np.mean(mine):.2f})" if mine else "-")
        times = 1000 * np.array([r["seconds"][0] if name == "click-lesion" else r[name][1] for r in some])
        yield f"| {name} | {' | '.join(cells)} | {np.percentile(times, 50):.0f} ms, {np.percentile(times, 95):.0f} ms |"


def times(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Give the lines of the table of times."""
    yield "| clicks so far | p50 | p95 | longest |"
    yield "|---|---|---|---|"
    for k in range(CLICKS):
        ms = 1000 * np.array([r["seconds"][k] for r in rows])
        yield f"| {k + 1} | {np.percentile(ms, 50):.0f} ms | {np.percentile(ms, 95):.0f} ms | {ms.max():.0f} ms |"


#: Places in the unlabelled metastasis case, chosen by eye, (z, y, x).
METASTASIS = {
    "necrosis in the middle of the ring": (69, 48, 90),
    "its rim": (69, 42, 85),
    "its rim, higher": (79, 47, 84),
    "its solid part": (86, 45, 95),
    "the cyst beside it": (69, 75, 88),
    "a small enhancing focus": (67, 97, 91),
}


def metastasis(data: Path, model: ClickSegmenter) -> Iterator[str]:
    """Give lines on the unlabelled metastasis case: volumes, times, and how much the clicks on one lesion agree."""
    folder = data / "brain_mri" / "brats_met_00110"
    if not folder.is_dir():
        return
    point = read_case(folder).latest
    images = {m: np.asarray(v.data, np.float32) for m, v in point.volumes.items()}
    grid = point.volumes["T1c"].grid
    yield "| click | (z, y, x) | volume | Dice with the first click's mask | time |"
    yield "|---|---|---|---|---|"
    first: Bools | None = None
    for name, place in METASTASIS.items():
        began = time.process_time()
        found = model.predict(Input(images, grid, (Prompt("point", grid.to_mm([place])),))).labels > 0
        took = time.process_time() - began
        first = found if first is None else first
        volume_ml = np.count_nonzero(found) * grid.voxel_volume_mm3 / 1000
        yield f"| {name} | {', '.join(map(str, place))} | {volume_ml:.2f} mL | {dice(found, first):.2f} | {1000 * took:.0f} ms |"


def subjects(data: Path, which: str) -> Iterator[tuple[str, Subject]]:
    """Give the labelled real cases and the generated heads."""
    for name in REPORTED if which == "reported" else TUNING:
        yield "real", real_subject(data / "brain_mri" / "brats2018" / name)
    for seed in PHANTOM_SEEDS[which]:
        yield "generated", phantom_subject(phantom_config(seed), f"phantom-{seed}")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TUMORSEG_TEST_DATA") or ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "click.md")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    both = models()
    if options.quick:
        # Smaller voxels than `tiny` has by itself, so that its lesions are some voxels wide.
        head = phantom_subject(tiny(3, shape=(64, 72, 60), spacing_mm=(2.5, 2.5, 2.5), solid_mm=(14, 18)))
        found = measure(iter([("generated", head)]), both, peers=False)
    else:
        found = measure(subjects(options.data, "tuning" if options.tuning else "reported"), both, peers=True)
    if options.json:
        options.json.write_text(json.dumps(found), encoding="utf-8")
    parts = ["\n".join(table(found["rows"])), "\n".join(times(found["rows"])), "\n".join(peer_table(found["rows"]))]
    if options.quick or options.tuning:
        print("\n\n".join(parts))
        return
    parts.append("\n".join(metastasis(options.data, both["TC"])))
    text = HEAD.format(cases=", ".join(REPORTED), tuning=", ".join(TUNING), small=found["small"], least=LEAST_VOXELS)
    options.out.write_text(text + "\n\n".join(f"## {t}\n\n{p}" for t, p in zip(TITLES, parts, strict=True)) + "\n", encoding="utf-8")


TITLES = ("Overlap", "Time", "Beside region growing, one click on the deepest voxel", "The unlabelled metastasis case BraTS-MET-00110-000")
HEAD = """# One click: click-lesion

Remade by `python benchmarks/click.py`.

`click-lesion` is no network and was trained on nothing. Its settings were chosen on other cases ({tuning}) and on the
generated heads 101 and 102; reported here are {cases} and the generated heads 201 and 202. The real ones are gliomas,
not metastases; the generated ones are easier than patients.

Every 26-connected part of the enhancing tumour (ET; option `with_core = false`) and of the tumour core (TC;
`with_core = true`) of at least {least} voxels is clicked three times: once in its deepest voxel and twice at random, at
least 2 mm inside where it is thick enough. Each next click goes into the deepest voxel of the largest connected error,
as an include or an exclude click. {small} smaller parts were left out. Dice is given as median (mean). Times are CPU
seconds of the whole call on the whole case (one thread, so also what the user waits on a free core).

"""


if __name__ == "__main__":
    main()

"""How long the scores of a segmentation take, beside plain code of the same definitions, surface-distance and MONAI.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --quick

A phantom reference holds lesions with a core, a rim and oedema; the prediction misses some, invents some and moves and roughens
the rest. "files" is all of `tumorseg evaluate`: reading two NIfTI files, scoring every region, making the JSON. "plain" is the
slow implementation that the tests compare with (tests/unit/evaluation/segmentation/plain_scores.py), on whole volumes, from
arrays in memory. Times are medians; "cpu", "plain" and all below the first table are processor seconds, which do not depend on what
else the machine does; all runs in one process on one thread. Exit code 1 means that values differ, or that a goal is missed: a second
of processor time for a case of 240 x 240 x 155 with 20 lesions a side; in that volume, HD95 and NSD five times faster than
surface-distance and MONAI. With --quick nothing but the values is judged.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import nibabel
import numpy as np
from scipy import ndimage

from napari_tumorseg.evaluation.segmentation.profiles import PROFILES
from napari_tumorseg.evaluation.segmentation.score import score_case
from napari_tumorseg.evaluation.segmentation.surface import hd95, nsd, surface_distances
from napari_tumorseg.workflows.evaluate import EvaluateRequest, evaluate

CASE = (155, 240, 240)
LESIONS = 20
GOAL_S, GOAL_RATIO = 1.0, 5.0
PLAIN = Path(__file__).parents[1] / "tests" / "unit" / "evaluation" / "segmentation" / "plain_scores.py"
# Of the public scripts for such a case on two cores, as measured by others; they are not run here.
PUBLISHED_S = {"brats-mets-2023": "57 to 79", "brats-mets-2024": "about 880"}


def phantom(shape: tuple[int, int, int], lesions: int, radius: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return reference and prediction (z, y, x): lesions on a lattice, radii from half to the whole of `radius` voxels."""
    rng = np.random.default_rng(seed)
    reference, prediction = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    per_axis = int(np.ceil(lesions ** (1 / 3)))
    places = [(np.array(i) + 0.5) / per_axis * shape for i in np.ndindex(per_axis, per_axis, per_axis)]
    for number, place in enumerate(places[i] for i in np.linspace(0, len(places) - 1, lesions).astype(int)):
        size = radius * rng.uniform(0.5, 1.0)
        low = np.maximum(0, place - radius * 1.6 - 3).astype(int)
        block = tuple(slice(a, b) for a, b in zip(low, np.minimum(shape, place + radius * 1.6 + 4).astype(int), strict=True))
        grid = np.indices([s.stop - s.start for s in block]) + low.reshape(3, 1, 1, 1)
        rough = ndimage.gaussian_filter(rng.normal(size=grid.shape[1:]), 2) * size
        for labels, shift, skip in ((reference, 0.0, number % 5 == 4), (prediction, rng.normal(0, 1, 3), number % 5 == 3)):
            if skip:
                continue
            far = np.sqrt(((grid - (place + shift).reshape(3, 1, 1, 1)) ** 2).sum(axis=0)) + rough * (0.5 if labels is prediction else 0.3)
            for value, share in ((2, 1.3), (3, 1.0), (1, 0.5)):
                labels[block][far < size * share] = value
    return reference, prediction


def timed(act: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the medians of wall-clock and processor seconds of a call."""
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        act()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return statistics.median(walls), statistics.median(processors)


def plain_module() -> ModuleType:
    """Load the plain implementation of the tests."""
    spec = importlib.util.spec_from_file_location("plain_scores", PLAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_plain(plain: ModuleType, reference: np.ndarray, prediction: np.ndarray, name: str) -> dict[str, Any]:
    """Score by the plain implementation, whose arrays are (x, y, z)."""
    profile = PROFILES[name]
    return plain.lesion_wise(
        reference.T,
        prediction.T,
        (1.0, 1.0, 1.0),
        regions=dict(profile.regions) | ({"NETC": (1,)} if profile.helpers else {}),
        scored=list(profile.regions),
        dilations=profile.dilations_in,
        min_volume=profile.min_volume_in,
        penalty=float(np.linalg.norm(reference.shape)) if profile.hd95_penalty == "diagonal" else profile.hd95_penalty,
        tolerances=profile.lesion_nsd_mm,
        merge_predictions=profile.merges_predictions,
        merge_steps=profile.merge_steps,
    )


def difference(ours: dict[str, Any], plain: dict[str, Any]) -> float:
    """Return the largest difference of any score of any region."""
    worst = 0.0
    for region, scores in plain.items():
        for key, value in scores.items():
            pairs = [(ours[region][key][k], v) for k, v in value.items()] if isinstance(value, dict) else [(ours[region][key], value)]
            worst = max([worst, *(abs(a - b) for a, b in pairs)])
    return worst


def case_rows(shape: tuple[int, int, int], lesions: int, radius: float, repeats: int) -> list[dict[str, Any]]:
    """Time a whole case for every profile, and the plain code for two of them."""
    reference, prediction = phantom(shape, lesions, radius)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "reference.nii.gz", Path(folder) / "prediction.nii.gz"]
        for path, labels in zip(files, (reference, prediction), strict=True):
            nibabel.save(nibabel.Nifti1Image(labels.T, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
        for name in PROFILES:
            request = EvaluateRequest(files[0], files[1], name)
            first = time.perf_counter()
            result = evaluate(request)
            first = time.perf_counter() - first
            wall, processor = timed(lambda request=request: json.dumps(evaluate(request)), repeats)
            memory_wall, _ = timed(lambda name=name: score_case(reference, prediction, (1, 1, 1), name), repeats)
            tracemalloc.start()
            score_case(reference, prediction, (1, 1, 1), name)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            counts = result["regions"].get("WT", {})
            rows.append(
                {
                    "profile": name,
                    "first_s": first,
                    "files_s": wall,
                    "files_cpu_s": processor,
                    "memory_s": memory_wall,
                    "peak_mb": peak / 1e6,
                    "wt_counts": [counts.get(k) for k in ("n_tp", "n_fp", "n_fn")],
                    "regions": result["regions"],
                }
            )
    return rows


def compare_plain(rows: list[dict[str, Any]], shape: tuple[int, int, int], lesions: int, radius: float, names: tuple[str, ...]) -> None:
    """Add the time and the largest difference of the plain implementation."""
    plain = plain_module()
    reference, prediction = phantom(shape, lesions, radius)
    for row in rows:
        if row["profile"] in names:
            started = time.process_time()
            known = run_plain(plain, reference, prediction, row["profile"])
            row["plain_s"] = time.process_time() - started
            row["difference"] = float(difference(row["regions"], known))


def peers(shape: tuple[int, int, int], lesions: int, radius: float, repeats: int) -> list[dict[str, Any]]:
    """Time HD95 and NSD of the whole tumour in its volume, and of one lesion in its box."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import surface_distance.metrics as theirs
        import torch
        from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    torch.set_num_threads(1)
    reference, prediction = (labels > 0 for labels in phantom(shape, lesions, radius))
    size = int(2 * radius + 12)
    small = phantom((size, size, size), 1, radius)
    spacing = (1.0, 1.0, 1.0)
    rows = []

    def tensors(a: np.ndarray, b: np.ndarray) -> tuple[Any, Any]:
        one, other = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (b, a))
        return one, other

    for title, a, b in (("volume", reference, prediction), ("one lesion", small[0] > 0, small[1] > 0)):

        def deep(what: str, a: np.ndarray = a, b: np.ndarray = b) -> float:
            known = theirs.compute_surface_distances(a, b, spacing)
            return theirs.compute_robust_hausdorff(known, 95) if what == "hd" else theirs.compute_surface_dice_at_tolerance(known, 1.0)

        def medical(what: str, a: np.ndarray = a, b: np.ndarray = b) -> float:
            pair = tensors(a, b)
            if what == "hd":
                return float(compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing)))
            return float(compute_surface_dice(*pair, [1.0], include_background=True, spacing=list(spacing), use_subvoxels=True))

        def voxel_hd(a: np.ndarray = a, b: np.ndarray = b) -> float:
            found = surface_distances(a, b, spacing, "voxels")
            return float(max(np.percentile(found.a_to_b_mm, 95), np.percentile(found.b_to_a_mm, 95)))

        jobs: tuple[tuple[str, Callable[[], float], Callable[[], float], float], ...] = (
            ("HD95, surface-distance", lambda a=a, b=b: hd95(a, b, spacing), lambda deep=deep: deep("hd"), 1e-9),
            ("NSD 1 mm, surface-distance", lambda a=a, b=b: nsd(a, b, spacing, 1.0), lambda deep=deep: deep("nsd"), 1e-9),
            ("HD95 of voxels, MONAI", voxel_hd, lambda medical=medical: medical("hd"), 1e-4),
            ("NSD 1 mm, MONAI subvoxel", lambda a=a, b=b: nsd(a, b, spacing, 1.0), lambda medical=medical: medical("nsd"), 1e-5),
        )
        for name, ours, other, tolerance in jobs:
            with mock.patch.dict(np.__dict__, {"Inf": np.inf, "NaN": np.nan}), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                apart = abs(ours() - other())
                (_, mine), (_, its) = timed(ours, repeats), timed(other, repeats)
            rows.append(
                {
                    "where": title,
                    "score": name,
                    "ours_s": mine,
                    "theirs_s": its,
                    "ratio": its / mine,
                    "difference": float(apart),
                    "equal": bool(apart <= tolerance),
                }
            )
    return rows


def curves(quick: bool, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Time a fixed set of lesions in growing volumes, and growing lesions in one volume."""
    by_volume, by_radius = [], []
    base = phantom((96, 96, 96), 8, 8.0)
    for edge in (96, 128) if quick else (96, 192, 288, 384, 512):
        # The same lesions further apart from the far border: only emptiness is added.
        pair = [np.zeros((edge, edge, edge), np.uint8) for _ in range(2)]
        for volume, lesions in zip(pair, base, strict=True):
            volume[:96, :96, :96] = lesions
        row = {"edge": edge, "voxels": edge**3}
        for name in ("brats-mets-2023", "brats-mets-2024"):
            row[name] = timed(lambda name=name, pair=pair: score_case(*pair, (1, 1, 1), name), repeats)[1]
        row["one pass over both arrays"] = timed(lambda pair=pair: [np.count_nonzero(m) for m in pair], repeats)[1]
        by_volume.append(row)
    for radius in (4.0, 8.0) if quick else (3.0, 6.0, 12.0, 18.0, 24.0):
        pair = list(phantom((96, 96, 96) if quick else (256, 256, 256), 8, radius))
        row = {"radius": radius, "lesion_voxels": int(sum(np.count_nonzero(m) for m in pair))}
        for name in ("brats-mets-2023", "brats-mets-2024"):
            row[name] = timed(lambda name=name, pair=pair: score_case(*pair, (1, 1, 1), name), repeats)[1]
        by_radius.append(row)
    return {"volume": by_volume, "lesions": by_radius}


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"Case {'x'.join(map(str, reversed(found['shape'])))}, {found['lesions']} lesions a side; load average {found['load']:.1f}")
    heads = (("first", 7), ("files", 7), ("cpu", 7), ("memory", 7), ("peak MB", 8), ("plain", 8), ("ratio", 7), ("difference", 10))
    print(f"{'profile':>16} " + " ".join(f"{name:>{width}}" for name, width in heads) + "  public")
    for row in found["case"]:
        plain = (
            f"{row['plain_s']:8.1f} {row['plain_s'] / row['files_cpu_s']:7.0f} {row['difference']:10.1e}" if "plain_s" in row else " " * 27
        )
        numbers = f"{row['first_s']:7.2f} {row['files_s']:7.2f} {row['files_cpu_s']:7.2f} {row['memory_s']:7.2f} {row['peak_mb']:8.1f}"
        print(f"{row['profile']:>16} {numbers} {plain}  {PUBLISHED_S.get(row['profile'], '')}")
    print(f"Largest memory of the process after scoring: {found['process_mb']:.0f} MB")
    print(f"\n{'where':>12} {'score':>28} {'ours ms':>9} {'theirs ms':>10} {'ratio':>6} {'difference':>10}")
    for row in found["peers"]:
        times = f"{row['ours_s'] * 1e3:9.2f} {row['theirs_s'] * 1e3:10.2f} {row['ratio']:6.1f} {row['difference']:10.1e}"
        print(f"{row['where']:>12} {row['score']:>28} {times}")
    for title, rows in found["curves"].items():
        print(f"\nProcessor milliseconds by {title}")
        for row in rows:
            print(
                "  " + ", ".join(f"{k} {v * 1e3:.1f}" if isinstance(v, float) and k != "radius" else f"{k} {v:g}" for k, v in row.items())
            )


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small case, few repeats; only values are judged")
    parser.add_argument("--no-plain", action="store_true", help="leave out the plain code, which takes a quarter of an hour")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    shape, lesions, radius = ((48, 64, 64), 6, 5.0) if args.quick else (CASE, LESIONS + LESIONS // 4, 10.0)
    repeats = 2 if args.quick else 5
    found: dict[str, Any] = {"shape": shape, "load": os.getloadavg()[0]}
    found["case"] = case_rows(shape, lesions, radius, repeats)
    found["process_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    found["lesions"] = sum(found["case"][0]["wt_counts"][i] for i in (0, 2))
    found["peers"] = peers(shape, lesions, radius, repeats)
    found["curves"] = curves(args.quick, repeats)
    if not args.no_plain:
        compare_plain(found["case"], shape, lesions, radius, ("brats-mets-2023", "brats-mets-2024"))
    show(found)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))
    good = all(row["equal"] for row in found["peers"]) and all(row.get("difference", 0.0) < 1e-9 for row in found["case"])
    if not args.quick:
        good &= all(row["files_cpu_s"] < GOAL_S for row in found["case"] if row["profile"].startswith("brats-mets"))
        good &= all(row["ratio"] >= GOAL_RATIO for row in found["peers"] if row["where"] == "volume")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

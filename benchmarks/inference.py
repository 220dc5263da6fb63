"""The engine beside MONAI's sliding-window inferer: time, memory, and whether the labels are the same.

    python benchmarks/inference.py                         a generated head, random weights
    python benchmarks/inference.py --case CASE_FOLDER      a real case
    python benchmarks/inference.py --quick                 one small head, once

First, both run the same network over the same cropped and normalised tensor, in the same windows,
precision, overlap, blending and number of windows at a time, in turns A B A B in one process; what
differs is how the network is run on a CPU (`networks/segresnet_cpu.py`) and how the windows are
given to the cores. Then, apart, what the engine saves by cutting to the brain and by leaving out
windows of background, and how time grows with size. Peak memory is measured in a process of its
own for each engine, above what is in use before the first window.

Exit code 1 means that the labels differ (Dice below 0.999).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.inference.memory import Lanes, cores
from napari_tumorseg.inference.normalise import zscore_nonzero
from napari_tumorseg.inference.sliding import Plan, plan_windows, slide, without_background
from napari_tumorseg.networks.segresnet_cpu import fast_on_cpu
from napari_tumorseg.networks.zoo import build_network

MODALITIES = ("T1", "T1c", "T2", "FLAIR")
NETWORKS = ("SubvoxelSegResNet", "SegResNet")
OVERLAP, SAME = 0.25, 0.999
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Sizes:
    """What is measured on: a volume and the brain in it, in voxels of 1 mm, the window, and shares of the brain."""

    volume: Shape
    brain: Shape
    window: Shape
    shares: tuple[float, ...]


BRATS = Sizes((155, 240, 240), (140, 175, 140), (96, 112, 96), (0.5, 0.75, 1.0, 1.25))
QUICK = Sizes((70, 80, 70), (60, 66, 62), (48, 48, 48), (0.5,))


@dataclass(frozen=True)
class Job:
    """One comparison: network, what it sees, and how many windows at a time."""

    network: str
    image: torch.Tensor
    plan: Plan
    at_once: int
    threads: int
    weights: Path | None


def head(volume: tuple[int, ...], brain: tuple[int, ...]) -> np.ndarray:
    """Return four noisy channels of an ellipsoid, (4, z, y, x) float32, 0 outside."""
    rng = np.random.default_rng(1)
    axes = [np.linspace(-n / b, n / b, n, dtype=np.float32) ** 2 for n, b in zip(volume, brain, strict=True)]
    inside = axes[0][:, None, None] + axes[1][:, None] + axes[2] < 1
    return np.stack([np.where(inside, 100 + 20 * rng.standard_normal(volume, dtype=np.float32), 0) for _ in MODALITIES])


def read(case: Path) -> np.ndarray:
    """Return the four sequences of a case folder, (4, z, y, x) float32, turned as the shipped model sees them."""
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.workflows.segment import on_grid

    volumes = read_case(case).latest.volumes
    grid = next(iter(volumes.values())).grid
    turned, move = grid.reorient("SPL")
    found = [move.apply(on_grid(volumes[m], grid)) if m in volumes else np.zeros(turned.shape, np.float32) for m in MODALITIES]
    return np.stack(found)


def crop(raw: np.ndarray) -> torch.Tensor:
    """Cut to the brain and normalise."""
    box = bounding_box(raw.any(axis=0))
    return torch.from_numpy(np.stack([zscore_nonzero(channel[box.slices]) for channel in raw]))


def network(name: str, weights: Path | None) -> torch.nn.Module:
    """Return a network with the given weights, or random ones that are always the same."""
    torch.manual_seed(7)
    net, _ = build_network(name, {})
    if weights and name == "SubvoxelSegResNet":
        from safetensors.torch import load_file

        net.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
    return net.eval().requires_grad_(False)


def monai_plan(shape: tuple[int, ...], window: tuple[int, ...]) -> Plan:
    """Return the windows that MONAI's inferer uses."""
    from monai.data.utils import dense_patch_slices

    step = tuple(int(edge * (1 - OVERLAP)) for edge in window)
    return Plan(shape, window, tuple(tuple(s.start for s in place) for place in dense_patch_slices(shape, window, step)))


def monai_engine(job: Job) -> Callable[[], torch.Tensor]:
    """Return a function that runs MONAI's inferer."""
    from monai.inferers import SlidingWindowInferer

    net = network(job.network, job.weights)
    inferer = SlidingWindowInferer(job.plan.window, job.at_once, OVERLAP, mode="gaussian")

    def run() -> torch.Tensor:
        torch.set_num_threads(job.threads)
        with torch.inference_mode():
            return inferer(job.image[None], net)[0]

    return run


def our_engine(job: Job) -> Callable[[], torch.Tensor]:
    """Return a function that runs the engine of this project."""
    net = network(job.network, job.weights)
    run_network = fast_on_cpu(net) or net
    lanes = Lanes(job.at_once, max(1, job.threads // job.at_once))
    return lambda: slide(run_network, job.image, job.plan, lanes, Progress())[0]


ENGINES = {"MONAI": monai_engine, "ours": our_engine}


def timed(run: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float, float]:
    """Return the answer, seconds on the clock and processor seconds of one run."""
    wall, processor = time.perf_counter(), time.process_time()
    answer = run()
    return answer, time.perf_counter() - wall, time.process_time() - processor


def dice(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the smallest Dice over the regions of two answers, each cut at probability 0.5."""
    a, b = a > 0, b > 0
    both, sizes = (a & b).sum((1, 2, 3)), a.sum((1, 2, 3)) + b.sum((1, 2, 3))
    return float((2 * both / sizes.clamp_min(1)).where(sizes > 0, 1.0).min())


def compare(job: Job, repeats: int) -> dict[str, Any]:
    """Run both engines in turns and return medians, ratios and agreement."""
    runs = {name: make(job) for name, make in ENGINES.items()}
    corner = job.image[:, *map(slice, job.plan.window)]
    for make in ENGINES.values():
        # What a library sets up at its first call is not what is compared.
        make(replace(job, image=corner, plan=monai_plan(job.plan.window, job.plan.window)))()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    answers = {}
    for _ in range(repeats):
        for name, run in runs.items():
            answers[name], *spent = timed(run)
            times[name].append((spent[0], spent[1]))
    middle = {name: [statistics.median(column) for column in zip(*spent, strict=True)] for name, spent in times.items()}
    ratios = [[a[i] / b[i] for a, b in zip(times["MONAI"], times["ours"], strict=True)] for i in (0, 1)]
    return {
        "network": job.network,
        "shape": list(job.plan.shape),
        "windows": len(job.plan.starts),
        "at_once": job.at_once,
        "seconds": {name: round(m[0], 3) for name, m in middle.items()},
        "processor_seconds": {name: round(m[1], 3) for name, m in middle.items()},
        "ratio": round(statistics.median(ratios[0]), 2),
        "processor_ratio": round(statistics.median(ratios[1]), 2),
        "largest_difference": float((answers["MONAI"] - answers["ours"]).abs().max()),
        "dice": round(dice(answers["MONAI"], answers["ours"]), 5),
    }


def peak_of(run: Callable[[], torch.Tensor]) -> float:
    """Return by how many MB the memory of this process grows at most while `run` runs."""
    import psutil

    process, stop = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.002):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        stop.set()
        watcher.join()
    return (most - before) / 2**20


def peak_memory(engine: str, job: Job) -> float:
    """Return the peak in MB, measured in a new process."""
    command = [sys.executable, __file__, "--peak-of", engine, "--network", job.network, "--threads", str(job.threads)]
    command += ["--at-once", str(job.at_once), "--peak-shape", *map(str, (*job.plan.shape, *job.plan.window))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def what_cutting_adds(raw: np.ndarray, window: Shape, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time this engine on the whole volume, on the brain, and on the brain less its empty windows."""
    whole = torch.from_numpy(np.stack([zscore_nonzero(channel) for channel in raw]))
    brain = crop(raw)
    cut = plan_windows(brain.shape[1:], window, OVERLAP, 16)
    steps = [
        ("whole volume, every window", whole, plan_windows(whole.shape[1:], window, OVERLAP, 16)),
        ("whole volume, no window of background", whole, None),
        ("cut to the brain", brain, cut),
        ("cut to the brain, no window of background", brain, without_background(cut, brain)),
    ]
    rows = []
    for name, image, plan in steps:
        plan = plan or without_background(plan_windows(image.shape[1:], window, OVERLAP, 16), image)
        at_once = min(args.threads, len(plan.starts))
        job = Job("SubvoxelSegResNet", image, plan, at_once, args.threads, args.weights)
        run = our_engine(job)
        spent = statistics.median(timed(run)[1] for _ in range(args.repeats))
        rows.append({"what": name, "shape": list(plan.shape), "windows": len(plan.starts), "seconds": round(spent, 3)})
    return rows


def same_windows(brain: torch.Tensor, sizes: Sizes, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare both engines on the brain, and print."""
    print("Same windows, same network, in turns (median of runs; ratio above 1: ours is faster)")
    rows = []
    for name in args.network:
        for at_once in args.at_once:
            job = Job(name, brain, monai_plan(tuple(brain.shape[1:]), sizes.window), at_once, args.threads, args.weights)
            row = compare(job, args.repeats)
            rows.append(row)
            print(f"  {name}, {row['windows']} windows, {at_once} at a time")
            for key, ratio in (("seconds", "ratio"), ("processor_seconds", "processor_ratio")):
                spent = row[key]
                print(f"    {key:18} MONAI {spent['MONAI']:8.2f}   ours {spent['ours']:8.2f}   ratio {row[ratio]}")
            print(f"    {'labels':18} Dice {row['dice']}, largest difference of logits {row['largest_difference']:.1e}", flush=True)
            if not args.only_comparison:
                peak = row["peak_mb"] = {engine: round(peak_memory(engine, job)) for engine in ENGINES}
                print(f"    {'peak memory, MB':18} MONAI {peak['MONAI']:8d}   ours {peak['ours']:8d}", flush=True)
    return rows


def against_size(sizes: Sizes, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare both engines on heads of several sizes, and print."""
    print("\nTime against size (SubvoxelSegResNet, as many windows at a time as cores)")
    rows = []
    for share in sizes.shares:
        size = tuple(round(edge * share) for edge in sizes.brain)
        window = tuple(min(edge, -(-n // 16) * 16) for edge, n in zip(sizes.window, size, strict=True))
        image = crop(head(size, size))
        # Filled up to the window here, so that both engines compute the same voxels.
        missing = [n for edge, length in zip(window[::-1], image.shape[:0:-1], strict=True) for n in (0, max(0, edge - length))]
        image = torch.nn.functional.pad(image, missing)
        plan = monai_plan(tuple(image.shape[1:]), window)
        job = Job("SubvoxelSegResNet", image, plan, min(args.threads, len(plan.starts)), args.threads, args.weights)
        row = compare(job, args.repeats)
        rows.append(row)
        spent = row["seconds"]
        print(
            f"  {size!s:18} {np.prod(size) / 1e6:5.2f} million voxels {row['windows']:3d} windows   MONAI {spent['MONAI']:7.2f} s"
            f"   ours {spent['ours']:7.2f} s   ratio {row['ratio']}   Dice {row['dice']}",
            flush=True,
        )
    return rows


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", type=Path, help="folder of a case with T1, T1c, T2 and FLAIR; a generated head otherwise")
    parser.add_argument("--weights", type=Path, help="safetensors of brain-tumour-small; random weights otherwise")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="default: both")
    parser.add_argument("--at-once", type=int, action="append", help="windows at a time; default: 1 and the number of cores")
    parser.add_argument("--threads", type=int, default=cores(), help="processor cores to use")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only-comparison", action="store_true", help="leave out memory, cutting and sizes")
    parser.add_argument("--quick", action="store_true", help="a small head, once, to see that everything runs")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--peak-of", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--peak-shape", type=int, nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.network = args.network or list(NETWORKS)
    args.at_once = args.at_once or sorted({1, args.threads})
    args.repeats = 1 if args.quick else args.repeats
    return args


def main() -> int:
    """Parse the command line, run, print."""
    args = arguments()
    if args.peak_of:
        image = crop(head(args.peak_shape[:3], args.peak_shape[:3]))
        plan = monai_plan(tuple(image.shape[1:]), tuple(args.peak_shape[3:]))
        print(peak_of(ENGINES[args.peak_of](Job(args.network[0], image, plan, args.at_once[0], args.threads, args.weights))))
        return 0

    sizes = QUICK if args.quick else BRATS
    raw = read(args.case) if args.case else head(sizes.volume, sizes.brain)
    brain = crop(raw)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": args.threads,
        "load": [round(load, 1) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }
    print(machine)
    print(f"{args.case or 'generated head'}: {raw.shape[1:]}, cut to {tuple(brain.shape[1:])}")
    print(f"window {sizes.window}, overlap {OVERLAP}, Gaussian blending, float32\n")
    report: dict[str, Any] = {"machine": machine, "same_windows": same_windows(brain, sizes, args)}
    if not args.only_comparison:
        print("\nWhat cutting to the brain and leaving out background add (ours, SubvoxelSegResNet)")
        report["cutting"] = what_cutting_adds(raw, sizes.window, args)
        for row in report["cutting"]:
            print(f"  {row['what']:45} {row['shape']!s:18} {row['windows']:3d} windows {row['seconds']:8.2f} s", flush=True)
        report["sizes"] = against_size(sizes, args)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2))
    alike = all(row["dice"] >= SAME for row in (*report["same_windows"], *report.get("sizes", [])))
    print("\nThe labels are the same." if alike else f"\nThe labels DIFFER: Dice below {SAME}.")
    return 0 if alike else 1


if __name__ == "__main__":
    sys.exit(main())

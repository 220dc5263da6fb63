"""Time of the tool *Lesion from a click* on 400 x 512 x 512 voxels: with what its segmenter sees, and on the whole volume.

    python benchmarks/click_large.py
    python benchmarks/click_large.py --quick     a small volume, once

Both give the same mask, or the exit code is 1. The whole of the tool is timed, from the click to the labels that are written.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import SegmenterSpec
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.workflows.environment import load_settings
from napari_tumorseg.workflows.prompt import PromptParams, prompt_tools

Bools = npt.NDArray[np.bool_]
SPACING_MM = (1.0, 0.7, 0.7)


def ball(shape: Sequence[int], centre: Sequence[int], radius_mm: float) -> tuple[Box, Bools]:
    """Return a ball in its box."""
    middle = Box(*((int(v[0]), int(v[1]), int(v[2])) for v in (centre, np.add(centre, 1))))
    box = middle.grown([int(radius_mm / s) + 1 for s in SPACING_MM], shape)
    lines = [((np.arange(a, b) - c) * s) ** 2 for a, b, c, s in zip(box.start, box.stop, centre, SPACING_MM, strict=True)]
    return box, lines[0][:, None, None] + lines[1][:, None] + lines[2] <= radius_mm**2


def scope(shape: tuple[int, int, int]) -> tuple[Scope, dict[str, tuple[Target, PromptParams]]]:
    """Return a volume with three bright balls, one of them drawn and one drawn in part, and clicks on each."""
    rng = np.random.default_rng(0)
    image = np.empty(shape, np.float32)
    for plane in image:
        plane[:] = 100 + 5 * rng.standard_normal(plane.shape, np.float32)
    schema = preset("lesion")
    labels = np.zeros(shape, np.uint8)
    places = [[int(n * share) for n in shape] for share in (0.3, 0.5, 0.7)]
    for number, place in enumerate(places):
        box, inside = ball(shape, place, 15.0)
        image[box.slices][inside] += 60
        labels[box.slices][inside & (number < 2)] = schema.labels[0].value
    box, lost = ball(shape, np.add(places[1], (0, 0, 15)), 8.0)
    labels[box.slices][lost] = 0
    made = Scope(labels, Grid.from_spacing(shape, SPACING_MM), schema, schema.labels[0].value, image=image, images={"T1c": image})
    clicks = {"a lesion": places[2], "what a lesion lacks": np.add(places[1], (0, 0, 15)), "take away": places[0]}
    return made, {
        name: (
            Target(voxel=(int(at[0]), int(at[1]), int(at[2]))),
            PromptParams(action="take away" if name == "take away" else "add"),
        )
        for name, at in clicks.items()
    }


def timed(spec: SegmenterSpec, where: Scope, target: Target, params: PromptParams, runs: int) -> tuple[Draft, list[float], list[float]]:
    """Return what the tool answers, and milliseconds on the clock and of the processor for each run after the first."""
    tool = prompt_tools(spec, lambda: ClickSegmenter(spec))[0]
    wall, cpu = [], []
    for _ in range(runs + 1):
        began, spent = time.perf_counter(), time.process_time()
        made = tool.run(where, target, params, None)
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - spent))
    assert made is not None
    return made, wall[1:], cpu[1:]


def main() -> int:
    """Measure, print, and say by the exit code whether both answers are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    where, clicks = scope((80, 140, 140) if options.quick else (400, 512, 512))
    spec = Catalogue(load_settings()).spec("click-lesion")
    rows: list[dict[str, Any]] = []
    for name, (target, params) in clicks.items():
        row: dict[str, Any] = {"click": name}
        made = []
        for way, used in (("box", spec), ("whole", replace(spec, sees_mm=None))):
            draft, wall, cpu = timed(used, where, target, params, 1 if options.quick else 5)
            made.append(draft)
            row |= {f"{way}_wall_ms": float(np.median(wall)), f"{way}_cpu_ms": float(np.median(cpu))}
        row["same"] = made[0].box == made[1].box and bool(np.array_equal(made[0].labels, made[1].labels))
        rows.append(row)
        print(
            f"{name:22} box {row['box_wall_ms']:6.0f} ms ({row['box_cpu_ms']:.0f} of the processor)   "
            f"whole {row['whole_wall_ms']:6.0f} ms ({row['whole_cpu_ms']:.0f})   {'same' if row['same'] else 'DIFFERENT'}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows), encoding="utf-8")
    return 0 if all(row["same"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

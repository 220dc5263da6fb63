"""The editing tools beside the same operations of scipy and scikit-image on the whole volume: time, memory, same result.

    python benchmarks/editing_tools.py                    a lesion of 30 mm in 400 x 512 x 512 voxels
    python benchmarks/editing_tools.py --only smooth      tools whose names begin so
    python benchmarks/editing_tools.py --sizes            time against the size of the lesion, ours only
    python benchmarks/editing_tools.py --quick            a small volume, once

The mask holds one ragged lesion of three classes and small ones far away; the tool is given the
lesion in focus where it takes one. Ours is the median of several runs, the other is run once, as it
takes seconds. Memory is what numpy reserves at most during the call, by tracemalloc. "-" stands where
neither library has the operation. Exit code 1 means that a result differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from skimage import draw, graph, segmentation

from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.editing.livewire import LiveWire, edge_cost
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.tools import TOOLS
from napari_tumorseg.voxels.ball import ball

SPACING = (1.0, 0.7, 0.7)
GOAL_MS, GOAL_RATIO = 250.0, 10.0
ALL_ROUND = np.ones((3, 3, 3), bool)
Array = np.ndarray


@dataclass
class Scene:
    """A volume with a lesion in its middle, and what the user points at."""

    scope: Scope
    part: tuple[Box, Array]
    middle: tuple[int, int, int]
    radius_mm: float

    def target(self, focus: bool = True, **more: Any) -> Target:
        """Return a target at the middle of the lesion."""
        return Target(**{"voxel": self.middle, "part": self.part if focus else None, **more})


@dataclass
class Case:
    """One line of the table: a tool with settings, and the same by a library on the whole volume."""

    tool: str
    params: dict[str, Any] = field(default_factory=dict)
    peer: Callable[[Scene], Array] | None = None
    peer_name: str = ""
    target: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    scene: str = "lesion"
    path: Callable[[Scene], Array] | None = None
    compare: str = "label"


def make_scene(shape: tuple[int, int, int], diameter_mm: float, kind: str = "lesion") -> Scene:
    """Return a ragged lesion of three classes with holes and crumbs, and small ones far away."""
    rng = np.random.default_rng(3)
    z, y, x = (n // 2 for n in shape)
    middle = (z, y, x)
    reach = [int(1.9 * diameter_mm / 2 / s) for s in SPACING]
    box = Box(middle, (z + 1, y + 1, x + 1)).grown(reach, shape)
    axes = np.ogrid[tuple(slice(a - m, b - m) for a, b, m in zip(box.start, box.stop, middle, strict=True))]
    away = np.sqrt(sum((axis * s) ** 2 for axis, s in zip(axes, SPACING, strict=True)))
    rough = ndimage.gaussian_filter(rng.standard_normal(away.shape), 2.0)
    rough *= 0.06 * diameter_mm / rough.std()
    radius = diameter_mm / 2
    block = np.zeros(away.shape, np.uint8)
    block[away + rough < radius * 1.3] = 2
    block[away + rough < radius] = 3
    block[away + rough < radius * 0.4] = 1
    block[(block == 3) & (rng.random(away.shape) < 0.005)] = 0
    if kind == "twins":
        shift = int(1.5 * radius / SPACING[2])
        twin = away + np.minimum(rough, 0) < radius * 0.8
        block = np.where(np.roll(twin, shift // 2, 2) | np.roll(twin, -shift // 2, 2), 3, 0).astype(np.uint8)
    labels = np.zeros(shape, np.uint8)
    labels[box.slices] = block
    if kind == "slices":
        keep = np.zeros(shape[0], bool)
        keep[z % 5 :: 5] = True
        labels[~keep] = 0
        labels[labels == 2] = 0
        labels[labels == 1] = 3
        for index in np.flatnonzero(keep):
            plane = labels[index]
            parts, count = ndimage.label(plane, ALL_ROUND[0])
            if count > 1:
                plane[parts != 1 + np.bincount(parts.ravel())[1:].argmax()] = 0
    before = labels.copy()
    if kind == "corrected":
        # Every fifth slice of the lesion was grown by 2 mm and shifted inside.
        for index in range(z - int(radius), z + int(radius) + 1, 5):
            plane = labels[index]
            wide = ndimage.distance_transform_edt(plane == 0, sampling=SPACING[1:]) <= 2.0
            plane[wide & (plane == 0)] = 2
            plane[:] = np.where((plane > 0) & (np.roll(plane, 2, axis=1) > 0), np.roll(plane, 2, axis=1), plane)
    image = np.empty(shape, np.int16)
    noise = rng.normal(200, 10, shape[1:]).astype(np.int16)
    for index in range(shape[0]):
        image[index] = np.roll(noise, (37 * index) % 101, axis=1)
    image[box.slices] += np.where(away < radius, 150, 0).astype(np.int16)
    if kind == "mets":
        for _ in range(60):
            at = [int(rng.integers(8, n - 8)) for n in shape]
            size = int(rng.integers(1, 5))
            labels[tuple(slice(i - size, i + size) for i in at)] = 3
    labels.flags.writeable = False
    parts, _ = ndimage.label(block != 0, ALL_ROUND)
    own = parts == parts[tuple(m - a for m, a in zip(middle, box.start, strict=True))]
    ai = labels.copy()
    ai[box.slices] = ndimage.median_filter(block, 3)
    scope = Scope(labels, Grid.from_spacing(shape, SPACING), preset("brats-mets-2025"), 3, image=image, ai=ai, other=ai, before=before)
    return Scene(scope, (box, own & (block != 0)), middle, radius)


def whole_part(scene: Scene) -> Array:
    """Return the lesion in focus in the whole volume."""
    out = np.zeros(scene.scope.labels.shape, bool)
    out[scene.part[0].slices] = scene.part[1]
    return out & (scene.scope.labels == scene.scope.label)


def grows(scene: Scene, before: Array, after: Array) -> Array:
    """Return what has the label when `before` turns into `after` over background only."""
    labels = scene.scope.labels
    return ((labels == 3) & ~before) | (before & after) | (after & (labels == 0))


def footprint(radius_mm: float) -> Array:
    """Return a ball on the benchmark's grid."""
    return ball(2 * radius_mm, SPACING)


def peer_median(scene: Scene) -> Array:
    """Median by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.median_filter(mine.view(np.uint8), footprint=footprint(2.0), mode="nearest") > 0)


def peer_gaussian(scene: Scene) -> Array:
    """Gaussian by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.gaussian_filter(mine.astype(np.float32), [1.0 / s for s in SPACING], mode="nearest") > 0.5)


def peer_opening(scene: Scene) -> Array:
    """Open by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.binary_opening(mine, footprint(2.0)))


def peer_closing(scene: Scene) -> Array:
    """Close by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.binary_closing(mine, footprint(2.0)))


def peer_joint(scene: Scene) -> Array:
    """Smooth jointly by scipy: Gaussians of all labels, the largest wins."""
    labels = scene.scope.labels
    seen = np.zeros_like(labels)
    seen[scene.part[0].slices] = np.where(scene.part[1], labels[scene.part[0].slices], 0)
    best, found = np.full(labels.shape, -1.0, np.float32), np.zeros_like(labels)
    for value in range(4):
        weight = ndimage.gaussian_filter((seen == value).astype(np.float32), [1.0 / s for s in SPACING], mode="nearest")
        wins = (weight > best + 1e-6) | ((weight > best - 1e-6) & (seen == value))
        best[wins], found[wins] = weight[wins], value
    return np.where((seen != 0) | (labels == 0), found, labels)


def peer_grow_margin(scene: Scene) -> Array:
    """Dilate by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.binary_dilation(mine, footprint(3.0)))


def peer_shrink_margin(scene: Scene) -> Array:
    """Erode by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.binary_erosion(mine, footprint(3.0), border_value=1))


def peer_hollow(scene: Scene) -> Array:
    """Take the eroded lesion away, by scipy."""
    mine = whole_part(scene)
    return (scene.scope.labels == 3) & ~(mine & ndimage.binary_erosion(mine, footprint(2.0), border_value=1))


def peer_fill(scene: Scene) -> Array:
    """Fill holes by scipy."""
    mine = whole_part(scene)
    return grows(scene, mine, ndimage.binary_fill_holes(mine))


def peer_islands(keep: Callable[[Array], Array]) -> Callable[[Scene], Array]:
    """Return a function that labels the whole volume by scipy and keeps some islands."""

    def run(scene: Scene) -> Array:
        parts, _ = ndimage.label(scene.scope.labels == 3, ALL_ROUND)
        sizes = np.bincount(parts.ravel())
        kept = keep(sizes)
        kept[0] = False
        return kept[parts]

    return run


def largest(sizes: Array) -> Array:
    """Return which island is the largest."""
    kept = np.zeros(len(sizes), bool)
    kept[1 + int(sizes[1:].argmax())] = True
    return kept


def big(sizes: Array) -> Array:
    """Return which islands have at least 20 mm3."""
    return sizes * np.prod(SPACING) >= 20.0


def peer_island_at(delete: bool, ai: bool = False) -> Callable[[Scene], Array]:
    """Return a function that finds the island under the cursor by scipy."""

    def run(scene: Scene) -> Array:
        labels = scene.scope.labels
        value = labels[scene.middle]
        parts, _ = ndimage.label(scene.scope.ai != 0 if ai else labels == value, ALL_ROUND)
        island = parts == parts[scene.middle]
        if ai:
            return (labels == 3) | (island & (labels == 0))
        return np.where(island, 0, labels) if delete else np.where(island, 3, labels)

    return run


def peer_union(scene: Scene) -> Array:
    """Unite by numpy, within the lesion in focus."""
    inside = np.zeros(scene.scope.labels.shape, bool)
    inside[scene.part[0].slices] = scene.part[1]
    return (scene.scope.labels == 3) | (inside & (scene.scope.ai == 3))


def peer_restore_sphere(scene: Scene) -> Array:
    """Restore by numpy on the whole grid."""
    return np.where(whole_ball(scene, 10.0), scene.scope.ai, scene.scope.labels)


def whole_ball(scene: Scene, radius_mm: float) -> Array:
    """Return a ball round the middle in the whole volume."""
    shape = scene.scope.labels.shape
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    square = sum((((a - m) * s).astype(np.float32)) ** 2 for a, m, s in zip(axes, scene.middle, SPACING, strict=True))
    return np.asarray(square <= radius_mm**2 * (1 + 1e-6))


def peer_brush(scene: Scene) -> Array:
    """Paint a ball by numpy on the whole grid."""
    return (scene.scope.labels == 3) | whole_ball(scene, 15.0)


def peer_flood(scene: Scene) -> Array:
    """Flood by scikit-image."""
    found = segmentation.flood(scene.scope.image, scene.middle, connectivity=1, tolerance=60)
    return (scene.scope.labels == 3) | (found & (scene.scope.labels == 0))


def peer_lasso(scene: Scene) -> Array:
    """Fill a polygon by scikit-image in the whole slice."""
    out = scene.scope.labels == 3
    path = outline(scene)
    out[scene.middle[0]] |= draw.polygon2mask(out.shape[1:], path[:, 1:]) & (scene.scope.labels[scene.middle[0]] == 0)
    return out


def peer_interpolate(scene: Scene) -> Array:
    """Interpolate distance maps by scipy, of whole slices, moved by their centres of mass."""
    labels, half = scene.scope.labels == 3, min(SPACING[1:]) / 2
    out = labels.copy()
    drawn = [int(z) for z in np.flatnonzero(labels.any(axis=(1, 2)))]

    def signed(plane: Array) -> Array:
        far = ndimage.distance_transform_edt(plane, SPACING[1:]) - ndimage.distance_transform_edt(~plane, SPACING[1:])
        return (far - np.sign(far) * half).astype(np.float32)

    for low, high in itertools.pairwise(drawn):
        way = np.subtract(ndimage.center_of_mass(labels[high]), ndimage.center_of_mass(labels[low]))
        a, b = signed(labels[low]), signed(labels[high])
        for z in range(low + 1, high):
            t = (z - low) / (high - low)
            here = ndimage.shift(a, t * way, order=1, mode="nearest")
            there = ndimage.shift(b, (t - 1) * way, order=1, mode="nearest")
            out[z] = (1 - t) * here + t * there > 1e-5
    return out


def peer_carry(scene: Scene) -> Array:
    """Carry the changes of every fifth slice to those between, by scipy: signed distances of whole slices, the largest wins."""
    now, before = scene.scope.labels, scene.scope.before
    keys = [int(z) for z in np.flatnonzero((now != before).any(axis=(1, 2)))]

    def depth(mask: Array) -> Array:
        inside, outside = (ndimage.distance_transform_edt(m, sampling=SPACING[1:]) for m in (mask, ~mask))
        signed = np.where(mask, inside - SPACING[1] / 2, SPACING[1] / 2 - outside) if mask.any() else np.full(mask.shape, -10.0)
        return np.clip(signed, -10, 10).astype(np.float32)

    out = now.copy()
    change = {(k, v): depth(now[k] == v) - depth(before[k] == v) for k in keys for v in range(4)}
    for z in range(keys[0] - 2, keys[-1] + 3):
        if z in keys:
            continue
        low, high = max((k for k in keys if k < z), default=None), min((k for k in keys if k > z), default=None)
        if low is None or high is None:
            only = high if low is None else low
            shares = {only: 1 - abs(z - only) * SPACING[0] / 3.0}
        else:
            shares = {low: (high - z) / (high - low), high: (z - low) / (high - low)}
        fields = [
            np.round(depth(now[z] == v) + sum(s * change[k, v] for k, s in shares.items()), 3) + 5e-4 * (now[z] == v) for v in range(4)
        ]
        out[z] = np.argmax(fields, axis=0)
    return out


def outline(scene: Scene) -> Array:
    """Return a wobbly outline of the lesion in its middle slice."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = scene.radius_mm * (1 + 0.15 * np.sin(5 * angle))
    z, y, x = scene.middle
    columns = [np.full(120, z), y + 0.013 + radius * np.sin(angle) / SPACING[1], x + 0.017 + radius * np.cos(angle) / SPACING[2]]
    return np.stack(columns, axis=1)


def arc(scene: Scene) -> Array:
    """Return a third of the outline."""
    return outline(scene)[:40]


def anchors(scene: Scene) -> Array:
    """Return eight points on the border of the lesion."""
    return outline(scene)[::15]


def stretch(scene: Scene) -> Array:
    """Return a stroke of a brush through the lesion."""
    z, y, x = scene.middle
    reach = scene.radius_mm / SPACING[2]
    return np.array([[z, y, x - reach], [z, y + 5, x], [z, y, x + reach]])


CASES = (
    Case("brush", {"diameter_mm": 30.0, "in_3d": True}, peer_brush, "numpy, whole grid", note="dab, 30 mm sphere"),
    Case("brush", {"diameter_mm": 15.0, "in_3d": True}, path=stretch, note="stroke, 15 mm sphere"),
    Case("threshold_paint", {"low": 280.0, "high": 500.0}, note="30 mm sphere"),
    Case("adaptive_brush", note="30 mm sphere"),
    Case("grow", {"radius_mm": 25.0, "tolerance": 60.0, "neck_mm": 0.0}, peer_flood, "skimage flood"),
    Case("grow", {"radius_mm": 25.0}, note="automatic, neck 2 mm"),
    Case("grow_seeds", {"reach": "lesion in focus"}, scene="slices", note="dense scribbles"),
    Case("level_tracing", note="in the slice"),
    Case("livewire", path=anchors, note="8 anchors"),
    Case("lasso", {}, peer_lasso, "skimage polygon2mask", path=outline),
    Case("reshape", {}, path=arc, note="a stretch"),
    Case("reshape", {"border": "all labels together"}, path=outline, note="all round"),
    Case("carry", {}, peer_carry, "scipy edt, whole slices", scene="corrected", note="every 5th slice", compare="all"),
    Case("interpolate", {}, peer_interpolate, "scipy edt, whole slices", scene="slices", note="every 5th slice"),
    Case("copy_slice", {"adapt_mm": 2.0}, note="fitted"),
    Case("smooth", {"method": "median"}, peer_median, "scipy median_filter"),
    Case("smooth", {"method": "opening"}, peer_opening, "scipy binary_opening"),
    Case("smooth", {"method": "closing"}, peer_closing, "scipy binary_closing"),
    Case("smooth", {"method": "gaussian"}, peer_gaussian, "scipy gaussian_filter"),
    Case("smooth_jointly", {}, peer_joint, "scipy gaussian_filter", compare="all"),
    Case("margin", {"margin_mm": 3.0}, peer_grow_margin, "scipy binary_dilation", note="grow"),
    Case("margin", {"margin_mm": -3.0}, peer_shrink_margin, "scipy binary_erosion", note="shrink"),
    Case("hollow", {}, peer_hollow, "scipy binary_erosion"),
    Case("fill_holes", {}, peer_fill, "scipy binary_fill_holes"),
    Case("keep_largest", {}, peer_islands(largest), "scipy label", note="lesions all over", scene="mets"),
    Case("drop_small", {}, peer_islands(big), "scipy label", note="lesions all over", scene="mets"),
    Case("drop_small", {}, peer_islands(big), "scipy label"),
    Case("split", {"neck_mm": 1.5}, scene="twins"),
    Case("delete_island", {}, peer_island_at(delete=True), "scipy label", compare="all"),
    Case("relabel_island", {}, peer_island_at(delete=False), "scipy label", compare="all"),
    Case("keep_island", {}, note="lesions all over", scene="mets"),
    Case("add_island", {}, peer_island_at(delete=False, ai=True), "scipy label"),
    Case("combine", {"source": "AI's mask", "other_label": 3, "reach": "lesion in focus"}, peer_union, "numpy", note="union"),
    Case("restore_part", {}),
    Case("restore_sphere", {}, peer_restore_sphere, "numpy, whole grid", compare="all"),
    Case("restore_lasso", {}, path=outline),
)


def bind(case: Case, scene: Scene, focus: bool = True) -> Callable[[], Draft | None]:
    """Return a call of the tool."""
    tool = TOOLS[case.tool]
    params = tool.params(**case.params)
    more: dict[str, Any] = {} if case.path is None else {"path": case.path(scene)}
    if case.tool in ("brush",) and case.path is None:
        more = {"path": np.array([scene.middle], float)}
    if case.tool == "level_tracing":
        z, y, x = scene.middle
        more = {"voxel": (z, y, x + int(scene.radius_mm / SPACING[2]) - 2)}
    if case.tool == "copy_slice":
        more = {"voxel": (scene.middle[0] + 3, *scene.middle[1:])}
    target = scene.target(focus, **more)
    run: Any = tool.run
    if tool.kind == "gate":
        under = ball(30.0, SPACING)
        start = [m - n // 2 for m, n in zip(scene.middle, under.shape, strict=True)]
        box = Box(tuple(start), tuple(a + n for a, n in zip(start, under.shape, strict=True)))
        return lambda: run(scene.scope, target, box, under, params, None)
    return lambda: run(scene.scope, target, params, None)


def clocked(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return median milliseconds of a call and its result."""
    times, found = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        found = call()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times), found


def peak_mb(call: Callable[[], Any]) -> float:
    """Return what numpy reserves at most during a call, in MB."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def same(case: Case, scene: Scene, found: Draft | None, expected: Array) -> int:
    """Return how many voxels differ."""
    done = scene.scope.labels.copy()
    if found is not None:
        done[found.box.slices] = found.labels
    return int(np.count_nonzero(done != expected if case.compare == "all" else (done == 3) != expected))


def measure(case: Case, scenes: dict[str, Scene], repeats: int) -> dict[str, Any]:
    """Return the row of one case."""
    scene = scenes[case.scene]
    call = bind(case, scene)
    call()
    ms, found = clocked(call, repeats)
    row: dict[str, Any] = {"tool": case.tool, "note": case.note or case.params.get("method", ""), "ms": ms, "mb": peak_mb(call)}
    if "reach" in TOOLS[case.tool].params.__dataclass_fields__:
        row["ms_whole_mask"] = clocked(bind(case, scene, focus=False), max(1, repeats // 2))[0]
    if case.peer is not None:
        tracemalloc.start()
        row["peer_ms"], expected = clocked(lambda: case.peer(scene), 1)
        row["peer_mb"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        row["peer"], row["ratio"] = case.peer_name, row["peer_ms"] / ms
        row["differ"] = same(case, scene, found, expected)
    return row


def live_preview(shape: tuple[int, int], radius_mm: float, repeats: int) -> list[dict[str, Any]]:
    """Return the time of the live-wire's preview: a new anchor and the way to the cursor, near and far."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    middle = (shape[0] // 2, shape[1] // 2)
    image = rng.normal(100, 10, shape) + 80 * (((y - middle[0]) * 0.7) ** 2 + ((x - middle[1]) * 0.7) ** 2 < radius_mm**2)
    cost_ms, _ = clocked(lambda: edge_cost(image, (0.7, 0.7)), repeats)
    rows = [{"step": "costs of the slice, once", "ms": cost_ms}]
    wire = LiveWire(image, (0.7, 0.7))
    wire.anchor((0, 0))
    wire.path_to((shape[0] - 1, shape[1] - 1))
    for away in (20, 60, min(shape) // 2, min(shape) - 10):
        start = (middle[0], middle[1] - away // 2)
        end = (middle[0] + away // 8, start[1] + away)

        def both(start: tuple[int, int] = start, end: tuple[int, int] = end) -> Array:
            wire.anchor(start)
            return wire.path_to(end)

        row = {"step": f"anchor, then path over {away} pixels", "ms": clocked(both, repeats)[0]}
        row["next_ms"] = clocked(lambda end=end: wire.path_to(end), repeats)[0]
        row["peer_ms"] = clocked(lambda start=start, end=end: graph.route_through_array(wire.cost, start, end), 1)[0]
        rows.append(row)
    return rows


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small volume, once")
    parser.add_argument("--only", default="", help="tools whose names begin so")
    parser.add_argument("--sizes", action="store_true", help="time against the size of the lesion, ours only")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    shape = (72, 120, 120) if args.quick else (400, 512, 512)
    repeats = 1 if args.quick else args.repeats
    cases = [case for case in CASES if case.tool.startswith(args.only)]
    print(f"{' x '.join(map(str, shape))} voxels of {SPACING} mm, label masks uint8, image int16")
    if args.sizes:
        found = table_of_sizes(cases, shape, repeats, (10.0, 20.0) if args.quick else (10.0, 20.0, 30.0, 60.0))
        failed = False
    else:
        found, failed = table(cases, shape, repeats, 20.0 if args.quick else 30.0)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))
    return int(failed)


def table(cases: list[Case], shape: tuple[int, int, int], repeats: int, diameter_mm: float) -> tuple[dict[str, Any], bool]:
    """Print the table of all tools; return it and whether any result differs."""
    scenes = {kind: make_scene(shape, diameter_mm, kind) for kind in sorted({case.scene for case in cases})}
    print(f"lesion of {diameter_mm:g} mm; goal: under {GOAL_MS:g} ms and {GOAL_RATIO:g} times faster\n")
    print(f"{'tool':16} {'':24} {'ms':>7} {'all, ms':>8} {'MB':>6}   {'peer':24} {'ms':>8} {'MB':>6} {'ratio':>7} {'differ':>7}")
    rows = []
    for case in cases:
        row = measure(case, scenes, repeats)
        row["ok"] = shape[0] < 400 or (row["ms"] < GOAL_MS and row.get("ratio", GOAL_RATIO) >= GOAL_RATIO)
        whole = f"{row['ms_whole_mask']:8.1f}" if "ms_whole_mask" in row else f"{'-':>8}"
        line = f"{row['tool']:16} {row['note']:24} {row['ms']:7.1f} {whole} {row['mb']:6.1f}   "
        if "peer" in row:
            line += f"{row['peer']:24} {row['peer_ms']:8.0f} {row['peer_mb']:6.0f} {row['ratio']:7.0f} {row['differ']:7d}"
        else:
            line += f"{'-':24} {'-':>8} {'-':>6} {'-':>7} {'-':>7}"
        print(line + ("" if row["ok"] else "   beside the goal"), flush=True)
        rows.append(row)
    preview = live_preview(shape[1:], diameter_mm / 2, repeats) if any(case.tool == "livewire" for case in cases) else []
    for step in preview:
        more = f", next path {step['next_ms']:.1f} ms; skimage route_through_array {step['peer_ms']:.0f} ms" if "next_ms" in step else ""
        print(f"live-wire on {shape[1]} x {shape[2]}: {step['step']}: {step['ms']:.1f} ms{more}")
    return {"tools": rows, "livewire": preview}, any(row.get("differ") for row in rows)


def table_of_sizes(cases: list[Case], shape: tuple[int, int, int], repeats: int, sizes: tuple[float, ...]) -> dict[str, Any]:
    """Print milliseconds against the diameter of the lesion."""
    found: dict[str, dict[float, float]] = {}
    for size in sizes:
        scenes = {kind: make_scene(shape, size, kind) for kind in sorted({case.scene for case in cases})}
        for case in cases:
            call = bind(case, scenes[case.scene])
            call()
            name = f"{case.tool} {case.note or case.params.get('method', '')}".strip()
            found.setdefault(name, {})[size] = clocked(call, repeats)[0]
    print(f"{'ms, lesion of':42} " + " ".join(f"{size:5g} mm" for size in sizes))
    for name, times in found.items():
        print(f"{name:42} " + " ".join(f"{times[size]:8.1f}" for size in sizes))
    return {"sizes": found}


if __name__ == "__main__":
    sys.exit(main())

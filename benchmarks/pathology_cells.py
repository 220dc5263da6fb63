"""Parts of benchmarks/pathology.py that need no display: polygons, cells, and the TIL score of a slide of 60,000 x 60,000 pixels."""

from __future__ import annotations

import importlib.util
import resource
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.pathology.cells import measure_map, measure_polygons, with_surroundings
from napari_tumorseg.pathology.polygon_nms import keep_polygons, star_polygons
from napari_tumorseg.pathology.til_score import score_tils
from napari_tumorseg.pathology.til_tally import Cells

SPACING_UM = 0.25
PERIOD, NEST_PX, GAP_PX = 2000, 700, 100
TILS, OTHERS = 900, 400

Floats = npt.NDArray[np.float64]


def candidates(nuclei: int, each: int, spread: float, seed: int = 0) -> tuple[Floats, npt.NDArray[np.float32], Floats]:
    """Return centres, distances and probabilities of noisy candidates in elliptical nuclei, none farther out than `spread`."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(nuclei), each)
    centre, turn = rng.uniform(0, 57 * np.sqrt(nuclei), (nuclei, 2))[which], rng.uniform(0, np.pi, nuclei)[which]
    short = rng.uniform(8, 16, nuclei)
    axes = np.stack([short, short * rng.uniform(1, 1.6, nuclei)], axis=1)[which]
    away, around = spread * np.sqrt(rng.random(len(which))), rng.uniform(0, 2 * np.pi, len(which))
    turned = np.stack([np.stack([np.cos(turn), -np.sin(turn)]), np.stack([np.sin(turn), np.cos(turn)])]).transpose(2, 0, 1)
    offset = np.einsum("nij,nj->ni", turned, axes * away[:, None] * np.stack([np.sin(around), np.cos(around)], axis=1))
    centres = 2 * np.round((centre + offset) / 2)
    angles = 2 * np.pi * np.arange(32) / 32
    rays = np.einsum("nji,kj->nki", turned, np.stack([np.sin(angles), np.cos(angles)], axis=1)) / axes[:, None]
    start = np.einsum("nji,nj->ni", turned, centres - centre) / axes
    # Where a ray meets the ellipse: |start + t ray| = 1.
    a, b, c = (rays**2).sum(-1), np.einsum("nki,ni->nk", rays, start), (start**2).sum(-1)[:, None] - 1
    met = (-b + np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    distances = np.maximum(met * rng.normal(1, 0.05, met.shape), 1e-3).astype(np.float32)
    return centres, distances, 1 - away / 2 + rng.normal(0, 0.02, len(away))


def stardist_compiled(folder: Path | None) -> ModuleType | None:
    """Load StarDist's compiled part from an unpacked wheel, without the package, which asks for TensorFlow elsewhere."""
    found = sorted(folder.glob("stardist/lib/stardist2d*.so")) if folder else []
    if not found:
        return None
    spec = importlib.util.spec_from_file_location("stardist2d", found[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nms(quick: bool, stardist: Path | None) -> list[dict[str, Any]]:
    """Time the suppression of 100,000 candidates, beside StarDist's where its wheel is unpacked."""
    share, peer, rows = 10 if quick else 1, stardist_compiled(stardist), []
    for nuclei, each, spread in ((4000, 25, 0.35), (4000, 25, 0.7), (20_000, 5, 0.5), (1000, 100, 0.7)):
        centres, distances, probabilities = candidates(nuclei // share, each, spread)
        start = time.perf_counter()
        kept = keep_polygons(centres, distances, probabilities)
        row = {"candidates": len(centres), "nuclei": nuclei // share, "spread": spread, "kept": len(kept)}
        row["seconds"] = round(time.perf_counter() - start, 2)
        if peer is not None:
            order = np.argsort(-probabilities, kind="stable")
            for scale, name in ((1, "stardist"), (64, "stardist_x64")):
                prepared = [np.ascontiguousarray(v[order] * scale, dtype=np.float32) for v in (distances, centres)]
                start = time.perf_counter()
                theirs = peer.c_non_max_suppression_inds(*prepared, 1, 1, 0, np.float32(0.3))
                row[f"{name}_seconds"] = round(time.perf_counter() - start, 2)
                row[f"{name}_differ"] = len(np.setxor1d(kept, order[theirs]))
        rows.append(row)
        print(row)
    return rows


def cells(quick: bool) -> dict[str, Any]:
    """Time the measurements of 100,000 nuclei: as polygons on a slide of one tile, and as instance maps of 1,000 nuclei each."""
    count = 10_000 if quick else 100_000
    rng, side = np.random.default_rng(0), round(np.sqrt(count)) * 24
    stains = {"haematoxylin": rng.random((side, side), np.float32), "eosin": rng.random((side, side), np.float32)}
    polygons = star_polygons(rng.uniform(10, side - 10, (count, 2)), rng.uniform(6, 10, (count, 32)))
    start = time.perf_counter()
    table = measure_polygons(polygons, 0.5, stains)
    spent = {"nuclei": count, "polygons_s": time.perf_counter() - start}
    start = time.perf_counter()
    with_surroundings(table)
    spent["surroundings_s"] = time.perf_counter() - start
    edge = 32 * 24
    y, x = np.mgrid[:edge, :edge]
    tile = np.where((y % 24 - 12) ** 2 + (x % 24 - 12) ** 2 < 64, y // 24 * 32 + x // 24 + 1, 0).astype(np.int32)
    here = {name: values[:edge, :edge] for name, values in stains.items()}
    for name, expansion_um in (("map_s", None), ("map_with_cells_s", 5.0)):
        start = time.perf_counter()
        for _ in range(count // 1024):
            measure_map(tile, 0.5, here, expansion_um)
        spent[name] = time.perf_counter() - start
    spent = {name: round(value, 1) for name, value in spent.items()}
    print(spent)
    return spent


class LazyTissue:
    """A slide of tumour nests in stroma, a third of it labelled Immune, made when it is read.

    In each square of `PERIOD` pixels a round nest of radius `NEST_PX` holds a round gap of radius `GAP_PX`, which is labelled Immune
    and belongs to the nest.
    """

    def __init__(self, side: int) -> None:
        self.shape = (side, side)
        y, x = np.mgrid[:PERIOD, :PERIOD] + 0.5 - PERIOD / 2
        away = np.hypot(y, x)
        self.period = np.where(away < NEST_PX, 1, np.where(y < -PERIOD / 6, 3, 2)).astype(np.uint8)
        self.period[away < GAP_PX] = 3

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[np.uint8]:
        """Make a piece."""
        rows, columns = (np.arange(s.start, s.stop) % PERIOD for s in key)
        return self.period[np.ix_(rows, columns)]


def slide_cells(side: int) -> tuple[Cells, int]:
    """Return the cells of a slide, of each kind at random in every square, and how many TILs the score must count."""
    rng, squares = np.random.default_rng(0), (side // PERIOD) ** 2
    count = TILS + OTHERS
    at = rng.uniform(0, PERIOD, (squares * count, 2))
    til = np.tile(np.arange(count) < TILS, squares)
    wanted = int((til & (np.hypot(*(at - PERIOD / 2).T) >= NEST_PX)).sum())
    corner = np.repeat(np.arange(squares), count)
    at += PERIOD * np.stack([corner // (side // PERIOD), corner % (side // PERIOD)], axis=1)
    return Cells(at * SPACING_UM, til, np.full(len(til), 40.0)), wanted


def til(quick: bool) -> list[dict[str, Any]]:
    """Score slides of growing size: error of the density, seconds and peak memory of the process."""
    rows = []
    for side in (4000, 8000) if quick else (16_000, 30_000, 60_000):
        cells_, wanted = slide_cells(side)
        start = time.perf_counter()
        score = score_tils(LazyTissue(side), SPACING_UM, cells_)
        spent = time.perf_counter() - start
        stroma_mm2 = (side // PERIOD) ** 2 * (PERIOD**2 - np.pi * NEST_PX**2) * SPACING_UM**2 * 1e-6
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rows.append(
            {
                "side": side,
                "cells": len(cells_.til),
                "density_per_mm2": score["density_per_mm2"],
                "error_percent": 100 * (score["density_per_mm2"] / (wanted / stroma_mm2) - 1),
                "seconds": round(spent, 1),
                "seconds_per_gigapixel": round(spent / side**2 * 1e9, 2),
                "peak_gb": round(peak_gb, 2),
            }
        )
        print(rows[-1])
    return rows

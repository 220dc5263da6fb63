"""The benchmark of correction effort runs on a generated head, and its model of time and hand are what they say."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    out = tmp_path_factory.mktemp("effort") / "rows.json"
    command = [sys.executable, str(BENCHMARKS / "correction_effort.py"), "--quick", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["arm"]: row for row in json.loads(out.read_text())}


def test_both_arms_start_from_the_same_mask_and_get_nearer(rows: dict[str, dict]) -> None:
    assert set(rows) == {"stock", "ours"}
    assert rows["stock"]["first"] == rows["ours"]["first"]
    for row in rows.values():
        assert row["last"]["WT"] > row["first"]["WT"]
        assert row["bill"]["strokes"] == row["bill"]["drags"] + row["bill"]["clicks"] + row["bill"]["uses"]
        assert sum(tool[0] for tool in row["bill"]["by_tool"].values()) == row["bill"]["strokes"]
        # Every stroke takes time, and looking for errors comes on top.
        assert row["bill"]["seconds"] > sum(tool[2] for tool in row["bill"]["by_tool"].values())


def test_the_stock_arm_uses_stock_tools_alone(rows: dict[str, dict]) -> None:
    assert {tool.split()[0] for tool in rows["stock"]["bill"]["by_tool"]} <= {"brush", "fill"}


def test_our_arm_reaches_the_target_with_fewer_strokes(rows: dict[str, dict]) -> None:
    ours, stock = rows["ours"]["milestones"], rows["stock"]["milestones"]
    assert {"WT 0.95", "classes 0.85"} <= set(ours)
    for name, reached in stock.items():
        assert ours[name]["strokes"] < reached["strokes"]


@pytest.fixture(scope="module")
def effort() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import effort.cases
        import effort.hand
        import effort.klm
        import effort.tally
    finally:
        sys.path.remove(str(BENCHMARKS))
    return effort


def test_pointing_follows_fitts(effort: ModuleType) -> None:
    assert effort.klm.point_s(70.0, 10.0) == pytest.approx(-0.107 + 0.223 * math.log2(8))
    assert effort.klm.point_s(0.0, 10.0) == 0.0


def test_a_drawn_line_is_off_by_what_the_hand_is_said_to_be(effort: ModuleType) -> None:
    plane = np.zeros((200, 200), bool)
    plane[:, :100] = True
    edges = np.concatenate([effort.hand.Hand(seed, line_mm=0.8).drawn(plane, (1.0, 1.0))[20:-20].sum(1) for seed in range(20)])
    assert abs(edges.mean() - 100) < 0.3
    assert 0.5 < edges.std() < 1.2
    assert np.array_equal(effort.hand.Hand(0, line_mm=0.0).drawn(plane, (1.0, 1.0)), plane)
    again = [effort.hand.Hand(3).drawn(plane, (1.0, 1.0)) for _ in range(2)]
    assert np.array_equal(*again)


def test_a_line_along_a_border_is_off_by_what_the_hand_is_said_to_be(effort: ModuleType) -> None:
    line = np.stack([np.linspace(0, 300, 601), np.full(601, 7.0)], axis=1)
    away = np.stack([effort.hand.Hand(seed, line_mm=0.8).traced(line, (1.0, 0.5)) - line for seed in range(40)])
    assert away[..., 0].std() == pytest.approx(0.8, rel=0.1)
    # Pixels of half a millimetre along the row.
    assert away[..., 1].std() == pytest.approx(1.6, rel=0.1)
    # Smooth: from one point to the next, half a millimetre on, much less than that.
    assert np.abs(np.diff(away[..., 0], axis=1)).max() < 0.5
    assert np.array_equal(effort.hand.Hand(0, line_mm=0.0).traced(line, (1.0, 1.0)), line)


def test_the_overlap_is_kept_up_with_every_change(effort: ModuleType) -> None:
    rng = np.random.default_rng(1)
    truth, start = (rng.integers(0, 4, (6, 20, 20)).astype(np.uint8) for _ in range(2))
    grid, schema = Grid.from_spacing(truth.shape, (2.0, 1.0, 1.0)), preset("brats-mets-2025")
    document = MaskDocument(start, grid, schema)
    tally = effort.tally.Tally(effort.cases.Subject("", {}, grid, schema, truth), document)
    for turn in range(12):
        low = rng.integers(0, 3, 3)
        box = Box(tuple(int(v) for v in low), tuple(int(v) + n for v, n in zip(low, (3, 9, 9), strict=True)))
        document.write(box, rng.integers(0, 4, box.shape).astype(np.uint8), Origin(PatchSource.HAND, "paint"))
        if turn == 8:
            document.undo()
    found = tally.dice()
    pairs = {"WT": (document.labels > 0, truth > 0)}
    pairs |= {label.name: (document.labels == label.value, truth == label.value) for label in schema.labels}
    for name, value in found.items():
        a, b = pairs[name]
        assert value == pytest.approx(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
    # Classes of less than 1 mL in the reference are not asked for.
    assert {name for name, (_, b) in pairs.items() if 2.0 * np.count_nonzero(b) >= 1000} == set(found)


def test_one_click_on_a_generated_head_is_worth_something(tmp_path: Path) -> None:
    out = tmp_path / "clicks.json"
    command = [sys.executable, str(BENCHMARKS / "click.py"), "--quick", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())["rows"]
    assert {row["region"] for row in found} == {"ET", "TC"}
    assert np.median([row["dice"][0] for row in found]) > 0.85
    assert np.median([row["seconds"][0] for row in found]) < 0.5

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
        import effort.hand
        import effort.klm
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


def test_one_click_on_a_generated_head_is_worth_something(tmp_path: Path) -> None:
    out = tmp_path / "clicks.json"
    command = [sys.executable, str(BENCHMARKS / "click.py"), "--quick", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())["rows"]
    assert {row["region"] for row in found} == {"ET", "TC"}
    assert np.median([row["dice"][0] for row in found]) > 0.85
    assert np.median([row["seconds"][0] for row in found]) < 0.5

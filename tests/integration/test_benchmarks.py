"""The benchmarks run and what they promise holds; their times are for people to read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # One thread, so that other programs on the machine do not hold it up.
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=alone, check=False)


@pytest.mark.parametrize(
    "parts", [("--only-comparison", "--network", "SubvoxelSegResNet"), pytest.param((), marks=pytest.mark.slow)], ids=["short", "all"]
)
def test_the_engine_gives_the_labels_that_monai_gives(tmp_path: Path, parts: tuple[str, ...]) -> None:
    done = _run("inference.py", "--quick", "--threads", "1", "--json", str(tmp_path / "found.json"), *parts)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    rows = (*found["same_windows"], *found.get("sizes", []))
    assert rows
    assert all(row["dice"] >= 0.999 for row in rows)
    if not parts:
        assert {row["network"] for row in rows} == {"SubvoxelSegResNet", "SegResNet"}
        assert all(peak > 0 for row in found["same_windows"] for peak in row["peak_mb"].values())
        windows = [row["windows"] for row in found["cutting"]]
        assert windows == sorted(windows, reverse=True)


def test_importing_the_package_is_instant() -> None:
    done = _run("startup.py", "--repeats", "3")
    assert done.returncode == 0, done.stdout + done.stderr


def test_editing_gives_the_results_of_its_peers() -> None:
    done = _run("editing.py", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NO" not in done.stdout.split("journal.py")[0]
    for part in ("journal.py", "lesion_table.py", "editing_tools.py"):
        assert part in done.stdout


def test_a_click_gives_the_same_lesion_from_its_box_as_from_the_whole_volume() -> None:
    done = _run("click_large.py", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("same") == 3


def test_null_studies_are_simulated() -> None:
    done = _run("null_studies.py", "--quick", "--no-mixed")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["null"]["studies"] for row in rows] == [50, 50]
    # At 5 %, 50 studies reject 10 or more in fewer than 5 of 10,000 runs.
    assert all(row["null"]["rejected"] <= 9 / 50 and row["planted"]["covered"] >= 41 / 50 for row in rows)

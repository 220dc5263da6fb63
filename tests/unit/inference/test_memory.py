from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_tumorseg.inference import memory
from napari_tumorseg.inference.memory import Lanes, free_bytes, is_out_of_memory, plan_lanes, smaller_window


def _system(root: Path, available_kb: int | None, limit: str = "", used: int = 0, cache: int = 0) -> Path:
    (root / "proc").mkdir()
    if available_kb is not None:
        (root / "proc" / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {available_kb} kB\n")
    if limit:
        group = root / "sys" / "fs" / "cgroup"
        group.mkdir(parents=True)
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")
    return root


def test_free_memory_is_what_the_machine_has(tmp_path: Path) -> None:
    assert free_bytes("cpu", _system(tmp_path, 2048)) == 2048 * 1024


def test_a_containers_limit_counts_and_its_cache_is_free(tmp_path: Path) -> None:
    assert free_bytes("cpu", _system(tmp_path, 10**6, "1000000", used=400_000, cache=100_000)) == 700_000


def test_a_container_without_a_limit_is_the_machine(tmp_path: Path) -> None:
    assert free_bytes("cpu", _system(tmp_path, 2048, "max", used=1)) == 2048 * 1024


def test_a_silent_system_is_assumed_to_have_4_gb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "other")
    assert free_bytes("cpu", _system(tmp_path, None)) == 4 * 2**30


def test_this_machine_has_some() -> None:
    assert free_bytes("cpu") > 2**20
    assert memory.cores() >= 1


@pytest.mark.parametrize(
    ("windows", "free", "cores", "expected"),
    [
        (8, 100, 2, Lanes(2, 1)),
        (1, 100, 4, Lanes(1, 4)),
        (8, 100, 6, Lanes(4, 1)),  # two rounds either way, so four are enough
        (8, 2, 6, Lanes(1, 6)),
        (8, 0, 6, Lanes(1, 6)),
        (27, 100, 16, Lanes(14, 1)),
    ],
)
def test_lanes_on_a_cpu(windows: int, free: int, cores: int, expected: Lanes) -> None:
    assert plan_lanes("cpu", windows, 1.0, free, 0.5, cores) == expected


def test_a_gpu_gets_batches() -> None:
    assert plan_lanes("cuda", 8, 1.0, 100, 0.5, 2) == Lanes(8, 0)
    assert plan_lanes("cuda", 8, 1.0, 6, 0.5, 2) == Lanes(3, 0)


def test_windows_shrink_to_a_quarter_at_most() -> None:
    window, steps = (128, 96, 64), []
    while (smaller := smaller_window(window, (128, 96, 64), 16)) is not None:
        steps.append(smaller)
        window = smaller
    assert steps == [(64, 48, 32)]
    assert all(edge % 16 == 0 for step in steps for edge in step)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_what_counts_as_full(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected

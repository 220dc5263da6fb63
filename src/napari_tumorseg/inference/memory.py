"""How much memory is free, how much of it a prediction may take, and what to do when it is full."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Lanes", "cores", "free_bytes", "is_out_of_memory", "plan_lanes", "smaller_window"]

Shape = tuple[int, int, int]
#: Assumed where the system does not say.
UNKNOWN_FREE_BYTES = 4 * 2**30
#: Windows in a batch on a GPU beyond which it no longer gets faster.
MOST_ON_GPU = 8
#: A window is never made smaller than this share of the model's own along an axis.
LEAST_WINDOW_SHARE = 0.25


@dataclass(frozen=True)
class Lanes:
    """How many windows are computed at a time, and how.

    Attributes
    ----------
    windows : int
        Windows at a time.
    threads : int
        Threads for each window where they run side by side, on cores of their own; 0 where they run as one
        batch.
    """

    windows: int
    threads: int = 1


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def free_bytes(device: str, root: Path = Path("/")) -> int:
    """Return how many bytes of memory are free.

    Parameters
    ----------
    device : str
        "cpu" or "cuda".
    root : Path
        Where the system's own files lie.

    Returns
    -------
    int
        On a CPU the smaller of the machine's free memory and what a container's limit leaves.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    known = [size for size in (_machine(root), _container(root)) if size is not None]
    return min(known, default=UNKNOWN_FREE_BYTES)


def _machine(root: Path) -> int | None:
    try:
        for line in (root / "proc" / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ulong), ("load", ctypes.c_ulong), *((f"size{i}", ctypes.c_ulonglong) for i in range(7)))

        status = Status()
        status.length = ctypes.sizeof(Status)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return int(status.size1)
    return None


def _container(root: Path) -> int | None:
    """Return what a container's limit leaves; page cache counts as free, as the kernel drops it first."""
    group = root / "sys" / "fs" / "cgroup"
    try:
        limit, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(stat.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def plan_lanes(device: str, windows: int, window_bytes: float, free: int, share: float, cores: int) -> Lanes:
    """Decide how many windows to compute at a time.

    Parameters
    ----------
    device : str
        "cpu" or "cuda".
    windows : int
        Windows to compute in all.
    window_bytes : float
        Memory that one window takes.
    free : int
        Bytes free on the device.
    share : float
        Part of it that may be used, 0 to 1.
    cores : int
        Processor cores.

    Returns
    -------
    Lanes
        No more windows than are needed for the same number of rounds.

    Examples
    --------
    >>> plan_lanes("cpu", windows=8, window_bytes=1e9, free=8 * 10**9, share=0.5, cores=8)
    Lanes(windows=4, threads=2)
    """
    most = min(windows, max(1, int(free * share / window_bytes)), MOST_ON_GPU if device == "cuda" else cores)
    rounds = -(-windows // most)
    even = -(-windows // rounds)
    return Lanes(even, 0 if device == "cuda" else max(1, cores // even))


def smaller_window(window: Shape, original: Shape, divisor: int) -> Shape | None:
    """Return about half of `window`, None when it would be too small.

    Parameters
    ----------
    window, original : tuple of int
        The window in use and the model's own, (z, y, x).
    divisor : int
        Edges stay multiples of this.

    Examples
    --------
    >>> smaller_window((96, 112, 96), (96, 112, 96), 16)
    (48, 48, 48)
    >>> smaller_window((48, 48, 48), (96, 112, 96), 16) is None
    True
    """
    z, y, x = (max(1, edge // 2 // divisor) * divisor for edge in window)
    too_small = any(edge < LEAST_WINDOW_SHARE * own for edge, own in zip((z, y, x), original, strict=True))
    return None if too_small or (z, y, x) == tuple(window) else (z, y, x)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full; on a CPU PyTorch says so only in words."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ("can't allocate memory", "not enough memory"))

"""Running a network over a volume window by window, with Gaussian blending.

Blending is that of nnU-Net and MONAI: each window's answer is weighted by a Gaussian around
the window's centre with a standard deviation of an eighth of its edge, and the weighted sum is
divided by the sum of the weights. Windows lie evenly, so that none overlaps more than it must
while its neighbour overlaps less; windows that hold background alone are not computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.inference.memory import Lanes

if TYPE_CHECKING:
    import torch

__all__ = ["Plan", "gaussian_weights", "plan_windows", "slide", "without_background"]

Shape = tuple[int, int, int]
Run = Callable[["torch.Tensor"], "torch.Tensor"]
#: Standard deviation of the Gaussian as a share of the window's edge (Isensee et al., 2021, nnU-Net).
SIGMA_SHARE = 0.125
#: The smallest weight, as in MONAI, so that a corner covered by one window only keeps its precision.
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Plan:
    """Where the windows of a volume lie.

    Attributes
    ----------
    shape : tuple of int
        The volume, (z, y, x).
    window : tuple of int
        Edges of a window, (z, y, x).
    starts : tuple of tuple of int
        First voxel of each window; negative where the volume is smaller than the window, which
        then sees background around it.
    """

    shape: Shape
    window: Shape
    starts: tuple[Shape, ...]


def plan_windows(shape: Sequence[int], window: Sequence[int], overlap: float, divisor: int = 1) -> Plan:
    """Place windows evenly over a volume.

    Parameters
    ----------
    shape : sequence of int
        The volume, (z, y, x).
    window : sequence of int
        Edges of a window, (z, y, x), multiples of `divisor`; cut to the volume's edge, rounded up to
        a multiple of `divisor`, where the volume is smaller.
    overlap : float
        Least share of an edge that neighbours have in common, 0 up to but not 1.
    divisor : int
        What the network needs its edges to be multiples of.

    Examples
    --------
    >>> plan_windows((140, 112, 20), (96, 112, 96), 0.25, 16)
    Plan(shape=(140, 112, 20), window=(96, 112, 32), starts=((0, 0, -6), (44, 0, -6)))
    """
    edges, lines = [], []
    for size, edge in zip(shape, window, strict=True):
        fitted = min(edge, -(-size // divisor) * divisor)
        edges.append(fitted)
        if size <= fitted:
            lines.append([-((fitted - size) // 2)])
            continue
        step = max(1, int(fitted * (1 - overlap)))
        count = -(-(size - fitted) // step) + 1
        lines.append([round(i * (size - fitted) / (count - 1)) for i in range(count)])
    z, y, x = shape
    starts = tuple((k, j, i) for k, j, i in itertools.product(*lines))
    return Plan((z, y, x), (edges[0], edges[1], edges[2]), starts)


def without_background(plan: Plan, image: torch.Tensor) -> Plan:
    """Return the plan less the windows in which `image` (C, Z, Y, X) is 0 everywhere."""
    return replace(plan, starts=tuple(start for start in plan.starts if image[:, *_inside(start, plan)[0]].any()))


def gaussian_weights(window: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the weights (z, y, x), float32, of a window's voxels: at most 1, at least `LEAST_WEIGHT`."""
    lines = []
    for edge in window:
        at = np.arange(edge, dtype=np.float64) - (edge - 1) / 2
        lines.append(np.exp(-0.5 * (at / (SIGMA_SHARE * edge)) ** 2))
    z, y, x = lines
    weights = z[:, None, None] * y[None, :, None] * x[None, None, :]
    return np.asarray(np.maximum(weights, LEAST_WEIGHT), np.float32)


def slide(run: Run, image: torch.Tensor, plan: Plan, lanes: Lanes, progress: Progress) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a network over a volume.

    Parameters
    ----------
    run : callable
        Maps windows (B, C, z, y, x) to answers (B, R, z, y, x), float32, both on the CPU; called from
        several threads at once where windows run side by side.
    image : torch.Tensor
        Shape (C, Z, Y, X), float32, on the CPU; 0 is background.
    plan : Plan
        Where the windows lie.
    lanes : Lanes
        How many windows at a time.
    progress : Progress
        Told after each window; asked before each window or batch.

    Returns
    -------
    torch.Tensor
        Blended answers (R, Z, Y, X), float32; 0 where no window was computed.
    torch.Tensor
        Boolean (Z, Y, X): where a window was computed.

    Raises
    ------
    Cancelled
        If the user stopped it.
    """
    import torch

    weights = torch.from_numpy(gaussian_weights(plan.window))
    total: torch.Tensor | None = None
    norm = torch.zeros(plan.shape)
    count = len(plan.starts)
    progress.update(0.0, f"Segmenting: {count} {'window' if count == 1 else 'windows'}")
    # Closed at once when something fails, so that no thread outlives the call.
    with torch.inference_mode(), closing(_answers(run, image, plan, lanes, progress)) as answers:
        for done, (start, answer) in enumerate(answers, 1):
            if total is None:
                total = torch.zeros((answer.shape[0], *plan.shape))
            place, cut = _inside(start, plan)
            part = weights[cut]
            total[:, *place].addcmul_(answer[:, *cut], part)
            norm[place] += part
            progress.update(done / count, f"Segmenting: window {done} of {count}")
        covered = norm > 0
        if total is None:
            return torch.zeros((0, *plan.shape)), covered
        return total.div_(norm.clamp_min_(LEAST_WEIGHT / 2)), covered


def _inside(start: Shape, plan: Plan) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a window lies in the volume, and which part of the window that is."""
    place, cut = [], []
    for first, edge, size in zip(start, plan.window, plan.shape, strict=True):
        low, high = max(0, first), min(size, first + edge)
        place.append(slice(low, high))
        cut.append(slice(low - first, high - first))
    return tuple(place), tuple(cut)


def _gather(image: torch.Tensor, plan: Plan, starts: Sequence[Shape]) -> torch.Tensor:
    """Return windows (B, C, z, y, x), background where they reach beyond the volume."""
    batch = image.new_zeros((len(starts), image.shape[0], *plan.window))
    for window, start in zip(batch, starts, strict=True):
        place, cut = _inside(start, plan)
        window[:, *cut] = image[:, *place]
    return batch


def _answers(
    run: Run, image: torch.Tensor, plan: Plan, lanes: Lanes, progress: Progress
) -> Generator[tuple[Shape, torch.Tensor], None, None]:
    """Yield each window's start and answer (R, z, y, x), in order."""
    if lanes.threads == 0:
        for first in range(0, len(plan.starts), lanes.windows):
            progress.cancel.raise_if_cancelled()
            some = plan.starts[first : first + lanes.windows]
            yield from zip(some, run(_gather(image, plan, some)), strict=True)
        return

    import torch

    def one(start: Shape) -> torch.Tensor:
        progress.cancel.raise_if_cancelled()
        with torch.inference_mode():
            return run(_gather(image, plan, [start]))[0]

    with _workers(lanes) as pool:
        waiting: list[tuple[Shape, Future[torch.Tensor]]] = []
        for start in plan.starts:
            waiting.append((start, pool.submit(one, start)))
            # One more than there are lanes, so that no lane waits while an answer is blended.
            if len(waiting) > lanes.windows:
                place, answer = waiting.pop(0)
                yield place, answer.result()
        for place, answer in waiting:
            yield place, answer.result()


@contextmanager
def _workers(lanes: Lanes) -> Iterator[ThreadPoolExecutor]:
    """Give as many threads as there are lanes, each with PyTorch threads of its own.

    Windows side by side scale better than threads inside an operator, which wait for each other
    after every one. PyTorch keeps its number of threads for each thread and, for threads yet to
    come, for the process; the latter is put back.
    """
    import torch

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(lanes.windows, "window", initializer=torch.set_num_threads, initargs=(lanes.threads,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)

"""The prior study laid beside the current one: registered rigidly, its images and masks carried over.

What is found is one rigid transform for a visit. The images of a visit share the scanner's
coordinates, so that all of them move with it; no voxel of the prior is interpolated before it is
shown, its grids are moved instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import Case, MaskVersion, TimePoint
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.display import in_reading_order
from napari_tumorseg.workflows.prior_registration import PriorRequest, Registration, register

__all__ = ["PriorStudy", "align_prior", "carry_mask", "prior_index"]


@dataclass(frozen=True, eq=False)
class PriorStudy:
    """An earlier visit in the coordinates of the current one.

    Attributes
    ----------
    point : TimePoint
        Volumes and masks as read, on moved grids.
    registration : Registration
        What moved them.
    sequence : str
        The sequence by which the visits were registered.
    notes : tuple of str
        What the user should know.
    """

    point: TimePoint
    registration: Registration
    sequence: str
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the user reads: "Prior 2024-01-31"."""
        return f"Prior {self.point.date.isoformat()}" if self.point.date else "Prior"

    def newest_mask(self) -> tuple[str, MaskVersion] | None:
        """Return name and newest version of the first mask; None where the visit has none."""
        return next(((name, versions[-1]) for name, versions in self.point.masks.items()), None)


def prior_index(case: Case, timepoint: int) -> int | None:
    """Return the index of the visit before `timepoint`, None for the first one.

    Examples
    --------
    >>> grid = Grid.from_spacing((2, 2, 2), (1, 1, 1))
    >>> visit = TimePoint({"CT": Volume(np.zeros((2, 2, 2)), grid, "CT")})
    >>> prior_index(Case("phantom", (visit, visit)), -1), prior_index(Case("phantom", (visit,)), 0)
    (0, None)
    """
    index = timepoint % len(case.timepoints)
    return index - 1 if index > 0 else None


def align_prior(current: TimePoint, prior: TimePoint, request: PriorRequest | None = None, progress: Progress | None = None) -> PriorStudy:
    """Register a prior visit to the current one and move its images and masks there.

    Parameters
    ----------
    current, prior : TimePoint
        Compared by the first sequence in reading order that both have as a plain image; where they
        have none in common, by the first of each, which mutual information allows.
    request : PriorRequest, optional
        How.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Raises
    ------
    InputError
        If the images cannot be compared.
    Cancelled
        If the user stopped it.
    """
    ours, theirs = (in_reading_order(name for name, v in point.volumes.items() if _plain(v)) for point in (current, prior))
    if not ours or not theirs:
        raise InputError("One of the two visits has no plain image to register by.", "Open both visits with a sequence in common.")
    shared = [name for name in ours if name in theirs]
    fixed, moving = (shared[0], shared[0]) if shared else (ours[0], theirs[0])
    found = register(current.volumes[fixed], prior.volumes[moving], request, progress)
    notes = [] if shared else [f"The visits share no sequence; {moving} of the prior was registered to {fixed}."]
    if not found.improved:
        notes.append("Nothing better than the positions in the files was found; the prior is shown at those.")
    volumes = {name: replace(v, grid=found.moved(v.grid)) for name, v in prior.volumes.items()}
    masks = {name: tuple(replace(m, grid=found.moved(m.grid)) for m in versions) for name, versions in prior.masks.items()}
    return PriorStudy(TimePoint(volumes, masks, prior.date), found, moving, tuple(notes))


def _plain(volume: Volume) -> bool:
    return not volume.channels and not np.iscomplexobj(volume.data)


def carry_mask(mask: MaskVersion, grid: Grid, progress: Progress | None = None) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return a mask at the voxels of another grid.

    Each label is interpolated linearly as a share from 0 to 1; a voxel gets the label with the
    largest share where labels together have half of it at least. That keeps volumes and smooth outlines,
    where the nearest voxel's label gives steps.

    Parameters
    ----------
    mask : MaskVersion
        On any grid that overlaps, e.g. of a `PriorStudy`.
    grid : Grid
        Where it is wanted.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    numpy.ndarray
        Shape of `grid`, dtype of the mask.
    """
    from napari_tumorseg.inference.resample import resample

    progress = progress or Progress()
    out = np.zeros(grid.shape, mask.labels.dtype)
    box = bounding_box(mask.labels)
    if box is None:
        return out
    box = box.grown(1, mask.grid.shape)
    source = mask.grid.crop(box)
    there = _reach(source, grid)
    if there is None:
        return out
    target = grid.crop(there)
    labels = mask.labels[box.slices]
    values = [int(v) for v in np.unique(labels) if v]
    best = np.zeros(there.shape, np.float32)
    total = np.zeros(there.shape, np.float32)
    chosen = np.zeros(there.shape, mask.labels.dtype)
    for number, value in enumerate(values):
        progress.update(number / len(values), "Carrying the prior's mask over")
        share = resample((labels == value).astype(np.float32), source, target, antialias=False)
        chosen[share > best] = value
        np.maximum(best, share, out=best)
        total += share
    # Linear weights of a voxel centre that has not moved may sum to a little less than one.
    chosen[total < 0.5 - 1e-4] = 0
    out[there.slices] = chosen
    return out


def _reach(source: Grid, target: Grid) -> Box | None:
    """Return the box of `target` that holds all of `source`, None where they do not meet."""
    faces = np.array([(z, y, x) for z in (-1, source.shape[0]) for y in (-1, source.shape[1]) for x in (-1, source.shape[2])], float)
    index = target.to_index(source.to_mm(faces))
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, target.shape)
    if (low >= high).any():
        return None
    return Box(_triple(low), _triple(high))


def _triple(values: Sequence[Any] | npt.NDArray[Any]) -> tuple[int, int, int]:
    z, y, x = (int(v) for v in values)
    return z, y, x

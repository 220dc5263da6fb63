"""Errors put into AI masks on purpose, so that a study can measure whether raters find them.

Three errors that models make and raters must catch: a lesion that is missing, a vessel that is marked as one, an edge that lies
beside the lesion's. Each is a seeded edit of a mask with a record of what was changed. The record is kept apart from what raters see.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.study.protocol import ERROR_KINDS
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["PlantedError", "plant"]

Labels = npt.NDArray[np.unsignedinteger[Any]]

# A vessel that is marked: bright among what is not tumour, long, and of the volume of a small metastasis.
_BRIGHTEST = 99.0
_VESSEL_MM3 = (20.0, 600.0)
_ELONGATION = 2.5
_CLEARANCE_VOXELS = 4
# Where a lesion is smaller, its loss or shift could not be told from noise.
_LEAST_VOXELS = 8


@dataclass(frozen=True)
class PlantedError:
    """What was changed in a mask.

    Attributes
    ----------
    kind : str
        One of `protocol.ERROR_KINDS`.
    seed : int
        Of the edit.
    box_start, box_stop : tuple of int
        Half-open block of voxels that holds the change, (z, y, x).
    centre_mm : tuple of float
        Centre of the changed voxels, (x, y, z) in RAS millimetres.
    added, removed : int
        Voxels that became tumour, or another label, and voxels that became background.
    detail : mapping
        What the kind adds: `shift_mm` and `direction` (z, y, x), or `volume_mm3`.
    """

    kind: str
    seed: int
    box_start: tuple[int, int, int]
    box_stop: tuple[int, int, int]
    centre_mm: tuple[float, float, float]
    added: int
    removed: int
    detail: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "detail": dict(self.detail)}


def plant(
    labels: Labels,
    grid: Grid,
    schema: LabelSchema,
    kind: str,
    seed: int,
    *,
    image: npt.NDArray[Any] | None = None,
    shift_mm: float = 3.0,
) -> tuple[Labels, PlantedError]:
    """Put one error into a mask.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer; not changed.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the values.
    kind : str
        "missed-lesion", "vessel" or "shifted-edge".
    seed : int
        The same seed makes the same error.
    image : numpy.ndarray, optional
        Shape (z, y, x): the image with contrast agent, which a vessel is looked for in.
    shift_mm : float
        How far an edge is shifted.

    Returns
    -------
    labels : numpy.ndarray
        With the error, dtype as given.
    error : PlantedError
        What was changed.

    Raises
    ------
    InputError
        If the mask has no lesion to spoil, or the image no vessel to mark.

    Examples
    --------
    >>> from napari_tumorseg.core.labels import preset
    >>> mask = np.zeros((8, 8, 8), np.uint8)
    >>> mask[2:5, 2:5, 2:5] = 1
    >>> found, error = plant(mask, Grid.from_spacing(mask.shape, (1, 1, 1)), preset("lesion"), "missed-lesion", seed=1)
    >>> int(found.sum()), error.removed, error.centre_mm
    (0, 27, (3.0, 3.0, 3.0))
    """
    if kind not in ERROR_KINDS:
        raise InputError(f"{kind!r} is no error that can be planted.", f"Choose one of {', '.join(ERROR_KINDS)}.")
    rng = random.Random(f"planted {kind} {seed}")
    if kind == "missed-lesion":
        changed, detail = _without_lesion(labels, grid, schema, rng)
    elif kind == "vessel":
        changed, detail = _with_vessel(labels, grid, schema, image, rng)
    else:
        changed, detail = _shifted(labels, grid, schema, shift_mm, rng)
    return changed, _record(labels, changed, grid, kind, seed, detail)


def _record(before: Labels, after: Labels, grid: Grid, kind: str, seed: int, detail: dict[str, Any]) -> PlantedError:
    different = before != after
    box = bounding_box(different)
    if box is None:
        raise InputError(f"The error {kind!r} changed nothing in the mask.", "Plant another kind.")
    x, y, z = (round(float(v), 3) for v in grid.to_mm(np.argwhere(different).mean(axis=0)))
    removed = int((different & (after == 0)).sum())
    return PlantedError(kind, seed, box.start, box.stop, (x, y, z), int(different.sum()) - removed, removed, detail)


def _lesion(labels: Labels, schema: LabelSchema, rng: random.Random, what: str) -> npt.NDArray[np.bool_]:
    """Return one lesion by lot."""
    parts, count = connected_parts(schema.region_mask(labels, schema.lesion_region))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    large = [number for number in range(1, count + 1) if sizes[number] >= _LEAST_VOXELS]
    if not large:
        raise InputError(f"The mask has no lesion of {_LEAST_VOXELS} voxels that could be {what}.", "Plant errors in another case.")
    # The library may number parts as it likes; their first voxels do not depend on it.
    large.sort(key=lambda number: int(np.flatnonzero(parts.ravel() == number)[0]))
    return np.asarray(parts == rng.choice(large))


def _without_lesion(labels: Labels, grid: Grid, schema: LabelSchema, rng: random.Random) -> tuple[Labels, dict[str, Any]]:
    lesion = _lesion(labels, schema, rng, "missed")
    return np.where(lesion, 0, labels).astype(labels.dtype), {"volume_mm3": round(float(lesion.sum()) * grid.voxel_volume_mm3, 3)}


def _shifted(labels: Labels, grid: Grid, schema: LabelSchema, shift_mm: float, rng: random.Random) -> tuple[Labels, dict[str, Any]]:
    lesion = _lesion(labels, schema, rng, "shifted")
    axis, sign = rng.choice((1, 2)), rng.choice((-1, 1))
    step = sign * max(1, round(shift_mm / grid.spacing_mm[axis]))
    offset = [0, 0, 0]
    offset[axis] = step
    old = np.argwhere(lesion)
    new = old + offset
    inside = np.all((new >= 0) & (new < labels.shape), axis=1)
    values = labels[tuple(old[inside].T)]
    changed = np.where(lesion, 0, labels).astype(labels.dtype)
    place = tuple(new[inside].T)
    # What lies there already, another lesion, stays.
    changed[place] = np.where(changed[place] == 0, values, changed[place])
    return changed, {"shift_mm": round(abs(step) * grid.spacing_mm[axis], 3), "direction": offset}


def _with_vessel(
    labels: Labels, grid: Grid, schema: LabelSchema, image: npt.NDArray[Any] | None, rng: random.Random
) -> tuple[Labels, dict[str, Any]]:
    if image is None or image.shape != labels.shape:
        raise InputError(
            "A vessel can be marked only where there is an image on the grid of the mask.", "Give the T1c, or leave out vessel."
        )
    tissue = np.isfinite(image) & (image > 0)
    if not tissue.any():
        raise InputError("The image is empty, so there is no vessel to mark.", "Plant another kind.")
    bright = tissue & (image >= np.percentile(image[tissue], _BRIGHTEST)) & ~_near(labels > 0)
    parts, count = connected_parts(bright, 26)
    found = _elongated(parts, count, grid)
    if not found:
        raise InputError("The image shows no vessel that could be marked.", "Plant another kind in this case.")
    chosen = parts == rng.choice(found)
    value = _enhancing(schema)
    changed = np.where(chosen & (labels == 0), value, labels).astype(labels.dtype)
    return changed, {"volume_mm3": round(float(chosen.sum()) * grid.voxel_volume_mm3, 3)}


def _enhancing(schema: LabelSchema) -> int:
    """Return the label that a vessel would be taken for: the enhancing one, else the lesions' first."""
    named = [label.value for label in schema.labels if label.name == "ET"]
    return named[0] if named else schema.region(schema.lesion_region).values[0]


def _near(tumour: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the blocks round the tumour: a vessel there would be a shifted edge."""
    from scipy import ndimage

    return np.asarray(ndimage.maximum_filter(tumour.view(np.uint8), 2 * _CLEARANCE_VOXELS + 1), dtype=np.bool_)


def _elongated(parts: npt.NDArray[np.unsignedinteger[Any]], count: int, grid: Grid) -> Sequence[int]:
    """Return the parts that are long and of a small lesion's volume, by their first voxels."""
    from scipy import ndimage

    low, high = (volume / grid.voxel_volume_mm3 for volume in _VESSEL_MM3)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    found = []
    for number, place in enumerate(ndimage.find_objects(parts.astype(np.int32)), 1):
        if place is None or not low <= sizes[number] <= high:
            continue
        points = grid.to_mm(np.argwhere(parts[place] == number))
        spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 1e-9))
        if spread[2] >= _ELONGATION * spread[1]:
            found.append((tuple(int(s.start) for s in place), number))
    return [number for _, number in sorted(found)]

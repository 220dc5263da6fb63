"""Where a PET tool acts: a ball round the click or the lesion in focus, and the PET there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.editing.region import Mask, Over, changed, needed_image, needed_voxel, painted, within
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Common", "Image", "Index", "Place", "Where", "part_at", "pet_of", "place_of", "written"]

#: Where a tool acts.
Where = Literal["round the click", "lesion in focus"]
Image = npt.NDArray[Any]
Index = tuple[int, int, int]
# The tools are for PET alone; these are the images that they must not be used on.
_NO_PET = frozenset({"CT", "T1", "T1c", "T2", "FLAIR", "ADC", "DWI", "SWI", "T2*"})


class Common(Protocol):
    """What the settings of all PET tools have."""

    @property
    def where(self) -> Where: ...  # noqa: D102
    @property
    def radius_mm(self) -> float: ...  # noqa: D102
    @property
    def over(self) -> Over: ...  # noqa: D102
    @property
    def over_label(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Place:
    """Where a threshold acts: a box, what counts in it, and the voxel to start from (none in a lesion in focus)."""

    box: Box
    inside: Mask
    block: Image
    at: Index | None


def pet_of(scope: Scope) -> Image:
    """Return the PET on the mask's grid, else the image that is seen unless that is known to be something else."""
    known = scope.images.get("PET")
    if known is not None and known.shape == scope.labels.shape:
        return known
    seen = needed_image(scope)
    name = next((name for name, image in scope.images.items() if image is seen), "")
    if name in _NO_PET:
        raise InputError(f"This threshold is for PET, and {name} is shown.", "Show the PET (Q and W go through the sequences).")
    return seen


def place_of(scope: Scope, target: Target, params: Common, margin: int = 0) -> Place:
    """Return where a tool acts, with so many voxels more on every side of the box; raise `InputError` when nothing was pointed at."""
    pet = pet_of(scope)
    if params.where == "lesion in focus":
        if target.part is None:
            raise InputError("No lesion is in focus.", "Choose one in the table, or threshold round the click.")
        box = target.part[0].grown(margin, pet.shape)
        inside = within(target.part[1], target.part[0], box)
        at = None
    else:
        z, y, x = needed_voxel(scope, target)
        spacing = scope.grid.spacing_mm
        box = Box((z, y, x), (z + 1, y + 1, x + 1)).grown([int(params.radius_mm / s + 1e-9) + margin for s in spacing], pet.shape)
        at = (z - box.start[0], y - box.start[1], x - box.start[2])
        axes = np.ogrid[tuple(slice(0, n) for n in box.shape)]
        square = sum(((line - i) * s) ** 2 for line, i, s in zip(axes, at, spacing, strict=True))
        inside = np.asarray(square <= params.radius_mm**2 * (1 + 1e-9))
    block = pet[box.slices]
    # What is no number is as cold as can be.
    return Place(box, inside, np.where(np.isfinite(block), block, -np.inf if not np.isfinite(block).any() else np.nanmin(block)), at)


def part_at(mask: Mask, at: Index) -> Mask:
    """Return the 18-connected part of a mask that holds a voxel."""
    parts, _ = connected_parts(mask, 18)
    return np.asarray(parts == parts[at])


def written(scope: Scope, place: Place, found: Mask, params: Common) -> Draft | None:
    """Return the draft: paint what was found round the click, or take what was not found from the lesion in focus."""
    if place.at is not None:
        return painted(scope, place.box, found, params.over, params.over_label)
    before = place.inside & (scope.labels[place.box.slices] == scope.label)
    return changed(scope, place.box, before, before & found, params.over, params.over_label)

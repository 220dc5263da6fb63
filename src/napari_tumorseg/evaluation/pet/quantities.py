"""SUVmax, SUVmean, SUVpeak, TMTV, TLA, number and spread of the lesions of a PET scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.evaluation.pet.peak import suv_peak
from napari_tumorseg.evaluation.pet.spread import largest_distance_mm
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["PatientUptake", "PetLesion", "PetQuantities", "pet_quantities"]

Point = tuple[float, float, float]


@dataclass(frozen=True)
class PetLesion:
    """One lesion of a PET scan.

    Attributes
    ----------
    id : int
        1 for the largest, then by falling volume.
    centroid_mm : tuple of float
        Centre of mass of its voxels, (x, y, z) in RAS millimetres.
    volume_ml : float
        Metabolic tumour volume: number of voxels times their volume.
    voxels : int
        How many.
    suv_max : float
        Hottest voxel.
    suv_max_mm : tuple of float
        Where it is, RAS; of equal ones the first.
    suv_mean : float
        Mean over its voxels.
    suv_peak : float
        Largest mean in a sphere of 1 mL round one of its voxels; see `evaluation.pet.peak`.
    suv_peak_at_max : float
        The same round its hottest voxel alone.
    tla : float
        Total lesion activity (for FDG, total lesion glycolysis): SUVmean times volume, g (SUV times mL).
    """

    id: int
    centroid_mm: Point
    volume_ml: float
    voxels: int
    suv_max: float
    suv_max_mm: Point
    suv_mean: float
    suv_peak: float
    suv_peak_at_max: float
    tla: float


@dataclass(frozen=True)
class PatientUptake:
    """All lesions of a patient together; zero in everything where there is none.

    Attributes
    ----------
    suv_max, suv_peak : float
        Largest of the lesions.
    suv_mean : float
        Over the voxels of all lesions, so that large ones count more.
    tmtv_ml : float
        Total metabolic tumour volume.
    tla : float
        Sum over the lesions.
    lesion_count : int
        18-connected parts.
    dmax_cm : float
        Largest distance between the centres of two voxels of the mask.
    """

    suv_max: float = 0.0
    suv_mean: float = 0.0
    suv_peak: float = 0.0
    tmtv_ml: float = 0.0
    tla: float = 0.0
    lesion_count: int = 0
    dmax_cm: float = 0.0


@dataclass(frozen=True)
class PetQuantities:
    """What is measured on a PET scan and its mask.

    Attributes
    ----------
    patient : PatientUptake
        All lesions together.
    lesions : tuple of PetLesion
        By falling volume.
    """

    patient: PatientUptake
    lesions: tuple[PetLesion, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return {"patient", "lesions"} of numbers, lists and strings."""
        lesions = [{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(row).items()} for row in self.lesions]
        return {"patient": asdict(self.patient), "lesions": lesions}


def pet_quantities(suv: npt.NDArray[Any], mask: npt.NDArray[np.bool_], grid: Grid) -> PetQuantities:
    """Measure the lesions of a PET scan.

    Lesions are the 18-connected parts of the mask, as in the quantification of PSMA PET by Dzikunu et al.
    (github.com/ObedDzik/pca_segment); voxels that touch by corners alone belong to two.

    Parameters
    ----------
    suv : numpy.ndarray
        Shape (z, y, x), any real dtype: standardised uptake values.
    mask : numpy.ndarray
        Boolean, same shape.
    grid : Grid
        Position of the voxels.

    Raises
    ------
    InputError
        If the shapes differ, or the image is no number somewhere in the mask.

    Examples
    --------
    >>> suv = np.zeros((2, 2, 4))
    >>> suv[0, 0, :] = [2.0, 4.0, 0.0, 9.0]
    >>> found = pet_quantities(suv, suv > 0, Grid.from_spacing(suv.shape, (10, 10, 10)))
    >>> found.patient.suv_mean, round(found.patient.tmtv_ml, 6), round(found.patient.tla, 6), found.patient.lesion_count
    (5.0, 3.0, 15.0, 2)
    """
    if suv.shape != mask.shape or suv.shape != grid.shape:
        raise InputError(f"The PET has shape {suv.shape}, the mask {mask.shape}.", "Give the mask that was drawn on this PET.")
    box = bounding_box(mask)
    if box is None:
        return PetQuantities(PatientUptake())
    inside = mask[box.slices]
    values = np.asarray(suv[box.slices][inside], np.float64)
    if not np.isfinite(values).all():
        lost = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(
            f"The PET is no number in {lost} of the {values.size} voxels of the mask.", "Export the PET again, or mend the mask."
        )
    lesions = _lesions(suv, inside, box, grid)
    voxel_ml = grid.voxel_volume_mm3 / 1000
    patient = PatientUptake(
        suv_max=float(values.max()),
        suv_mean=float(values.mean()),
        suv_peak=max(row.suv_peak for row in lesions),
        tmtv_ml=values.size * voxel_ml,
        tla=float(values.sum()) * voxel_ml,
        lesion_count=len(lesions),
        dmax_cm=largest_distance_mm(inside, grid) / 10,
    )
    return PetQuantities(patient, lesions)


def _lesions(suv: npt.NDArray[Any], inside: npt.NDArray[np.bool_], box: Box, grid: Grid) -> tuple[PetLesion, ...]:
    parts, _ = connected_parts(inside, 18)
    places = np.argwhere(inside)
    numbers = parts[inside]
    order = np.argsort(numbers, kind="stable")
    groups = np.split(places[order], np.flatnonzero(np.diff(numbers[order])) + 1)
    # Places are in scan order, so that the first voxel settles the order of parts of one size.
    groups.sort(key=lambda group: (-len(group), tuple(group[0])))
    return tuple(_measured(number, suv, group + box.start, grid) for number, group in enumerate(groups, start=1))


def _measured(number: int, suv: npt.NDArray[Any], voxels: npt.NDArray[np.intp], grid: Grid) -> PetLesion:
    values = np.asarray(suv[tuple(voxels.T)], np.float64)
    peak, at_max = suv_peak(suv, voxels, grid)
    volume_ml = len(voxels) * grid.voxel_volume_mm3 / 1000
    return PetLesion(
        id=number,
        centroid_mm=_point(grid, voxels.mean(axis=0)),
        volume_ml=volume_ml,
        voxels=len(voxels),
        suv_max=float(values.max()),
        suv_max_mm=_point(grid, voxels[int(values.argmax())]),
        suv_mean=float(values.mean()),
        suv_peak=peak,
        suv_peak_at_max=at_max,
        tla=float(values.sum()) * grid.voxel_volume_mm3 / 1000,
    )


def _point(grid: Grid, index: npt.NDArray[Any]) -> Point:
    x, y, z = (float(v) for v in grid.to_mm(index))
    return x, y, z

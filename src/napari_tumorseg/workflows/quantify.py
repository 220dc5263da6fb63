"""Measure the lesions of a PET scan: from files, or of what is open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.core.volume import Volume

__all__ = ["QuantifyRequest", "as_text", "quantify", "quantify_volume"]

#: No tissue takes up so much; values beyond it are likely to be Bq/mL.
_IMPLAUSIBLE_SUV = 500.0


@dataclass(frozen=True)
class QuantifyRequest:
    """What to measure.

    Attributes
    ----------
    pet : Path
        PET in SUV, or a DICOM PET series from which SUV by body weight can be computed.
    mask : Path
        Its lesions.
    resample : bool
        Whether a mask on another grid is carried over to the PET's; it is refused otherwise.
    values : tuple of int
        Labels of the mask that are lesions; every label but 0 by default.
    ibsi : bool
        Whether the intensity and volume features of IBSI are computed for each lesion too.
    """

    pet: Path
    mask: Path
    resample: bool = False
    values: tuple[int, ...] = ()
    ibsi: bool = False


def quantify(request: QuantifyRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Measure the lesions of a PET scan on disk.

    Returns
    -------
    dict
        As `quantify_volume`, with the names of the two files.

    Raises
    ------
    InputError
        If a file cannot be read, is no PET in SUV, or the mask does not fit.
    """
    from napari_tumorseg.io import registry

    progress = progress or Progress()
    pet = _pet(request.pet, progress.part(0.0, 0.6))
    progress.update(0.6, f"Reading {request.mask.name}")
    notes: list[str] = []
    try:
        mask = registry.read_mask(request.mask, reference=pet)
    except GeometryError as error:
        if not request.resample:
            raise GeometryError(error.message, "Give the mask that was drawn on this PET, or add --resample.") from error
        mask = registry.read_mask(request.mask)
        notes.append("The mask was on another grid and was carried over to the PET's voxels.")
    document = quantify_volume(pet, mask, request, progress.part(0.7, 1.0))
    document["warnings"] = [*notes, *document["warnings"]]
    return {"pet": str(request.pet), "mask": str(request.mask), **document}


def quantify_volume(
    pet: Volume, mask: MaskVersion, request: QuantifyRequest | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure the lesions of a PET scan that is open.

    Parameters
    ----------
    pet : Volume
        In SUV, or without a unit, which is taken to be SUV.
    mask : MaskVersion
        On its grid, or, when the request says so, on another one.
    request : QuantifyRequest, optional
        Which labels, and what to do with another grid; its paths are not looked at.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    dict
        {"unit", "patient", "lesions", "warnings", "notice"}; see `evaluation.pet.quantities` for what the first two hold. A lesion
        has "ibsi" when that was asked for.

    Raises
    ------
    InputError
        If the image is no PET in SUV, or the mask is on another grid.
    """
    from napari_tumorseg.evaluation.pet.quantities import pet_quantities

    progress = progress or Progress()
    request = request or QuantifyRequest(Path(), Path())
    warnings = _checked(pet)
    labels: npt.NDArray[np.unsignedinteger[Any]] = mask.labels
    if not mask.grid.matches(pet.grid, tolerance_mm=0.01):
        if not request.resample:
            raise GeometryError(
                f"The mask ({mask.grid.shape}) is not on the grid of the PET ({pet.grid.shape}).",
                "Give the mask that was drawn on this PET, or have it resampled.",
            )
        from napari_tumorseg.workflows.prior import carry_mask

        labels = carry_mask(mask, pet.grid, progress.part(0.0, 0.3))
        if mask.labels.any() and not labels.any():
            raise GeometryError("The mask and the PET do not meet.", "Give the mask of this patient and visit.")
    inside = np.asarray(labels > 0 if not request.values else np.isin(labels, request.values))
    if not inside.any():
        warnings.append("The mask holds no lesion, so that everything is zero.")
    progress.update(0.3, "Measuring")
    found = pet_quantities(pet.data, inside, pet.grid)
    document = found.as_dict()
    if request.ibsi:
        _add_ibsi(document["lesions"], pet, inside, progress.part(0.5, 1.0))
    progress.update(1.0, "Measuring")
    return {"unit": "SUV", **document, "warnings": warnings, "notice": RESEARCH_USE_ONLY}


def _pet(path: Path, progress: Progress) -> Volume:
    """Return the PET of a file or folder; of several series the only one that is a PET."""
    from napari_tumorseg.io import registry

    volumes = registry.read_images(path, progress=progress)
    chosen = [v for v in volumes if v.modality == "PET"] if len(volumes) > 1 else list(volumes)
    if len(chosen) != 1:
        names = ", ".join(v.name or v.modality for v in volumes)
        raise InputError(f"{path.name} holds {len(volumes)} images ({names}).", "Name the one that is the PET.")
    return chosen[0]


def _checked(pet: Volume) -> list[str]:
    """Return what the user should know of the image; raise `InputError` where it is no PET in SUV."""
    from napari_tumorseg.io.modality import guess_modality

    if pet.channels or np.iscomplexobj(pet.data):
        raise InputError(f"{pet.name or 'The image'} is a colour or complex image.", "Give a PET in SUV.")
    unit = pet.unit.upper()
    if unit and unit not in ("SUV", "G/ML"):
        why = " ".join(pet.warnings)
        raise InputError(f"{pet.name or 'The image'} is in {pet.unit}, not in SUV.", why or "Give a PET in SUV, or its DICOM series.")
    warnings = list(pet.warnings)
    modality = pet.modality or guess_modality(pet.name)
    if modality not in ("PET", ""):
        raise InputError(f"{pet.name or 'The image'} is {modality}, not PET.", "Give a PET in SUV.")
    if not unit:
        warnings.append("The file states no unit; its values were taken as SUV.")
    values = pet.data[np.isfinite(pet.data)]
    low, top = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if top > _IMPLAUSIBLE_SUV:
        warnings.append(f"The image reaches {top:.0f}, too much for SUV; it may be in Bq/mL.")
    if low < -_IMPLAUSIBLE_SUV:
        warnings.append(f"The image goes down to {low:.0f}; it may be a CT.")
    return warnings


def _add_ibsi(rows: list[dict[str, Any]], pet: Volume, inside: npt.NDArray[np.bool_], progress: Progress) -> None:
    from napari_tumorseg.evaluation.pet.ibsi import ibsi_features
    from napari_tumorseg.voxels.parts import connected_parts

    parts, _ = connected_parts(inside, 18)
    for number, row in enumerate(rows):
        progress.update(number / len(rows), "Computing the features of IBSI")
        z, y, x = (int(v) for v in np.rint(pet.grid.to_index(row["suv_max_mm"])))
        row["ibsi"] = ibsi_features(pet.data, np.asarray(parts == parts[z, y, x]), pet.grid)


def as_text(document: dict[str, Any]) -> str:
    """Return what `quantify` found, for people."""
    whole = document["patient"]
    count = whole["lesion_count"]
    lines = [
        f"{count} lesion{'' if count == 1 else 's'}, TMTV {whole['tmtv_ml']:.2f} mL, TLA {whole['tla']:.2f} g",
        f"SUVmax {whole['suv_max']:.2f}, SUVpeak {whole['suv_peak']:.2f}, SUVmean {whole['suv_mean']:.2f}, Dmax {whole['dmax_cm']:.2f} cm",
    ]
    if document["lesions"]:
        lines.append(f"{'lesion':>6} {'volume mL':>10} {'SUVmax':>8} {'SUVpeak':>8} {'SUVmean':>8} {'TLA g':>10}  centre (R, A, S) mm")
    for row in document["lesions"]:
        place = ", ".join(f"{v:.1f}" for v in row["centroid_mm"])
        numbers = f"{row['volume_ml']:10.2f} {row['suv_max']:8.2f} {row['suv_peak']:8.2f} {row['suv_mean']:8.2f} {row['tla']:10.2f}"
        lines.append(f"{row['id']:>6} {numbers}  {place}")
    lines += [f"Note: {warning}" for warning in document["warnings"]]
    return "\n".join([*lines, document["notice"]])

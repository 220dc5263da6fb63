"""PET quantities, as a section and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_tumorseg.workflows.report.plot import Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table

__all__ = ["pet_section"]

_PATIENT = (
    ("suv_max", "SUVmax"),
    ("suv_mean", "SUVmean"),
    ("suv_peak", "SUVpeak, 1 mL sphere"),
    ("tmtv_ml", "total metabolic tumour volume (mL)"),
    ("tla", "total lesion activity (SUV mL)"),
    ("lesion_count", "lesions"),
    ("dmax_cm", "largest distance Dmax (cm)"),
)
_LESION = (("volume_ml", "volume (mL)"), ("suv_max", "SUVmax"), ("suv_mean", "SUVmean"), ("suv_peak", "SUVpeak"), ("tla", "TLA (SUV mL)"))


def pet_section(document: Mapping[str, Any]) -> Section:
    """Return the section of a document of `workflows.quantify.quantify`: the patient, each lesion, uptake against volume."""
    patient, lesions = document["patient"], document["lesions"]
    keys = tuple(str(number) for number in range(1, len(lesions) + 1))
    rows = tuple((int(key), *(lesion.get(name) for name, _ in _LESION)) for key, lesion in zip(keys, lesions, strict=True))
    x, y, named = finite_points(
        ((lesion["volume_ml"], lesion["suv_max"], key) for key, lesion in zip(keys, lesions, strict=True)), above_zero=True
    )
    plot = Plot(
        "Uptake against volume", "volume (mL)", "SUVmax", (Series("", x, y, keys=named),), x_log=True, caption="One point a lesion."
    )
    return Section(
        "PET quantities",
        (f"{patient['lesion_count']} lesion{'' if patient['lesion_count'] == 1 else 's'}, 18-connected.",),
        (
            Table("Patient", ("quantity", "value"), tuple((title, patient[name]) for name, title in _PATIENT)),
            Table("Lesions", ("lesion", *(title for _, title in _LESION)), rows, keys),
        ),
        (plot,) if lesions else (),
        tuple(document["warnings"]),
        {key: tuple(lesion["centroid_mm"]) for key, lesion in zip(keys, lesions, strict=True)},
    )

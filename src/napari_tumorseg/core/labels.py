"""What mask values mean: stored labels, derived regions, colours, codes.

Three things that are easily mixed up are kept apart. *Labels* are the values in a mask, one per
voxel. *Regions* are unions of labels (whole tumour, tumour core) and overlap. *Lesions* are the
connected parts of one region, numbered by `evaluation.lesions`, and are never stored as labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["PRESETS", "Code", "Label", "LabelSchema", "Region", "guess", "preset", "remap_values"]


@dataclass(frozen=True)
class Code:
    """A coded term: value, scheme and meaning, as DICOM uses them (e.g. SNOMED CT, "SCT")."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """A value that a mask may hold.

    Attributes
    ----------
    value : int
        1 to 65535; 0 is background.
    name : str
        Short name, e.g. "ET".
    title : str
        Full name, e.g. "Enhancing tumour".
    colour : str
        "#RRGGBB".
    category, kind : Code
        Segmented property category and type for DICOM SEG.
    """

    value: int
    name: str
    title: str
    colour: str
    category: Code
    kind: Code


@dataclass(frozen=True)
class Region:
    """A named union of labels."""

    name: str
    title: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class LabelSchema:
    """The labels of a mask and the regions made of them.

    Parameters
    ----------
    name : str
        Stable identifier, e.g. "brats-mets-2025".
    labels : tuple of Label
        In display order; values are unique.
    regions : tuple of Region
        From the largest to the smallest, so that `from_regions` can overwrite in order.
    lesion_region : str
        The region whose connected parts are the lesions that are listed.

    Examples
    --------
    >>> schema = preset("brats-mets-2025")
    >>> schema.region("TC").values
    (1, 3)
    """

    name: str
    labels: tuple[Label, ...]
    regions: tuple[Region, ...]
    lesion_region: str

    def __post_init__(self) -> None:
        """Check that values are unique and regions refer to them."""
        values = [label.value for label in self.labels]
        if len(set(values)) != len(values) or any(not 0 < v < 65536 for v in values):
            raise InputError(f"The labels of {self.name} are not unique numbers from 1 to 65535.", "Correct the schema.")
        for region in self.regions:
            if not region.values or not set(region.values) <= set(values):
                raise InputError(f"Region {region.name} of {self.name} names a label that is not there.", "Correct the schema.")
        self.region(self.lesion_region)

    @property
    def values(self) -> tuple[int, ...]:
        """The values a mask may hold besides 0."""
        return tuple(label.value for label in self.labels)

    def label(self, name_or_value: str | int) -> Label:
        """Return a label by name or value; raise `InputError` when there is none."""
        for label in self.labels:
            if name_or_value in (label.name, label.value):
                return label
        raise InputError(f"{self.name} has no label {name_or_value!r}.", f"It has {', '.join(f'{x.value} {x.name}' for x in self.labels)}.")

    def region(self, name: str) -> Region:
        """Return a region by name; raise `InputError` when there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise InputError(f"{self.name} has no region {name!r}.", f"It has {', '.join(r.name for r in self.regions)}.")

    def region_mask(self, labels: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
        """Return where `labels` (any shape) belong to the region `name`."""
        table = np.zeros(int(max(self.values)) + 2, dtype=bool)
        table[list(self.region(name).values)] = True
        # What lies beyond the table meets its last entry, which is False; a narrow dtype cannot get there.
        last = len(table) - 1
        if labels.dtype.kind in "iu":
            last = min(last, np.iinfo(labels.dtype).max)
        return np.asarray(table[np.minimum(labels, last)])

    def from_regions(self, regions: Mapping[str, npt.NDArray[np.bool_]], rest: Mapping[str, str]) -> npt.NDArray[np.uint8]:
        """Make labels from overlapping regions.

        Parameters
        ----------
        regions : mapping of str to numpy.ndarray
            Boolean arrays of one shape, by region name.
        rest : mapping of str to str
            For each region, the name of the label that its voxels get where no later region
            of the mapping covers them; later regions win.

        Returns
        -------
        numpy.ndarray
            uint8 labels, same shape.
        """
        first = next(iter(regions.values()))
        labels = np.zeros(first.shape, np.uint8)
        for region, label in rest.items():
            labels[regions[region]] = self.label(label).value
        return labels

    def check(self, labels: npt.NDArray[Any], what: str = "The mask") -> None:
        """Raise `InputError` when `labels` hold a value that the schema does not know."""
        found = set(np.unique(labels).tolist()) - {0} - set(self.values)
        if found:
            values = ", ".join(map(str, sorted(found)))
            raise InputError(
                f"{what} holds the value{'s' if len(found) > 1 else ''} {values}, which {self.name} does not have.",
                "Choose the label schema that the mask was made with.",
            )


def remap_values(labels: npt.NDArray[Any], mapping: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """Return uint8 labels with each value replaced as `mapping` says; others stay.

    Raises
    ------
    InputError
        If a value before or after is outside 0 to 65535, or a value of the result is above 255.
    """
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    outside = [v for v in (low, high, *mapping, *mapping.values()) if not 0 <= v < 65536]
    if outside:
        raise InputError(f"The mask holds or is given the value {outside[0]}.", "Masks hold values from 0 to 255.")
    table = np.arange(max([high, *mapping]) + 1)
    for old, new in mapping.items():
        table[old] = new
    if table.max() > 255:  # also true of values that are only passed over
        largest = int(table[np.unique(labels)].max(initial=0))
        if largest > 255:
            raise InputError(f"The mask holds the value {largest}.", "Masks hold values from 0 to 255.")
    return np.asarray(table.astype(np.uint8)[labels])


_MORPHOLOGY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_NON_ENHANCING = Code("C81175", "NCIt", "Non-Enhancing Lesion")
_OEDEMA = Code("79654002", "SCT", "Edema")
_ENHANCING = Code("C113842", "NCIt", "Enhancing Lesion")
_NEOPLASM = Code("108369006", "SCT", "Neoplasm")
# SNOMED CT and NCIt have no term for the cavity itself, so the scheme is our own.
_CAVITY = Code("RC", "99TUMORSEG", "Resection cavity")

NETC = "#0072B2"
SNFH = "#009E73"
ET = "#D55E00"
RC = "#CC79A7"


def _brats(name: str, et: int, cavity: bool) -> LabelSchema:
    labels = [
        Label(1, "NETC", "Non-enhancing tumour core", NETC, _MORPHOLOGY, _NON_ENHANCING),
        Label(2, "SNFH", "Surrounding FLAIR hyperintensity", SNFH, _MORPHOLOGY, _OEDEMA),
        Label(et, "ET", "Enhancing tumour", ET, _MORPHOLOGY, _ENHANCING),
    ]
    regions = [
        Region("WT", "Whole tumour", tuple(sorted((1, 2, et)))),
        Region("TC", "Tumour core", tuple(sorted((1, et)))),
        Region("ET", "Enhancing tumour", (et,)),
    ]
    if cavity:
        labels.append(Label(4, "RC", "Resection cavity", RC, _MORPHOLOGY, _CAVITY))
        regions.append(Region("RC", "Resection cavity", (4,)))
    return LabelSchema(name, tuple(labels), tuple(regions), "WT")


#: Label schemas by name. Colours are colour-blind safe (Okabe and Ito).
PRESETS: Mapping[str, LabelSchema] = MappingProxyType(
    {
        schema.name: schema
        for schema in (
            _brats("brats-mets-2025", 3, cavity=True),
            _brats("brats-gli-2024", 3, cavity=True),
            _brats("brats-2018", 4, cavity=False),
            LabelSchema(
                "lesion",
                (Label(1, "Lesion", "Lesion", ET, _MORPHOLOGY, _NEOPLASM),),
                (Region("Lesion", "Lesion", (1,)),),
                "Lesion",
            ),
        )
    }
)


def preset(name: str) -> LabelSchema:
    """Return a label schema of `PRESETS`; raise `InputError` when there is none of that name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"There is no label schema {name!r}.", f"Choose one of {', '.join(PRESETS)}.") from None


def guess(labels: npt.NDArray[Any], candidates: Sequence[LabelSchema]) -> LabelSchema | None:
    """Return the first schema whose labels cover the values present, None if none does."""
    present = set(np.unique(labels).tolist()) - {0}
    return next((schema for schema in candidates if present <= set(schema.values)), None)

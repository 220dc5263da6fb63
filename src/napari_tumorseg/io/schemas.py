"""What the values of a mask from a file mean, and who made it."""

from __future__ import annotations

import re

import numpy as np

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import PRESETS, Code, Label, LabelSchema, Region, guess
from napari_tumorseg.io.arrays import Labels, present_values

__all__ = ["PALETTE", "TISSUE", "choose_schema", "named_schema", "plain_label", "read_stamp", "schema_for", "stamp"]

#: Colours of labels that have none of their own: Okabe and Ito's, for colour-blind readers too.
PALETTE = ("#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
#: What a label is where nothing says more, as 3D Slicer does.
TISSUE = Code("85756007", "SCT", "Tissue")

# Instance masks have some hundreds of labels, images thousands of grey values.
_MOST_LABELS = 1000
_HINTS = (
    (re.compile(r"brats[-_]?met", re.IGNORECASE), "brats-mets-2025"),
    (re.compile(r"brats[-_]?gli", re.IGNORECASE), "brats-gli-2024"),
    (re.compile(r"brats[-_]?(20)?(1[2-9]|2[01])", re.IGNORECASE), "brats-2018"),
)
_STAMP = re.compile(r"tumorseg (?P<kind>\w+); (?P<review>[^;]+);")


def schema_for(labels: Labels, schema: LabelSchema | None, name: str, declared: str = "") -> LabelSchema:
    """Return the given schema after checking it, or the one that fits the values best.

    Parameters
    ----------
    labels : numpy.ndarray
        Unsigned, any shape.
    schema : LabelSchema, optional
        The user's choice.
    name : str
        File name, or its folder and name; "BraTS-MET-…" and the like decide between schemas.
    declared : str
        Name of a schema that the file itself states.

    Raises
    ------
    InputError
        If there are more values than a mask has, or the user's schema does not have one of them.
    """
    present = present_values(labels)
    if len(present) > _MOST_LABELS:
        what = name.rsplit("/", 1)[-1]
        raise InputError(f"{what} is not a mask: it holds {len(present):,} different values.", "It looks like an image; choose the mask.")
    if schema is not None:
        schema.check(np.array(present, dtype=np.int64), name.rsplit("/", 1)[-1])
        return schema
    return choose_schema(present, name, declared)


def choose_schema(present: tuple[int, ...], name: str = "", declared: str = "") -> LabelSchema:
    """Return the schema that fits the values above 0 that occur.

    A file that names its schema or its challenge is believed if the values fit. Else 1 alone is a
    lesion mask, 4 without 3 is BraTS up to 2021, where 4 was the enhancing tumour, and other values are
    the first preset that has them all. Values that no preset has become labels of their own.
    """
    wanted = set(present)
    for candidate in (declared, *(target for pattern, target in _HINTS if pattern.search(name))):
        if candidate in PRESETS and wanted <= set(PRESETS[candidate].values):
            return PRESETS[candidate]
    if wanted == {1}:
        return PRESETS["lesion"]
    order = ["brats-2018"] if 4 in wanted and 3 not in wanted else []
    found = guess(np.array(present, dtype=np.int64), [PRESETS[key] for key in (*order, *(k for k in PRESETS if k not in order))])
    return found or named_schema("labels", tuple(plain_label(value, i) for i, value in enumerate(present)))


def plain_label(value: int, index: int = 0) -> Label:
    """Return the label "Label 7" for a value of which nothing is known; `index` chooses its colour."""
    return Label(value, f"Label {value}", f"Label {value}", PALETTE[index % len(PALETTE)], TISSUE, TISSUE)


def named_schema(name: str, labels: tuple[Label, ...]) -> LabelSchema:
    """Return a schema of at least one label whose only region is all of them."""
    return LabelSchema(name, labels, (Region("All", "All labels", tuple(label.value for label in labels)),), "All")


def stamp(mask: MaskVersion) -> str:
    """Return what is written into files about a mask: who made it, whether it was reviewed, what it is for."""
    return f"tumorseg {mask.kind.value}; {mask.review.value}; research use only"


def read_stamp(text: str) -> tuple[MaskKind, Review]:
    """Return kind and review state that `stamp` wrote; any other file is a finished reference."""
    found = _STAMP.search(text)
    if found:
        try:
            return MaskKind(found["kind"]), Review(found["review"])
        except ValueError:
            pass
    return MaskKind.REFERENCE, Review.ACCEPTED

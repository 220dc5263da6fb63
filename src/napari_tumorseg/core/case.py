"""A patient's images and masks: dated time points, named volumes, versions of masks."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Volume

__all__ = ["Case", "MaskKind", "MaskVersion", "Review", "TimePoint"]


class MaskKind(StrEnum):
    """Who made a mask."""

    AI = "ai"
    RATER = "rater"
    REFERENCE = "reference"


class Review(StrEnum):
    """What a person has said about a mask; the value is what the user reads."""

    NOT_REVIEWED = "AI, not reviewed"
    IN_CORRECTION = "in correction"
    ACCEPTED = "accepted"


@dataclass(frozen=True, eq=False)
class MaskVersion:
    """One finished state of a mask; never changed, only followed by another version.

    Attributes
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer, values of `schema`.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the values.
    kind : MaskKind
        Who made it.
    author : str
        Person or model.
    review : Review
        Whether a person has accepted it.
    created : datetime.datetime
        With time zone.
    version : str
        Unique id.
    header : mapping
        What the reader kept of the file (segment names, tracking ids), opaque here.
    """

    labels: npt.NDArray[np.unsignedinteger[Any]]
    grid: Grid
    schema: LabelSchema
    kind: MaskKind
    author: str = ""
    review: Review = Review.NOT_REVIEWED
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    version: str = field(default_factory=lambda: uuid.uuid4().hex)
    header: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shape and dtype."""
        if self.labels.shape != self.grid.shape or not np.issubdtype(self.labels.dtype, np.unsignedinteger):
            raise InputError(
                f"A mask of shape {self.labels.shape} and type {self.labels.dtype} does not fit a grid of {self.grid.shape}.",
                "Masks are unsigned integers on the grid of their image.",
            )


@dataclass(frozen=True, eq=False)
class TimePoint:
    """All images and masks of one visit.

    Attributes
    ----------
    volumes : mapping of str to Volume
        By modality, e.g. "T1c", or by name where the modality is unknown.
    masks : mapping of str to tuple of MaskVersion
        By name, oldest version first.
    date : datetime.date, optional
        Day of the visit; None when unknown or removed.
    """

    volumes: Mapping[str, Volume]
    masks: Mapping[str, tuple[MaskVersion, ...]] = field(default_factory=dict)
    date: dt.date | None = None

    def __post_init__(self) -> None:
        """Freeze the mappings."""
        object.__setattr__(self, "volumes", MappingProxyType(dict(self.volumes)))
        object.__setattr__(self, "masks", MappingProxyType(dict(self.masks)))

    def with_mask(self, name: str, mask: MaskVersion) -> TimePoint:
        """Return the time point with `mask` as the newest version under `name`."""
        return replace(self, masks={**self.masks, name: (*self.masks.get(name, ()), mask)})


@dataclass(frozen=True, eq=False)
class Case:
    """Everything about one patient that is open.

    Attributes
    ----------
    name : str
        Folder name or pseudonym; never a patient's name.
    timepoints : tuple of TimePoint
        In the order of their dates; at least one.

    Examples
    --------
    >>> grid = Grid.from_spacing((2, 2, 2), (1, 1, 1))
    >>> visit = TimePoint({"CT": Volume(np.zeros((2, 2, 2)), grid, "CT")})
    >>> Case("phantom", (visit,)).latest.volumes["CT"].modality
    'CT'
    """

    name: str
    timepoints: tuple[TimePoint, ...]

    def __post_init__(self) -> None:
        """Check that there is something to show."""
        if not self.timepoints or not any(t.volumes for t in self.timepoints):
            raise InputError(f"{self.name} holds no image.", "Choose a folder of NIfTI, NRRD or DICOM files.")

    @property
    def latest(self) -> TimePoint:
        """The last time point."""
        return self.timepoints[-1]

    def with_timepoint(self, index: int, timepoint: TimePoint) -> Case:
        """Return the case with one time point replaced."""
        points = list(self.timepoints)
        points[index] = timepoint
        return replace(self, timepoints=tuple(points))

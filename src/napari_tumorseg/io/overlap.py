"""Segments that may overlap, painted into one array of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, OverlapError

__all__ = ["Overlap", "Painter"]

Overlap = Literal["error", "first", "last"]


class Painter:
    """Collects segments slice by slice, in the order of the file.

    Both outcomes of an overlap are kept until `finish`, which costs a second array only when
    segments do overlap.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x).
    highest : int
        Highest label value.
    names : mapping of int to str
        Name of each segment number, for messages.
    values : mapping of int to int
        Label value of each segment number.
    """

    def __init__(self, shape: tuple[int, int, int], highest: int, names: Mapping[int, str], values: Mapping[int, int]) -> None:
        dtype = np.uint8 if highest <= 255 else np.uint16
        self._first: npt.NDArray[np.unsignedinteger[Any]] = np.zeros(shape, dtype)
        self._last: dict[int, npt.NDArray[np.unsignedinteger[Any]]] = {}
        self._clashes: Counter[tuple[int, int]] = Counter()
        self._names = names
        self.values = values

    def paint(self, z: int, inside: npt.NDArray[np.bool_], segment: int) -> None:
        """Add the voxels of a segment on slice `z`; `inside` has the shape (y, x)."""
        value = self.values[segment]
        plane = self._first[z]
        taken = inside & (plane != 0) & (plane != value)
        top = self._last.get(z)
        if taken.any():
            for other, count in zip(*np.unique((plane if top is None else top)[taken], return_counts=True), strict=True):
                if other != value:
                    self._clashes[(int(other), value)] += int(count)
            if top is None:
                top = self._last[z] = plane.copy()
        if top is not None:
            top[inside] = value
        plane[inside & (plane == 0)] = value

    def finish(self, on_overlap: Overlap, name: str) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Return the labels; raise `InputError` naming the segments when they overlap and nobody said which wins."""
        if not self._clashes or on_overlap == "first":
            return self._first
        if on_overlap == "last":
            for z, plane in self._last.items():
                self._first[z] = plane
            return self._first
        if on_overlap != "error":
            raise InputError(f"{on_overlap!r} is no answer to overlapping segments.", "Choose 'first' or 'last'.")
        named = {value: self._names[segment] for segment, value in self.values.items()}
        pairs = [f"{named[a]} and {named[b]} ({count} voxels)" for (a, b), count in sorted(self._clashes.items())]
        more = f" and {len(pairs) - 4} more pairs" if len(pairs) > 4 else ""
        raise OverlapError(
            f"{name} has segments that overlap: {', '.join(pairs[:4])}{more}.",
            "Choose which wins: the 'first' or the 'last' in the file.",
        )

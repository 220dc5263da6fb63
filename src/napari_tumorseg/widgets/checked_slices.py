"""Slices that the user has checked: what the tool that learns takes for right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.session_part import SessionPart

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["CheckedSlices"]


class CheckedSlices(SessionPart):
    """Remembers, for each open mask, which slices were checked.

    Signals
    -------
    changed()
        A slice was checked, or is not any more.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._slices: dict[OpenMask, set[tuple[int, int]]] = {}
        session.masks_changed.connect(self._forget_closed)

    @property
    def slices(self) -> frozenset[tuple[int, int]]:
        """Axis of the active mask's grid and index of each checked slice."""
        active = self._session.active
        return frozenset(self._slices.get(active, ())) if active is not None else frozenset()

    def known(self) -> npt.NDArray[np.bool_] | None:
        """Return the voxels of the checked slices of the active mask, boolean (z, y, x); None where there are none."""
        active, slices = self._session.active, self.slices
        if active is None or not slices:
            return None
        known = np.zeros(active.document.grid.shape, bool)
        for axis, index in slices:
            where: list[slice | int] = [slice(None)] * 3
            where[axis] = index
            known[tuple(where)] = True
        return known

    def toggle(self) -> None:
        """Check the slice in view, or take that back."""
        session, active = self._session, self._session.active
        target = session.hand.target()
        if active is None or target.voxel is None:
            session.said.emit("There is no mask to check. Run a model, or start an empty mask.", True)
            return
        slices = self._slices.setdefault(active, set())
        this = (target.axis, target.voxel[target.axis])
        was = this in slices
        slices.symmetric_difference_update({this})
        count = f"{len(slices)} slice{'' if len(slices) == 1 else 's'} checked"
        session.said.emit(f"This slice is {'no longer ' if was else ''}checked; {count}.", False)
        self.changed.emit()

    def _forget_closed(self) -> None:
        for mask in [m for m in self._slices if m not in self._session.masks]:
            del self._slices[mask]

"""The two diameters of the lesion in focus, as lines over the views that show their slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject

from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.widgets.napari_views import SceneLines

if TYPE_CHECKING:
    from napari_tumorseg.widgets.linked_views import LinkedViews
    from napari_tumorseg.widgets.session import Session

__all__ = ["DiameterLines"]

_LONGEST = (1.0, 1.0, 1.0, 1.0)
_ACROSS = (0.8, 0.8, 0.8, 1.0)


class DiameterLines(QObject):
    """Draws the longest diameter and its perpendicular where the slice that they were measured in is seen.

    Parameters
    ----------
    session : Session
        Owner.
    views : LinkedViews
        Where they are drawn.
    """

    def __init__(self, session: Session, views: LinkedViews) -> None:
        super().__init__(session)
        self._session = session
        self._views = views
        self._lines: list[SceneLines] = []
        self._shown: tuple[object, ...] = ()
        for signal in (session.focus.changed, session.lesions.changed, session.masks_changed, session.view.crosshair.moved, views.changed):
            signal.connect(self._on_change)
        session.view.plane_changed.connect(self._on_change)

    @property
    def shown(self) -> int:
        """Number of views that show diameters."""
        return len(self._lines)

    def _on_change(self, *_: object) -> None:
        lesion, scene = self._lesion(), self._session.view.scene
        ends = [] if lesion is None else [lesion.diameters.longest_ends_mm, lesion.diameters.perpendicular_ends_mm]
        if scene is None or not ends or not all(ends):
            self._draw((), [])
            return
        world = [scene.to_world(np.array(pair)) for pair in ends]
        at = np.array(self._session.view.crosshair.point_mm)
        seen = []
        for view, owner in self._views.owners:
            hidden = view.order[0]
            step = scene.scale_mm[hidden]
            if view.plane != "3-D" and all(abs(float(p[hidden]) - at[hidden]) <= step / 2 for pair in world for p in pair):
                seen.append((view.order[1:], owner))
        key = (lesion.diameters if lesion is not None else None, *((order, id(owner)) for order, owner in seen))
        self._draw(key, [(owner, [pair[:, list(order)] for pair in world]) for order, owner in seen])

    def _lesion(self) -> Lesion | None:
        focus = self._session.focus.lesion
        return next((row for row in self._session.lesions.rows if focus is not None and row.id == focus.id), None)

    def _draw(self, key: tuple[object, ...], wanted: list[tuple[object, list[npt.NDArray[np.float64]]]]) -> None:
        if key == self._shown:
            return
        self._shown = key
        for lines in self._lines:
            lines.close()
        self._lines = []
        for owner, pairs in wanted:
            lines = SceneLines(owner, len(pairs))
            lines.set([(pair, colour) for pair, colour in zip(pairs, (_LONGEST, _ACROSS), strict=True)])
            self._lines.append(lines)

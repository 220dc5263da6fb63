"""The one place that all views of a case point at."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QObject, Signal

__all__ = ["PLANE_COLOURS", "Crosshair"]

#: Colour of the lines along which each plane cuts the others: distinct from the masks' for all kinds of colour vision.
PLANE_COLOURS = {"axial": "#56B4E9", "coronal": "#F0E442", "sagittal": "#E69F00"}

_SAME_MM = 1e-6


class Crosshair(QObject):
    """A point in the world of the scene.

    Signals
    -------
    moved()
        The point is another one.

    Parameters
    ----------
    parent : QObject
        Owner.
    """

    moved = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._point_mm = (0.0, 0.0, 0.0)

    @property
    def point_mm(self) -> tuple[float, float, float]:
        """World coordinates (z, y, x) in millimetres to inferior, posterior and left."""
        return self._point_mm

    def move(self, point_mm: Sequence[float]) -> None:
        """Point at world coordinates (z, y, x)."""
        z, y, x = (float(v) for v in point_mm)
        if max(abs(a - b) for a, b in zip((z, y, x), self._point_mm, strict=True)) > _SAME_MM:
            self._point_mm = (z, y, x)
            self.moved.emit()

    def move_along(self, axis: int, value_mm: float) -> None:
        """Move to `value_mm` along one axis of (z, y, x)."""
        point = list(self._point_mm)
        point[axis] = value_mm
        self.move(point)

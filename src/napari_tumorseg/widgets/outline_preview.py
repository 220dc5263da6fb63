"""The outline that is being drawn, as a line over the views that show its slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject

from napari_tumorseg.widgets.linked_views import LinkedViews
from napari_tumorseg.widgets.napari_views import SceneLines
from napari_tumorseg.widgets.tool_hand import ToolHand

__all__ = ["OutlinePreview"]

# White on a dark rim would hide thin lesions; yellow stands out on grey and on the masks' colours.
_COLOUR = (1.0, 0.93, 0.2, 1.0)


class OutlinePreview(QObject):
    """Draws what `ToolHand.drawing` tells.

    Parameters
    ----------
    hand : ToolHand
        Owner.
    views : LinkedViews
        Where it is drawn.
    """

    def __init__(self, hand: ToolHand, views: LinkedViews) -> None:
        super().__init__(hand)
        self._views = views
        self._lines: list[SceneLines] = []
        hand.drawing.connect(self.show)
        views.changed.connect(self.clear)

    @property
    def shown(self) -> int:
        """Number of views that show an outline."""
        return len(self._lines)

    def clear(self) -> None:
        """Draw nothing."""
        for lines in self._lines:
            lines.close()
        self._lines = []

    def show(self, world: npt.NDArray[np.float64]) -> None:
        """Draw a line through world coordinates (n, 3) in the views across whose slice it lies."""
        self.clear()
        if len(world) < 2:
            return
        flat = np.ptp(world, axis=0)
        for view, owner in self._views.owners:
            hidden = view.order[0]
            if view.plane == "3-D" or flat[hidden] > 1e-6:
                continue
            points = world[:, list(view.order[1:])]
            lines = SceneLines(owner, 1)
            lines.set([(np.repeat(points, 2, axis=0)[1:-1], _COLOUR)])
            self._lines.append(lines)

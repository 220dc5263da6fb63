"""Orientation letters at the edges of the canvas, and which slice is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.components.overlays import TextOverlay

from napari_tumorseg.workflows.scene import PLANES, EdgeLetters, Scene

__all__ = ["EdgeLettersOverlay", "plane_of", "slice_title"]

_PLACES = {"left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center", "slice": "top_left"}
# Yellow on a dark plate stands out on black, on grey brain and on inverted PET alike.
_YELLOW = (1.0, 0.84, 0.37, 1.0)
_WHITE = (0.94, 0.94, 0.94, 1.0)
_PLATE = (0.0, 0.0, 0.0, 0.45)


def plane_of(order: Sequence[int]) -> str:
    """Return the name of the plane that an order of the scene's axes shows, "" for none of `PLANES`."""
    return next((name for name, axes in PLANES.items() if axes == tuple(order)), "")


def slice_title(scene: Scene, order: Sequence[int], along_mm: float) -> str:
    """Return plane, position and number of a slice in three lines.

    Parameters
    ----------
    scene : Scene
        What is shown.
    order : sequence of int
        The scene's axes; the first one is not shown.
    along_mm : float
        World coordinate of the slice along the first axis.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Grid
    >>> slice_title(Scene(Grid.from_spacing((4, 5, 6), (3.0, 1.0, 1.0), "IPL")), (0, 1, 2), 6.0).splitlines()
    ['Axial', 'I 6.0 mm', '3 of 4']
    """
    axis = order[0]
    step = round((along_mm - scene.translate_mm[axis]) / scene.scale_mm[axis])
    direction = ("SI", "AP", "RL")[axis][int(along_mm >= 0)]
    name = plane_of(order).capitalize() or "Turned"
    return f"{name}\n{direction} {abs(along_mm):.1f} mm\n{step + 1} of {scene.grid.shape[axis]}"


class EdgeLettersOverlay:
    """Four letters and the slice over a viewer's canvas, in its pictures too.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Any viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._texts: dict[str, TextOverlay] = {}
        for edge, position in _PLACES.items():
            title = edge == "slice"
            text = TextOverlay(
                position=position, color=_WHITE if title else _YELLOW, font_size=9 if title else 12, box=True, box_color=_PLATE
            )
            viewer.canvas.overlays[f"tumorseg_{edge}"] = text
            self._texts[edge] = text

    @property
    def texts(self) -> dict[str, str]:
        """What is shown, by edge; "slice" is the line that names the slice."""
        return {edge: str(text.text) for edge, text in self._texts.items() if text.visible}

    def set(self, letters: EdgeLetters, title: str) -> None:
        """Show letters and a title."""
        for edge, text in self._texts.items():
            text.text = title if edge == "slice" else getattr(letters, edge)
            text.visible = True

    def set_title(self, title: str) -> None:
        """Show a title alone."""
        for edge, text in self._texts.items():
            text.text = title if edge == "slice" else ""
            text.visible = edge == "slice"

    def clear(self) -> None:
        """Show nothing."""
        for text in self._texts.values():
            text.visible = False

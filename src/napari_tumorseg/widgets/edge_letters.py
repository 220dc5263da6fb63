"""Orientation letters at the edges of the canvas, and which slice is seen."""

from __future__ import annotations

from typing import Any

from napari.components.overlays import TextOverlay

from napari_tumorseg.workflows.scene import EdgeLetters

__all__ = ["EdgeLettersOverlay"]

_PLACES = {"left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center", "slice": "top_left"}
# Yellow on a dark plate stands out on black, on grey brain and on inverted PET alike.
_YELLOW = (1.0, 0.84, 0.37, 1.0)
_WHITE = (0.94, 0.94, 0.94, 1.0)
_PLATE = (0.0, 0.0, 0.0, 0.45)


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

    def clear(self) -> None:
        """Show nothing."""
        for text in self._texts.values():
            text.visible = False

"""What an action costs: a keystroke-level model with Fitts' law for pointing.

K, B and M are those of Card, Moran and Newell, The keystroke-level model for user performance time with interactive
systems, Commun ACM 23(7), 1980: K = 0.28 s (average non-secretary typist), B = 0.1 s, M = 1.35 s. Pointing and
dragging follow Fitts' law with the mouse's constants of MacKenzie, Sellen and Buxton, A comparison of input devices in
elemental pointing and dragging tasks, CHI 1991: -107 + 223 ID ms and 135 + 249 ID ms, ID = log2(D / W + 1). Drawn
lines are paid by length: 50 mm of image a second, an assumption that is the same for both arms, as is the price of a
notch of the wheel, 0.08 s. Looking for the next error costs one M.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["BUTTON_S", "KEY_S", "THINK_S", "Bill", "line_s", "point_s", "scroll_s", "slider_s"]

KEY_S = 0.28
BUTTON_S = 0.1
THINK_S = 1.35
NOTCH_S = 0.08
DRAW_MM_PER_S = 50.0
#: From the canvas to a control of the dock and the width of a control, in the canvas' millimetres.
DOCK_MM, CONTROL_MM = 150.0, 8.0


def point_s(distance_mm: float, width_mm: float) -> float:
    """Return the time to point at something `width_mm` wide, `distance_mm` away.

    Examples
    --------
    >>> round(point_s(100.0, 10.0), 2)
    0.66
    """
    return max(0.0, -0.107 + 0.223 * math.log2(max(distance_mm, 0.0) / max(width_mm, 1.0) + 1))


def line_s(length_mm: float) -> float:
    """Return the time to draw a line: press, draw, release."""
    return 2 * BUTTON_S + 0.135 + length_mm / DRAW_MM_PER_S


def scroll_s(slices: int) -> float:
    """Return the time to go to another slice by the wheel."""
    return NOTCH_S * abs(slices)


def slider_s() -> float:
    """Return the time to drag a slider or press a button of the dock and come back."""
    return 2 * point_s(DOCK_MM, CONTROL_MM) + 2 * BUTTON_S + 0.135 + 0.249 * math.log2(30.0 / CONTROL_MM + 1)


@dataclass
class Bill:
    """What has been paid so far.

    Attributes
    ----------
    strokes : int
        Lines and clicks on the canvas, and uses of a tool by key or button, undoing included.
    drags, clicks, uses : int
        Its parts.
    settings : int
        Keys and controls pressed to change tool, label, size or an option.
    line_mm : float
        Length of all lines.
    seconds : float
        Estimated time, looking for errors included.
    by_tool : dict of str to list
        For each tool: strokes, voxels mended, seconds.
    """

    drags: int = 0
    clicks: int = 0
    uses: int = 0
    settings: int = 0
    line_mm: float = 0.0
    seconds: float = 0.0
    by_tool: dict[str, list[float]] = field(default_factory=dict)

    @property
    def strokes(self) -> int:
        """Lines, clicks and uses of tools."""
        return self.drags + self.clicks + self.uses

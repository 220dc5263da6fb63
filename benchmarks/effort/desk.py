"""The desk: the mask, what is wrong with it, the settings in force and the bill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from effort.cases import Subject
from effort.hand import Hand
from effort.klm import BUTTON_S, KEY_S, Bill, line_s, point_s, scroll_s, slider_s
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box

__all__ = ["Act", "Aim", "Desk", "Setting"]

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
Setting = tuple[str, object]
#: What changing a setting costs: by a key, or by a control of the dock.
_BY_KEY = {"tool", "label", "over"}


@dataclass(frozen=True, eq=False)
class Aim:
    """An error that the user has found.

    Attributes
    ----------
    label : int
        What the voxels should be; 0 for nothing.
    outline : bool
        Whether only tumour or not counts, whatever its class.
    box : Box
        Around the error, with some margin.
    error : numpy.ndarray
        Boolean, shape of the box.
    """

    label: int
    outline: bool
    box: Box
    error: Bools


@dataclass(frozen=True, eq=False)
class Act:
    """Something that an arm offers for an error.

    Attributes
    ----------
    tool : str
        Name, for the table.
    kind : str
        "drag", "click" or "use".
    gain : float
        Voxels that it is expected to mend, net.
    seconds : float
        Without settings and without going there.
    settings : tuple
        Settings that it needs, (name, value) each.
    perform : callable
        Returns box and labels to write, drawn by the hand.
    where : tuple of int
        Voxel at which the pointer starts.
    length_mm : float
        Of the line.
    strokes : int
        Lines, clicks and uses that it takes.
    foreseen : bool
        Whether the user knows beforehand what it will do.
    """

    tool: str
    kind: str
    gain: float
    seconds: float
    settings: tuple[Setting, ...]
    perform: Callable[[], tuple[Box, Labels] | None]
    where: tuple[int, int, int]
    length_mm: float = 0.0
    strokes: int = 1
    foreseen: bool = True


@dataclass(eq=False)
class Desk:
    """State of one correction.

    Attributes
    ----------
    subject : Subject
        The case, cut to the brain.
    document : MaskDocument
        The mask that is corrected.
    hand : Hand
        Its noise.
    bill : Bill
        What has been paid.
    settings : dict
        Settings in force.
    at : tuple of int
        Where the pointer is.
    likely : dict of int to numpy.ndarray
        By label: how likely it is, as learnt from checked slices; shown as an image to paint with a window on.
    redrawn : set of tuple
        Slice, label and whether it was the tumour's border, of the borders that were redrawn.
    """

    subject: Subject
    document: MaskDocument
    hand: Hand
    bill: Bill = field(default_factory=Bill)
    settings: dict[str, object] = field(default_factory=dict)
    at: tuple[int, int, int] = (0, 0, 0)
    likely: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    redrawn: set[tuple[int, int, bool]] = field(default_factory=set)

    @property
    def truth(self) -> Labels:
        """The reference."""
        return self.subject.truth

    @property
    def labels(self) -> Labels:
        """The mask as it is."""
        return np.asarray(self.document.labels)

    def wrong(self, outline: bool) -> int:
        """Return how many voxels are wrong."""
        return int(np.count_nonzero(wrong(self.labels, self.truth, outline)))

    def setting_s(self, act: Act) -> tuple[int, float]:
        """Return how many settings an act needs changed, and the time for it."""
        changed = [(n, v) for n, v in act.settings if self.settings.get(n) != v]
        seconds = 0.0
        for name, value in changed:
            if name in _BY_KEY:
                seconds += KEY_S
            elif name == "size" and isinstance(old := self.settings.get("size"), float) and isinstance(value, float):
                # A key press for each step, or the slider.
                seconds += min(slider_s(), KEY_S * max(1, round(abs(value - old))))
            else:
                seconds += slider_s()
        return len(changed), seconds

    def going_s(self, act: Act) -> float:
        """Return the time to get the pointer to where an act starts."""
        spacing = self.subject.grid.spacing_mm
        away = float(np.hypot((act.where[1] - self.at[1]) * spacing[1], (act.where[2] - self.at[2]) * spacing[2]))
        return scroll_s(act.where[0] - self.at[0]) + point_s(away, 4.0)

    def total_s(self, act: Act) -> float:
        """Return what an act costs from here."""
        return act.seconds + self.setting_s(act)[1] + self.going_s(act)

    def do(self, act: Act, outline: bool) -> int:
        """Perform an act, pay for it, and return by how many voxels the mask is nearer to the reference."""
        changed, setting_s = self.setting_s(act)
        seconds = act.seconds + setting_s + self.going_s(act)
        self.settings.update(dict(act.settings))
        self.at = act.where
        bill = self.bill
        if act.kind == "drag":
            bill.drags += act.strokes
        elif act.kind == "click":
            bill.clicks += act.strokes
        else:
            bill.uses += act.strokes
        bill.settings += changed
        bill.line_mm += act.length_mm
        bill.seconds += seconds
        drawn = act.perform()
        mended = 0
        if drawn is not None:
            box, new = drawn
            truth = self.truth[box.slices]
            before = np.count_nonzero(wrong(self.labels[box.slices], truth, outline))
            source = PatchSource.HAND if act.tool.startswith("brush") or act.tool.startswith("fill") else PatchSource.TOOL
            self.document.write(box, new, Origin(source, act.tool))
            mended = int(before - np.count_nonzero(wrong(self.labels[box.slices], truth, outline)))
        row = bill.by_tool.setdefault(act.tool, [0, 0, 0.0])
        row[0] += act.strokes
        row[1] += mended
        row[2] += seconds
        return mended

    def undo(self, tool: str, mended: int) -> None:
        """Take the last step back: two keys and a look."""
        self.document.undo()
        self.bill.uses += 1
        self.bill.seconds += 2 * KEY_S
        row = self.bill.by_tool[tool]
        row[0] += 1
        row[1] -= mended
        row[2] += 2 * KEY_S


def wrong(labels: Labels, truth: Labels, outline: bool) -> Bools:
    """Return where a mask differs from the reference, in class or only in tumour or not."""
    return (labels > 0) != (truth > 0) if outline else labels != truth


def click_s() -> float:
    """Return the time of a click, the pointer being there."""
    return 2 * BUTTON_S


def drag_s(length_mm: float) -> float:
    """Return the time of a line, the pointer being at its start."""
    return line_s(length_mm)

"""The simulated user: one policy for both arms; what our arm does besides is told in `our_user`.

1. First the outline of the whole tumour, whatever the class (class painted: the one that most of the error has in the
   reference), until its Dice reaches the target; then the classes that are not there yet, the whole tumour watched too.
2. Look for the largest connected error; that costs one M. Stay at it until less than a fifth of it is left, or nothing
   pays. One look takes in the largest error and up to five more that are at least half as large.
3. Of all that the arm offers for this error, in the slice where most of it lies, take what mends most voxels per
   estimated second. What the brush, the fill and the lasso do is foreseen, without the hand's noise. What tools that look
   at the image do is not: they are tried on the strength of the share of an error that they have mended so far (a running
   mean that starts from `our_user.REACH`), and undone at a price when they made things worse. A tool that failed is not
   tried again at that error.
4. An act that would mend less than `LEAST` voxels is not worth a movement; an error for which there is nothing better is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from effort.cases import Subject
from effort.desk import Act, Aim, Desk
from effort.hand import Hand
from effort.klm import THINK_S, Bill
from effort.stock import Ground, stock_acts, survey
from effort.tally import Tally
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Box
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["LEAST", "Milestone", "Outcome", "User", "correct"]

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
#: How fast the user's opinion of a tool follows what it did.
LEARNING = 0.3
#: Voxels below which an act is not worth it.
LEAST = 1
#: An error is done when this share of it is left.
LEFT = 0.2
MARGIN_VOXELS = 6
#: Tools that stay within a slice.
FLAT = ("brush 2-D", "brush outline and fill", "fill", "lasso", "redraw", "threshold paint", "threshold paint on what was learnt")


@dataclass(frozen=True)
class Milestone:
    """What had been paid when a target was first reached."""

    name: str
    strokes: int
    drags: int
    clicks: int
    uses: int
    settings: int
    seconds: float
    line_mm: float


@dataclass(eq=False)
class Outcome:
    """How a correction went.

    Attributes
    ----------
    milestones : dict of str to Milestone
        By target that was reached.
    dice_first, dice_last : dict of str to float
        Overlap at the start and the end.
    bill : Bill
        All that was paid.
    curve : list of tuple
        (strokes, seconds, WT, least class Dice), now and then.
    """

    milestones: dict[str, Milestone] = field(default_factory=dict)
    dice_first: dict[str, float] = field(default_factory=dict)
    dice_last: dict[str, float] = field(default_factory=dict)
    bill: Bill = field(default_factory=Bill)
    curve: list[tuple[int, float, float, float]] = field(default_factory=list)


def correct(
    subject: Subject,
    start: Labels,
    arm: Callable[[Desk], User],
    seed: int,
    outline_to: float,
    classes_to: tuple[float, ...],
    most: int,
) -> Outcome:
    """Correct a mask until all targets are reached, nothing pays any more or `most` strokes are used.

    Parameters
    ----------
    subject : Subject
        The case, cut to the brain.
    start : numpy.ndarray
        Labels to start from.
    arm : callable
        Given a desk, returns its user.
    seed : int
        Of the hand.
    outline_to : float
        Dice of the whole tumour to reach first.
    classes_to : tuple of float
        Dice that each class must reach, rising.
    most : int
        Strokes after which the user gives up.
    """
    desk = Desk(subject, MaskDocument(start, subject.grid, subject.schema), Hand(seed))
    tally = Tally(subject, desk.document)
    user = arm(desk)
    outcome = Outcome(dice_first=tally.dice())
    targets = [(f"WT {outline_to:.2f}", True, outline_to), *((f"classes {t:.2f}", False, t) for t in classes_to)]

    def note() -> bool:
        """Write down which targets are reached; return whether all are."""
        found, b = tally.dice(), desk.bill
        for name, outline, target in targets:
            if name not in outcome.milestones and not user.lacking(found, outline, target, outline_to):
                outcome.milestones[name] = Milestone(name, b.strokes, b.drags, b.clicks, b.uses, b.settings, b.seconds, b.line_mm)
        return len(outcome.milestones) == len(targets)

    user.tally, user.after_act = tally, note
    if not note():
        user.prepare(min(outcome.dice_first.values()), most, note)
    for _, outline, target in targets:
        if not user.reach(outline, target, outline_to, most, outcome):
            break
    outcome.dice_last = tally.dice()
    outcome.bill = desk.bill
    return outcome


class User:
    """The user with napari's own tools; another arm offers more.

    Parameters
    ----------
    desk : Desk
        What is worked at.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        #: Share of an error that each tool has mended so far, where what it does is not foreseen.
        self.reach_of: dict[str, float] = {}
        # Voxels mended per second of late.
        self.pace = 0.0
        self.tally: Tally
        #: Called after each act, tells whether all targets are reached: at the act that reaches them, whatever is still in hand.
        self.after_act: Callable[[], bool]
        self.finished = False

    def prepare(self, least: float, most: int, done: Callable[[], bool]) -> None:
        """Do what is done before errors are looked for one by one; `least` is the least Dice."""

    def whole_mask(self, outline: bool, open_: list[str]) -> bool:
        """Use a tool on a whole label where that promises more than the last acts gave; return whether it helped."""
        del outline, open_
        return False

    def offers(self, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
        """Give what may be done about an error in a slice of its box."""
        yield from stock_acts(self.desk, aim, ground, z)

    def reach(self, outline: bool, target: float, outline_to: float, most: int, outcome: Outcome) -> bool:
        """Work until a target is reached; return whether it was."""
        passed: set[tuple[int, ...]] = set()
        moved = False
        while True:
            found = self.tally.dice()
            outcome.curve.append((self.desk.bill.strokes, self.desk.bill.seconds, found["WT"], min(found.values())))
            open_ = self.lacking(found, outline, target, outline_to)
            if not open_ or self.finished:
                return True
            if self.desk.bill.strokes >= most:
                return False
            if self.whole_mask(outline, open_):
                continue
            aims = self._aims(outline, open_, passed)
            if not aims:
                if not moved:
                    return False
                # What was passed over may look different now.
                passed, moved = set(), False
                continue
            for aim in aims:
                if self.finished:
                    break
                if self.mend(aim, most):
                    moved = True
                else:
                    passed.add((aim.label, *aim.box.start, *aim.box.stop))

    def lacking(self, found: dict[str, float], outline: bool, target: float, outline_to: float) -> list[str]:
        """Return the regions that a target lacks."""
        if outline:
            return ["WT"] if found["WT"] < target else []
        return [name for name, value in found.items() if value < (min(target, outline_to) if name == "WT" else target)]

    def _aims(self, outline: bool, open_: list[str], passed: set[tuple[int, ...]]) -> list[Aim]:
        """Return the largest errors, largest first: a few, so that one look serves several."""
        labels, truth = self.desk.labels, self.desk.truth
        found: list[tuple[int, int, Bools, Box]] = []
        wanted = {e.value: e.name for e in self.desk.subject.schema.labels}
        if outline:
            maps = [(-1, (truth > 0) & (labels == 0)), (0, (truth == 0) & (labels > 0))]
        else:
            maps = [(v, (truth == v) & (labels != v)) for v in (0, *wanted)]
            # An error counts when the class it is or should be is not there yet.
            touched = np.isin(labels, [v for v, n in wanted.items() if n in open_])
            maps = [(v, m if wanted.get(v) in open_ or "WT" in open_ else m & touched) for v, m in maps]
        for value, mask in maps:
            parts, count = connected_parts(mask, 6)
            if count == 0:
                continue
            from scipy import ndimage

            sizes = np.bincount(parts.ravel(), minlength=count + 1)
            sizes[0] = 0
            boxes = ndimage.find_objects(parts.astype(np.int32))
            for number in np.argsort(-sizes)[:12]:
                if sizes[number] < LEAST:
                    break
                part = boxes[number - 1]
                box = Box((part[0].start, part[1].start, part[2].start), (part[0].stop, part[1].stop, part[2].stop))
                wide = box.grown(MARGIN_VOXELS, labels.shape)
                error = parts[wide.slices] == number
                label = value
                if value < 0:
                    label = int(np.bincount(truth[wide.slices][error]).argmax())
                if (label, *wide.start, *wide.stop) not in passed:
                    found.append((int(sizes[number]), label, error, wide))
        found.sort(key=lambda f: -f[0])
        # One look takes in the largest error and those at least half as large.
        return [Aim(label, outline, box, error) for size, label, error, box in found[:6] if size >= 0.5 * found[0][0]]

    def mend(self, aim: Aim, most: int, flat: float = 0.0) -> bool:
        """Work on one error; return whether anything was mended.

        With `flat`, only with tools that stay within the slice, by acts that promise at least as many voxels.
        """
        self.desk.bill.seconds += THINK_S
        mended, failed, least = 0, set[str](), flat or LEAST
        size = np.count_nonzero(aim.error)
        while self.desk.bill.strokes < most and not self.finished:
            ground = Ground(self.desk, aim)
            left = np.count_nonzero(aim.error & ground.mend)
            slices = survey(ground, aim)
            if left < max(LEAST, LEFT * size) or not slices:
                break
            offers: list[Act] = []
            for z in slices:
                offers = [
                    act
                    for act in self.offers(aim, ground, z)
                    if (not flat or act.tool in FLAT) and act.tool not in failed and act.gain >= least
                ]
                if offers:
                    break
            if not offers:
                break
            act = max(offers, key=lambda a: a.gain / self.desk.total_s(a))
            got = self.attempt(act, aim.outline)
            if got <= 0:
                failed.add(act.tool)
            mended += max(got, 0)
        return mended > 0

    def attempt(self, act: Act, outline: bool) -> int:
        """Perform an act, and undo it when it made things worse; return how many voxels it mended."""
        before = self.desk.document.revision
        cost = self.desk.total_s(act)
        got = self.desk.do(act, outline)
        self.pace = 0.9 * self.pace + 0.1 * max(got, 0) / cost
        if not act.foreseen and act.gain > 0:
            hoped = act.gain / self.reach_of[act.tool]
            share = float(np.clip(got / max(hoped, 1.0), -0.2, 1.2))
            self.reach_of[act.tool] = max(0.02, (1 - LEARNING) * self.reach_of[act.tool] + LEARNING * share)
        if got < 0 and self.desk.document.revision > before:
            self.desk.undo(act.tool, got)
            got = 0
        self.finished = self.after_act()
        return got

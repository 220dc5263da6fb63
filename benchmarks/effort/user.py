"""The simulated user: one policy for both arms.

0. Our arm only, when a class is below `CHECK_BELOW`: in each round of `KEYS` the user corrects some slices, at first evenly
   over the tumour's height, later those with most errors, by the rules below but within the slice, until `SLICE_TO`
   of the slice's tumour is right or nothing of `SLICE_LEAST` voxels is left to mend; marks each as checked (a key); then
   has the rest learnt from them (two keys and a wait).
1. First the outline of the whole tumour, whatever the class (class painted: the one that most of the error has in the
   reference), until its Dice reaches the target; then the classes that are not there yet, the whole tumour watched too.
2. Look for the largest connected error; that costs one M. Stay at it until less than a fifth of it is left, or nothing
   pays. One look takes in the largest error and up to five more that are at least half as large.
3. Of all that the arm offers for this error, in the slice where most of it lies, take what mends most voxels per
   estimated second. What the brush, the fill and the lasso do is foreseen, without the hand's noise. What tools that look
   at the image do is not: they are tried on the strength of the share of an error that they have mended so far (a running
   mean that starts from `REACH`), and undone at a price when they made things worse. A tool that failed is not
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
from effort.klm import KEY_S, THINK_S, Bill
from effort.ours import our_acts, whole_mask_acts
from effort.stock import Ground, stock_acts, survey
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.inference.prompted.learn import learn
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["LEAST", "REACH", "Milestone", "Outcome", "correct", "dice_of"]

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
#: Net share of an error that a tool mends on average at first sight; chosen on the generated heads and the tuning cases.
REACH = {
    "threshold paint": 0.6,
    "threshold paint on what was learnt": 0.6,
    "click, all images": 0.3,
    "click, one image": 0.3,
    "drop specks": 0.2,
    "smooth": 0.1,
    "smooth jointly": 0.1,
    "margin": 0.2,
    "learn": 0.3,
}
#: What the user waits for learning, on a free core.
LEARN_S = 4.0
#: How fast the user's opinion of a tool follows what it did.
LEARNING = 0.3
#: Voxels below which an act is not worth it.
LEAST = 1
#: An error is done when this share of it is left.
LEFT = 0.2
#: Classes below this volume in the reference are not asked for.
#: Rounds of checked slices: how many more, evenly over the height of the tumour.
KEYS = (5, 5)
#: Share of a slice's tumour that must be right before it is marked as checked.
SLICE_TO = 0.95
#: Voxels below which an error of such a slice, or an act on it, is not worth it.
SLICE_LEAST = 4
#: Checking slices is worth it below this Dice of a class.
CHECK_BELOW = 0.92
LEAST_CLASS_MM3 = 1000.0
MARGIN_VOXELS = 6
#: Tools that stay within a slice.
FLAT = ("brush 2-D", "brush outline and fill", "fill", "lasso", "threshold paint", "threshold paint on what was learnt")


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


def dice_of(labels: Labels, truth: Labels, subject: Subject) -> dict[str, float]:
    """Return the Dice of the whole tumour ("WT") and of each class of at least 1 mL in the reference."""
    found = {"WT": _dice(labels > 0, truth > 0)}
    for label in subject.schema.labels:
        mask = truth == label.value
        if np.count_nonzero(mask) * subject.grid.voxel_volume_mm3 >= LEAST_CLASS_MM3:
            found[label.name] = _dice(labels == label.value, mask)
    return found


def _dice(a: Bools, b: Bools) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def correct(
    subject: Subject, start: Labels, click: ClickSegmenter | None, seed: int, outline_to: float, classes_to: tuple[float, ...], most: int
) -> Outcome:
    """Correct a mask until all targets are reached, nothing pays any more or `most` strokes are used.

    Parameters
    ----------
    subject : Subject
        The case, cut to the brain.
    start : numpy.ndarray
        Labels to start from.
    click : ClickSegmenter, optional
        Given to our arm; None is the stock arm.
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
    user = _User(desk, click)
    outcome = Outcome(dice_first=dice_of(desk.labels, desk.truth, subject))
    targets = [(f"WT {outline_to:.2f}", True, outline_to), *((f"classes {t:.2f}", False, t) for t in classes_to)]

    def note() -> bool:
        """Write down which targets are reached; return whether all are."""
        found, b = dice_of(desk.labels, desk.truth, subject), desk.bill
        for name, outline, target in targets:
            if name not in outcome.milestones and not user.lacking(found, outline, target, outline_to):
                outcome.milestones[name] = Milestone(name, b.strokes, b.drags, b.clicks, b.uses, b.settings, b.seconds, b.line_mm)
        return len(outcome.milestones) == len(targets)

    note()
    if click is not None and min(outcome.dice_first.values()) < CHECK_BELOW:
        user.check_slices(most, note)
    for _, outline, target in targets:
        if not user.reach(outline, target, outline_to, most, outcome):
            break
        note()
    outcome.dice_last = dice_of(desk.labels, desk.truth, subject)
    outcome.bill = desk.bill
    return outcome


class _User:
    def __init__(self, desk: Desk, click: ClickSegmenter | None) -> None:
        self.desk = desk
        self.click = click
        self.reach_of = dict(REACH)
        # Voxels mended per second of late.
        self.pace = 0.0

    def check_slices(self, most: int, done: Callable[[], bool]) -> None:
        """Correct some slices fully and let the rest be learnt from them."""
        desk = self.desk
        heights = np.flatnonzero((desk.truth > 0).any((1, 2)))
        first = np.array(desk.labels)
        known = np.zeros(len(desk.truth), bool)
        for turn, count in enumerate(KEYS):
            if done() or self.desk.bill.strokes >= most:
                return
            places = heights[0] + (np.arange(count) + 0.5) / count * (heights[-1] + 1 - heights[0])
            chosen = [int(z) for z in np.unique(places.astype(int))] if turn == 0 else self._worst(known, count)
            for z in chosen:
                self._check_slice(z, most)
                known[z] = True
            self._learn(first, known)
        done()

    def _worst(self, known: Bools, count: int) -> list[int]:
        """Return the slices with most errors, none beside a checked one or beside each other."""
        errors = np.count_nonzero(self.desk.labels != self.desk.truth, axis=(1, 2)).astype(float)
        near = np.convolve(known, np.ones(3), "same") > 0
        errors[near] = 0
        chosen: list[int] = []
        while len(chosen) < count and errors.max() > 0:
            z = int(errors.argmax())
            chosen.append(z)
            errors[max(0, z - 2) : z + 3] = 0
        return sorted(chosen)

    def _check_slice(self, z: int, most: int) -> None:
        desk = self.desk
        self.desk.bill.seconds += THINK_S
        area = np.count_nonzero(desk.truth[z])
        passed: set[tuple[int, ...]] = set()
        while desk.bill.strokes < most:
            if np.count_nonzero(desk.labels[z] != desk.truth[z]) <= (1 - SLICE_TO) * area:
                break
            aims = [a for a in self._slice_aims(z) if (a.label, *a.box.start, *a.box.stop) not in passed]
            if not aims:
                break
            if not self._mend(aims[0], most, flat=True):
                passed.add((aims[0].label, *aims[0].box.start, *aims[0].box.stop))
        desk.bill.uses += 1
        desk.bill.seconds += KEY_S
        row = desk.bill.by_tool.setdefault("mark as checked", [0, 0, 0.0])
        row[0] += 1
        row[2] += KEY_S

    def _slice_aims(self, z: int) -> list[Aim]:
        """Return the errors of a slice, largest first."""
        labels, truth = self.desk.labels[z : z + 1], self.desk.truth[z : z + 1]
        found = []
        for value in (0, *self.desk.subject.schema.values):
            parts, count = connected_parts((truth == value) & (labels != value), 6)
            for number in range(1, count + 1):
                part = parts == number
                box = bounding_box(part)
                assert box is not None
                wide = Box((z, box.start[1], box.start[2]), (z + 1, box.stop[1], box.stop[2])).grown(
                    (0, MARGIN_VOXELS, MARGIN_VOXELS), self.desk.truth.shape
                )
                flat = Box((0, *wide.start[1:]), (1, *wide.stop[1:]))
                found.append((int(np.count_nonzero(part)), Aim(value, False, wide, part[flat.slices])))
        found.sort(key=lambda f: -f[0])
        return [aim for size, aim in found if size >= SLICE_LEAST]

    def _learn(self, first: Labels, known: Bools) -> None:
        """Let the slices that were not checked be labelled as those that were."""
        desk = self.desk
        here = np.zeros(desk.truth.shape, bool)
        here[known] = True

        def perform() -> tuple[Box, Labels]:
            found = learn(desk.subject.images, desk.subject.grid, desk.labels, here, first if first.any() else None)
            for value, share in found.probabilities.items():
                full = np.full(desk.truth.shape, 1.0 if value == 0 else 0.0, np.float32)
                full[found.box.slices] = share
                desk.likely[value] = full
            return found.box, found.labels

        total = float(desk.wrong(False))
        act = Act("learn", "use", total * self.reach_of["learn"], 2 * KEY_S + LEARN_S, (), perform, desk.at, foreseen=False)
        self._try(act, False)

    def reach(self, outline: bool, target: float, outline_to: float, most: int, outcome: Outcome) -> bool:
        """Work until a target is reached; return whether it was."""
        passed: set[tuple[int, ...]] = set()
        moved = False
        while True:
            found = dice_of(self.desk.labels, self.desk.truth, self.desk.subject)
            outcome.curve.append((self.desk.bill.strokes, self.desk.bill.seconds, found["WT"], min(found.values())))
            open_ = self.lacking(found, outline, target, outline_to)
            if not open_:
                return True
            if self.desk.bill.strokes >= most:
                return False
            if self.click is not None and self._whole_mask(outline, open_):
                continue
            aims = self._aims(outline, open_, passed)
            if not aims:
                if not moved:
                    return False
                # What was passed over may look different now.
                passed, moved = set(), False
                continue
            for aim in aims:
                if self._mend(aim, most):
                    moved = True
                else:
                    passed.add((aim.label, *aim.box.start, *aim.box.stop))

    def lacking(self, found: dict[str, float], outline: bool, target: float, outline_to: float) -> list[str]:
        """Return the regions that a target lacks."""
        if outline:
            return ["WT"] if found["WT"] < target else []
        return [name for name, value in found.items() if value < (min(target, outline_to) if name == "WT" else target)]

    def _whole_mask(self, outline: bool, open_: list[str]) -> bool:
        """Use a tool on a whole label where that promises more than the last acts gave; return whether it helped."""
        labels = [entry.value for entry in self.desk.subject.schema.labels if outline or entry.name in open_]
        offers = [act for label in labels for act in whole_mask_acts(self.desk, outline, label, self.reach_of)]
        offers = [act for act in offers if act.gain / self.desk.total_s(act) > self.pace]
        return bool(offers) and self._try(max(offers, key=lambda a: a.gain / self.desk.total_s(a)), outline) > 0

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

    def _mend(self, aim: Aim, most: int, flat: bool = False) -> bool:
        """Work on one error; return whether anything was mended."""
        self.desk.bill.seconds += THINK_S
        mended, failed, least = 0, set[str](), SLICE_LEAST if flat else LEAST
        size = np.count_nonzero(aim.error)
        while self.desk.bill.strokes < most:
            ground = Ground(self.desk, aim)
            left = np.count_nonzero(aim.error & ground.mend)
            slices = survey(ground, aim)
            if left < max(least, LEFT * size) or not slices:
                break
            offers: list[Act] = []
            for z in slices:
                offers = [
                    act
                    for act in self._offers(aim, ground, z)
                    if (not flat or act.tool in FLAT) and act.tool not in failed and act.gain >= least
                ]
                if offers:
                    break
            if not offers:
                break
            act = max(offers, key=lambda a: a.gain / self.desk.total_s(a))
            got = self._try(act, aim.outline)
            if got <= 0:
                failed.add(act.tool)
            mended += max(got, 0)
        return mended > 0

    def _offers(self, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
        yield from stock_acts(self.desk, aim, ground, z)
        if self.click is not None:
            yield from our_acts(self.desk, aim, ground, z, self.click, self.reach_of)

    def _try(self, act: Act, outline: bool) -> int:
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
            return 0
        return got

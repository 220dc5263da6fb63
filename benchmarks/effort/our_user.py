"""What the user of our arm does besides: checks slices and has the rest learnt from them.

Before the targets, when some region is below `CHECK_BELOW`: in each round of `ROUNDS` the user corrects some slices, at
first evenly over the tumour's height, later those with most errors, by the common rules but within the slice, until
`SLICE_TO` of the slice's tumour is right or no act mends `SLICE_LEAST` voxels and `SLICE_SHARE` of it; marks each as
checked (a key); then has the rest learnt from them (two keys and a wait).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from effort.desk import Act, Aim, Desk
from effort.klm import KEY_S, THINK_S
from effort.ours import our_acts, whole_mask_acts
from effort.stock import Ground
from effort.user import MARGIN_VOXELS, User
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.inference.prompted.learn import learn
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["OurUser"]

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
#: Checking slices is worth it below this Dice of a region.
CHECK_BELOW = 0.95
#: Rounds of checked slices: how many more in each.
ROUNDS = (5, 5, 5)
#: Share of a slice's tumour that must be right before it is marked as checked.
SLICE_TO = 0.95
#: Voxels, and share of the slice's tumour, below which an act on such a slice is not worth it.
SLICE_LEAST = 4
SLICE_SHARE = 0.01


class OurUser(User):
    """The user with our tools.

    Parameters
    ----------
    desk : Desk
        What is worked at.
    click : ClickSegmenter
        The click segmenter.
    """

    def __init__(self, desk: Desk, click: ClickSegmenter) -> None:
        super().__init__(desk)
        self.click = click
        self.reach_of = dict(REACH)
        self.checked = np.zeros(len(desk.truth), bool)

    def prepare(self, least: float, most: int, done: Callable[[], bool]) -> None:
        """Correct some slices fully and let the rest be learnt from them, in rounds."""
        if least >= CHECK_BELOW:
            return
        heights = np.flatnonzero((self.desk.truth > 0).any((1, 2)))
        first = np.array(self.desk.labels)
        for turn, count in enumerate(ROUNDS):
            if done() or self.desk.bill.strokes >= most:
                return
            places = heights[0] + (np.arange(count) + 0.5) / count * (heights[-1] + 1 - heights[0])
            chosen = [int(z) for z in np.unique(places.astype(int))] if turn == 0 else self._worst(count)
            for z in chosen:
                self._correct_slice(z, most)
                if self.finished:
                    return
                self._check(z)
            self._learn(first)
        done()

    def whole_mask(self, outline: bool, open_: list[str]) -> bool:
        """Use a tool on a whole label where that promises more than the last acts gave; return whether it helped."""
        labels = [entry.value for entry in self.desk.subject.schema.labels if outline or entry.name in open_]
        offers = [act for label in labels for act in whole_mask_acts(self.desk, outline, label, self.reach_of)]
        offers = [act for act in offers if act.gain / self.desk.total_s(act) > self.pace]
        return bool(offers) and self.attempt(max(offers, key=lambda a: a.gain / self.desk.total_s(a)), outline) > 0

    def offers(self, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
        """Give what may be done about an error in a slice of its box."""
        yield from super().offers(aim, ground, z)
        yield from our_acts(self.desk, aim, ground, z, self.click, self.reach_of)

    def _worst(self, count: int) -> list[int]:
        """Return the slices with most errors, none beside a checked one or near each other."""
        errors = np.count_nonzero(self.desk.labels != self.desk.truth, axis=(1, 2)).astype(float)
        errors[np.convolve(self.checked, np.ones(3), "same") > 0] = 0
        chosen: list[int] = []
        while len(chosen) < count and errors.max() > 0:
            z = int(errors.argmax())
            chosen.append(z)
            errors[max(0, z - 2) : z + 3] = 0
        return sorted(chosen)

    def _correct_slice(self, z: int, most: int) -> None:
        desk = self.desk
        desk.bill.seconds += THINK_S
        area = np.count_nonzero(desk.truth[z])
        least = max(SLICE_LEAST, SLICE_SHARE * area)
        passed: set[tuple[int, ...]] = set()
        while desk.bill.strokes < most:
            if np.count_nonzero(desk.labels[z] != desk.truth[z]) <= (1 - SLICE_TO) * area:
                break
            aims = [a for a in self._slice_aims(z) if (a.label, *a.box.start, *a.box.stop) not in passed]
            if not aims:
                break
            if not self.mend(aims[0], most, flat=least):
                passed.add((aims[0].label, *aims[0].box.start, *aims[0].box.stop))

    def _check(self, z: int) -> None:
        desk = self.desk
        self.checked[z] = True
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

    def _learn(self, first: Labels) -> None:
        """Let the slices that were not checked be labelled as those that were."""
        desk = self.desk
        here = np.zeros(desk.truth.shape, bool)
        here[self.checked] = True

        def perform() -> tuple[Box, Labels]:
            found = learn(desk.subject.images, desk.subject.grid, desk.labels, here, first if first.any() else None)
            for value, share in found.probabilities.items():
                full = np.full(desk.truth.shape, 1.0 if value == 0 else 0.0, np.float32)
                full[found.box.slices] = share
                desk.likely[value] = full
            return found.box, found.labels

        total = float(desk.wrong(False))
        self.attempt(Act("learn", "use", total * self.reach_of["learn"], 2 * KEY_S + LEARN_S, (), perform, desk.at, foreseen=False), False)

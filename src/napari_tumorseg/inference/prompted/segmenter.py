"""The click segmenter: prompts in, one lesion out, in a fraction of a second on a CPU.

No network and nothing trained: an image is made in which the clicked structure is bright against its
surroundings, its border is lowered until the region would leak, and clicks that say "not here" take their
part away. It fulfils the same contract as interactive networks (`core.segmenter.Segmenter` with prompts).
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import Input, Prediction, Prompt, PromptLesion, SegmenterSpec
from napari_tumorseg.inference.prompted.options import ClickOptions
from napari_tumorseg.inference.prompted.outline import Area, area_of, scribbled
from napari_tumorseg.inference.prompted.rivals import part_to_remove
from napari_tumorseg.inference.prompted.trace import Traced, trace
from napari_tumorseg.inference.prompted.window import ball, box_around

__all__ = ["KINDS", "ClickSegmenter"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int_]

#: Kinds of prompt that are understood.
KINDS = ("point", "box", "scribble", "lasso", "mask")
#: A click nearer than this to what is there already may be a correction of it, one nearer than the second always is.
_BESIDE_MM = 15.0
_BORDER_MM = 3.0
#: A correction reaches this many times as far as the border is from the click, and this much more.
_TIMES = 2.5
_MORE_MM = 1.0


class ClickSegmenter:
    """Finds one structure from clicks, boxes, scribbles, lassos or a mask to start from.

    Include prompts add what they find, exclude prompts take away, whatever their order; a voxel under an include
    point or scribble always belongs to the result, one under an exclude point never does (the later prompt wins where
    both name it). `Input.previous` is where it starts: include clicks outside add to it, exclude clicks inside cut from it.
    An include click beside what is there mends its border, unless what it finds by itself ends before it gets there: then
    darker tissue lies between the two, and it is a lesion of its own.

    Parameters
    ----------
    spec : SegmenterSpec
        What it is; its options are those of `ClickOptions`, the first label of its schema is what it writes.

    Raises
    ------
    ModelError
        If the options are not usable.
    """

    def __init__(self, spec: SegmenterSpec) -> None:
        self._spec = spec
        self._options = ClickOptions.of(spec.options)
        if spec.sees_mm is not None and spec.sees_mm < self._options.reach_mm + _BORDER_MM:
            raise ModelError(f"{spec.name} sees {spec.sees_mm} mm, less than a lesion may reach.", "Raise sees_mm or lower reach_mm.")

    @property
    def spec(self) -> SegmenterSpec:
        """What it is and needs."""
        return self._spec

    def predict(self, given: Input, *, device: str = "auto", probabilities: bool = False, progress: Progress | None = None) -> Prediction:
        """Segment; see `core.segmenter.Segmenter.predict`. It runs on the CPU whatever the device, and knows no probabilities.

        Raises
        ------
        InputError
            If there is no image, an image does not fit the grid or is not finite near the prompts, there is no
            prompt and no mask to start from, or a prompt lies outside the images or is of a kind that is not known.
        Cancelled
            If the user stopped it.
        """
        del device, probabilities
        progress = progress or Progress()
        begin = time.perf_counter()
        _check(given)
        progress.update(0.0, "Looking around the prompts")
        mask = np.zeros(given.grid.shape, bool) if given.previous is None else given.previous > 0
        for prompt in given.prompts:
            if prompt.kind == "mask" and prompt.include:
                mask |= _mask_of(prompt, given.grid)
        includes = [p for p in given.prompts if p.include and p.kind != "mask"]
        excludes = [p for p in given.prompts if not p.include]
        for number, prompt in enumerate(includes):
            progress.update(0.1 + 0.7 * number / len(includes), "Following the lesion's border")
            self._add(given, mask, prompt)
        progress.update(0.8, "Taking away what was excluded")
        self._take_away(given, mask, includes, excludes)
        self._settle(given, mask)
        labels = mask.view(np.uint8)
        labels *= np.uint8(self._spec.schema.labels[0].value)
        progress.update(1.0, "Done")
        return Prediction(labels, device="cpu", seconds={"click": round(time.perf_counter() - begin, 4)})

    def _add(self, given: Input, mask: Bools, prompt: Prompt) -> None:
        """Write what an include prompt finds into `mask`."""
        if prompt.kind == "point":
            for voxel in _voxels(prompt, given.grid):
                if not mask[tuple(voxel)]:
                    _write(mask, self._at_click(given, mask, voxel, prompt.lesion))
        elif prompt.kind == "scribble":
            line = scribbled(prompt.points_mm, given.grid)
            _write(mask, trace(given.images, given.grid, line, self._options, line=True))
            mask[tuple(line.T)] = True
        else:
            area = area_of(prompt, given.grid)
            _write(mask, self._in_area(given, area))

    def _at_click(self, given: Input, mask: Bools, voxel: Voxels, lesion: PromptLesion) -> Traced:
        """Return what a click outside of `mask` adds to it."""
        box = box_around(voxel[None], _BESIDE_MM, given.grid)
        gap_mm = _gap_mm(mask, box, voxel, given.grid)
        if gap_mm > _BESIDE_MM:
            return trace(given.images, given.grid, voxel[None], self._options)
        if lesion == "new":
            return trace(given.images, given.grid, voxel[None], self._options, limit=~mask)
        if lesion == "either" and gap_mm > _BORDER_MM:
            alone = trace(given.images, given.grid, voxel[None], self._options)
            if _apart(alone, mask):
                return alone
        # What is missing from a mask is about as wide as the click into its middle is far from the mask, on either side.
        nearby = np.zeros(given.grid.shape, bool)
        nearby[box.slices] = ball(box, voxel.tolist(), _TIMES * gap_mm + _MORE_MM, given.grid)
        return trace(given.images, given.grid, voxel[None], self._options, limit=nearby)

    def _in_area(self, given: Input, area: Area) -> Traced:
        """Return the lesion that a box or lasso was drawn around: what stands out most inside it."""
        place = area.seed(given.images, given.grid)
        limit = np.zeros(given.grid.shape, bool)
        limit[area.box.slices] = area.mask
        found = trace(given.images, given.grid, place[None], self._options, limit=limit)
        return area.at_least(found)

    def _take_away(self, given: Input, mask: Bools, includes: list[Prompt], excludes: list[Prompt]) -> None:
        keep = _points(includes, given.grid)
        away: list[Voxels] = []
        for prompt in excludes:
            if prompt.kind == "mask":
                mask &= ~_mask_of(prompt, given.grid)
            elif prompt.kind in ("box", "lasso"):
                area = area_of(prompt, given.grid)
                view = mask[area.box.slices]
                view &= ~area.drawn
            elif prompt.kind == "scribble":
                away.append(scribbled(prompt.points_mm, given.grid))
            else:
                away.append(_voxels(prompt, given.grid))
        if away:
            found = part_to_remove(given.images, given.grid, mask, np.concatenate(away), keep)
            if found is not None:
                box, part = found
                view = mask[box.slices]
                view &= ~part

    def _settle(self, given: Input, mask: Bools) -> None:
        """See to it that every point and scribble is obeyed to the voxel, the last one where two name the same."""
        for prompt in given.prompts:
            if prompt.kind in ("point", "scribble"):
                places = _voxels(prompt, given.grid) if prompt.kind == "point" else scribbled(prompt.points_mm, given.grid)
                mask[tuple(places.T)] = prompt.include


def _gap_mm(mask: Bools, box: Box, voxel: Voxels, grid: Grid) -> float:
    """Return how far a voxel is from a mask within a box around it; infinite where none of the mask is there."""
    import edt

    inside = mask[box.slices]
    if not inside.any():
        return float("inf")
    away_mm = edt.edt(np.ascontiguousarray(~inside), anisotropy=grid.spacing_mm, black_border=False)
    return float(away_mm[tuple(voxel - box.start)])


def _apart(found: Traced, mask: Bools) -> bool:
    """Return whether a region neither overlaps nor touches a mask, by a corner either."""
    from scipy import ndimage

    box = found.box.grown(1, mask.shape)
    there = mask[box.slices]
    if not there.any():
        return True
    whole = np.zeros(box.shape, bool)
    inner = tuple(slice(a - o, b - o) for a, b, o in zip(found.box.start, found.box.stop, box.start, strict=True))
    whole[inner] = found.mask
    return not (ndimage.binary_dilation(whole, np.ones((3, 3, 3), bool)) & there).any()


def _write(mask: Bools, found: Traced) -> None:
    view = mask[found.box.slices]
    view |= found.mask


def _points(prompts: list[Prompt], grid: Grid) -> Voxels:
    """Return the voxels of points and scribbles, (n, 3)."""
    found = [_voxels(p, grid) if p.kind == "point" else scribbled(p.points_mm, grid) for p in prompts if p.kind in ("point", "scribble")]
    return np.concatenate(found) if found else np.zeros((0, 3), int)


def _voxels(prompt: Prompt, grid: Grid) -> Voxels:
    return np.rint(grid.to_index(np.atleast_2d(prompt.points_mm))).astype(int)


def _mask_of(prompt: Prompt, grid: Grid) -> Bools:
    if prompt.mask is None or prompt.mask.shape != grid.shape:
        raise InputError("A mask prompt came without a mask on the image's grid.", "Give one of the image's shape.")
    return np.asarray(prompt.mask, bool)


def _check(given: Input) -> None:
    if not given.images:
        raise InputError("There is no image to look at.", "Open one first.")
    for name, image in given.images.items():
        if image.shape != given.grid.shape:
            raise InputError(
                f"{name or 'The image'} has the shape {image.shape}, the grid {given.grid.shape}.", "Bring the images to one grid."
            )
    if given.previous is not None and given.previous.shape != given.grid.shape:
        raise InputError(f"The mask has the shape {given.previous.shape}, the grid {given.grid.shape}.", "Give one of the image's shape.")
    if not given.prompts and given.previous is None:
        raise InputError("Nothing was pointed at.", "Click on the lesion, or draw a box, scribble or lasso.")
    for prompt in given.prompts:
        if prompt.kind not in KINDS:
            raise InputError(f"Prompts of the kind {prompt.kind!r} are not understood.", f"Use {', '.join(KINDS)}.")
        if prompt.kind == "mask":
            continue
        points = np.atleast_2d(np.asarray(prompt.points_mm, float))
        if points.size == 0 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise InputError(f"A {prompt.kind} has no position.", "Draw it again.")
        if prompt.kind in ("box", "lasso"):
            if len(points) < (2 if prompt.kind == "box" else 3):
                raise InputError(f"A {prompt.kind} needs more than {len(points)} points.", "Draw it again.")
            continue
        index = given.grid.to_index(points)
        if (index < -0.5).any() or (index >= np.asarray(given.grid.shape) - 0.5).any():
            raise InputError(f"A {prompt.kind} lies outside the image.", "Click inside it.")
    _check_finite(given)


def _check_finite(given: Input) -> None:
    # Only what will be looked at; a whole case takes too long for a click.
    places = [np.atleast_2d(p.points_mm) for p in given.prompts if p.kind != "mask"]
    if not places:
        return
    index = np.rint(given.grid.to_index(np.concatenate(places))).astype(int).clip(0, np.asarray(given.grid.shape) - 1)
    low, high = index.min(0), index.max(0) + 1
    box = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
    box = box.grown([max(1, round(45.0 / s)) for s in given.grid.spacing_mm], given.grid.shape)
    for name, image in given.images.items():
        if not np.isfinite(image[box.slices]).all():
            raise InputError(f"{name or 'The image'} holds values that are not numbers.", "Repair the image or choose another one.")

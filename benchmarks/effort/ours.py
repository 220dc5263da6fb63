"""What our arm has besides: lassos, clicks, painting with a window, islands, smoothing, filling between slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from effort.desk import Act, Aim, Desk, Setting, click_s, drag_s
from effort.klm import KEY_S, slider_s
from effort.redraw import redraws
from effort.stock import Ground, brush, outlined
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.segmenter import Input, Prompt
from napari_tumorseg.editing.gates import ThresholdParams, threshold_gate
from napari_tumorseg.editing.islands import DropSmallParams, drop_small
from napari_tumorseg.editing.margin import MarginParams, margin
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.smooth import SmoothParams, smooth
from napari_tumorseg.editing.smooth_jointly import JointParams, smooth_jointly
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter

__all__ = ["SHOWN", "our_acts", "whole_mask_acts"]

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
#: Image that is looked at for each label's name.
SHOWN = {"ET": "T1c", "NETC": "T1c", "SNFH": "FLAIR", "Lesion": "FLAIR", "": "FLAIR"}
#: Half depths of a lasso that goes through several slices, in mm.
DEPTHS_MM = (1.0, 2.0, 4.0, 8.0)
#: Diameters of the sphere of threshold paint.
SPHERES_MM = (11.0, 21.0, 41.0)


def our_acts(desk: Desk, aim: Aim, ground: Ground, z: int, click: ClickSegmenter, reach: dict[str, float]) -> Iterator[Act]:
    """Offer what our tools can do for an error; `reach` says which share of an error a tool mends on average."""
    yield from _lassos(desk, aim, ground, z)
    yield from redraws(desk, aim, z + aim.box.start[0])
    yield from _window_paint(desk, aim, ground, z, reach)
    yield from _clicks(desk, aim, ground, click, reach)


def scope(desk: Desk, label: int, image: str = "") -> Scope:
    """Return what a tool is given."""
    shown = desk.subject.images[image] if image else None
    return Scope(desk.labels, desk.document.grid, desk.document.schema, label, frozenset(), shown)


def shown_for(desk: Desk, label: int, outline: bool) -> str:
    """Return the image that a user looks at for a label."""
    name = "" if outline or label == 0 else desk.document.schema.label(label).name
    wanted = SHOWN.get(name, "T1c")
    return wanted if wanted in desk.subject.images else next(iter(desk.subject.images))


def _lassos(desk: Desk, aim: Aim, ground: Ground, z: int) -> Iterator[Act]:
    """Offer a lasso round the error in its slice, and the same through some slices."""
    action = "add" if ground.label else "erase"
    for mask, length, start in outlined(aim, ground, z):
        where = (z + aim.box.start[0], start[0] + aim.box.start[1], start[1] + aim.box.start[2])
        for depth in (0.0, *DEPTHS_MM):
            half = int(depth / ground.spacing_mm[0])
            if depth and half == 0:
                continue
            low, high = max(0, z - half), min(ground.now.shape[0], z + half + 1)
            gain = ground.gain(np.broadcast_to(mask, (high - low, *mask.shape)), (slice(low, high),))

            def perform(mask: Bools = mask, low: int = low, high: int = high) -> tuple[Box, Labels]:
                drawn = np.zeros_like(ground.free)
                drawn[low:high] = desk.hand.drawn(mask, ground.spacing_mm[1:])
                return ground.box, ground.painted(drawn)

            label: tuple[Setting, ...] = (("label", ground.label),) if ground.label else ()
            settings: tuple[Setting, ...] = (("tool", f"lasso {action}"), *label, ("depth", depth), ground.over)
            name = "lasso" if depth == 0 else "lasso through slices"
            yield Act(name, "drag", gain, drag_s(length), settings, perform, where, length)


def _window_paint(desk: Desk, aim: Aim, ground: Ground, z: int, reach: dict[str, float]) -> Iterator[Act]:
    """Offer a stroke of a large sphere that paints only an intensity window set by eye."""
    shown = shown_for(desk, aim.label, aim.outline)
    for image, volume in ((shown, desk.subject.images[shown]), ("likely", desk.likely.get(aim.label))):
        if volume is not None:
            yield from _painted_in_window(desk, aim, ground, z, reach, image, volume)


def _painted_in_window(
    desk: Desk, aim: Aim, ground: Ground, z: int, reach: dict[str, float], image: str, volume: npt.NDArray[np.float32]
) -> Iterator[Act]:
    block = volume[aim.box.slices]
    window = _window_by_eye(block, ground, aim)
    if window is None:
        return
    low, high = window
    inside = (block >= low) & (block <= high)
    set_now = desk.settings.get("window")
    # A window that does nearly the same is left as it is.
    if isinstance(set_now, tuple) and set_now[0] == (image, aim.label):
        kept = (block >= set_now[1]) & (block <= set_now[2])
        if ground.gain(kept) >= 0.9 * ground.gain(inside):
            low, high = set_now[1], set_now[2]
            inside = kept
    import edt

    value = ((image, aim.label), low, high)
    error = aim.error & ground.mend
    name = "threshold paint" if image != "likely" else "threshold paint on what was learnt"
    for size in SPHERES_MM:
        # Over the error of this slice and as far beyond it as the sphere reaches.
        seeds = np.zeros_like(error)
        seeds[z] = error[z]
        swept = edt.edt(np.ascontiguousarray(~seeds), anisotropy=ground.spacing_mm, black_border=False) <= size / 2
        gain = ground.gain(swept & inside)
        if gain <= 0:
            continue
        places = np.argwhere(seeds[z])
        area = len(places) * ground.spacing_mm[1] * ground.spacing_mm[2]
        extent = float(np.linalg.norm(np.ptp(places, axis=0) * ground.spacing_mm[1:]))
        length = max(extent, area / (0.75 * size))
        where = (z + aim.box.start[0], int(places[0][0]) + aim.box.start[1], int(places[0][1]) + aim.box.start[2])

        def perform(swept: Bools = swept, low: float = low, high: float = high, where: tuple[int, int, int] = where) -> tuple[Box, Labels]:
            given = replace(scope(desk, aim.label), image=volume)
            may = threshold_gate(given, Target(voxel=where), ground.box, swept, ThresholdParams(low, high))
            return ground.box, ground.painted(may)

        plain = brush(ground, size, ground.now.shape[0] > 1)
        settings = (*(s for s in plain if s[0] != "tool"), ("tool", "threshold paint"), ("window", value))
        yield Act(name, "drag", gain * reach[name], drag_s(length), settings, perform, where, length, foreseen=False)


def _window_by_eye(block: npt.NDArray[np.float32], ground: Ground, aim: Aim) -> tuple[float, float] | None:
    """Return the window, open to one side, that parts best what to paint from what not to; None where none does.

    The user turns a slider until the preview fits, and stops within 2 % of the image's range of the best value.
    """
    mend, spoil = block[ground.mend], block[ground.spoil]
    if mend.size < 20 or spoil.size == 0:
        return None
    edges = np.quantile(np.concatenate([mend, spoil[:: max(1, spoil.size // 20000)]]), np.linspace(0.02, 0.98, 49))
    above_m, above_s = (np.array([np.count_nonzero(v >= e) for e in edges]) for v in (mend, spoil))
    bright, dark = above_m - above_s, (mend.size - above_m) - (spoil.size - above_s)
    if max(bright.max(), dark.max()) < 0.2 * mend.size:
        return None
    slip = 0.02 * float(edges[-1] - edges[0])
    # The slip is a fixed part of the place, not a new draw at each look.
    slip *= float(np.sin(1000 * aim.box.start[0] + aim.box.start[1]))
    if bright.max() >= dark.max():
        return float(edges[int(bright.argmax())]) + slip, 1e6
    return -1e6, float(edges[int(dark.argmax())]) + slip


def _clicks(desk: Desk, aim: Aim, ground: Ground, click: ClickSegmenter, reach: dict[str, float]) -> Iterator[Act]:
    """Offer a click of the click segmenter into the middle of the error: on all images, or on the one that is shown."""
    import edt

    error = aim.error & ground.mend
    depth = edt.edt(np.ascontiguousarray(np.pad(error, 1)), anisotropy=ground.spacing_mm)[1:-1, 1:-1, 1:-1]
    place = tuple(int(v) for v in np.unravel_index(int(depth.argmax()), depth.shape))
    where = (place[0] + aim.box.start[0], place[1] + aim.box.start[1], place[2] + aim.box.start[2])
    total = float(np.count_nonzero(error))
    shown = shown_for(desk, aim.label, aim.outline)
    for images in ("all", shown):

        def perform(images: str = images) -> tuple[Box, Labels] | None:
            return _clicked(desk, aim, click, where, images)

        name = f"click, {'all images' if images == 'all' else 'one image'}"
        settings: tuple[Setting, ...] = (
            ("tool", "click"),
            ("label", aim.label),
            ("images", images),
            ("include", aim.label > 0),
            ground.over,
        )
        yield Act(name, "click", total * reach[name], click_s(), settings, perform, where, foreseen=False)


def _clicked(desk: Desk, aim: Aim, click: ClickSegmenter, where: tuple[int, int, int], images: str) -> tuple[Box, Labels] | None:
    """Return what a click writes: the label over background (outline) or over the other classes, or nothing over tumour."""
    landed = desk.hand.clicked(where, desk.truth.shape, desk.subject.grid.spacing_mm)
    labels = desk.labels
    used = desk.subject.images if images == "all" else {images: desk.subject.images[images]}
    previous = (labels > 0) if aim.outline or aim.label == 0 else labels == aim.label
    include = aim.label > 0
    prompt = Prompt("point", desk.subject.grid.to_mm([landed]), include)
    start = previous.astype(np.uint8) if previous.any() else None
    found = click.predict(Input(used, desk.subject.grid, (prompt,), previous=start)).labels > 0
    change = found & ~previous if include else previous & ~found
    if include:
        change &= (labels == 0) if aim.outline else (labels > 0)
    box = bounding_box(change)
    if box is None:
        return None
    return box, np.where(change[box.slices], np.uint8(aim.label), labels[box.slices])


def whole_mask_acts(desk: Desk, outline: bool, label: int, reach: dict[str, float]) -> Iterator[Act]:
    """Offer what is done to a whole label at once: smoothing, margins, dropping specks."""
    labels, truth = desk.labels, desk.truth
    value = label
    if outline:
        missed, extra = np.count_nonzero((truth > 0) & (labels == 0)), np.count_nonzero((truth == 0) & (labels > 0))
    else:
        missed, extra = np.count_nonzero((truth == value) & (labels != value)), np.count_nonzero((truth != value) & (labels == value))
    total = float(missed + extra)
    if total == 0 or not (labels == value).any():
        return
    at = desk.at

    def use(name: str, gain: float, run: object, settings: float) -> Act:
        def perform() -> tuple[Box, Labels] | None:
            draft: Draft | None = run()  # type: ignore[operator]
            return None if draft is None else (draft.box, draft.labels.astype(np.uint8))

        return Act(name, "use", gain * reach[name], KEY_S + settings, (("label", value),), perform, at, foreseen=False)

    here = scope(desk, value)
    everything = Target()
    # One setting of the dock besides the key that runs the tool.
    yield use("drop specks", extra, lambda: drop_small(here, everything, DropSmallParams(volume_mm3=50.0)), slider_s())
    yield use(
        "smooth", total, lambda: smooth(here, everything, SmoothParams(method="median", radius_mm=1.5, reach="whole mask")), slider_s()
    )
    yield use(
        "smooth jointly",
        total,
        lambda: smooth_jointly(here, everything, replace(JointParams(), radius_mm=1.0, reach="whole mask")),
        slider_s(),
    )
    if missed > 2 * extra:
        over = "background" if outline else "all but locked"
        yield use(
            "margin", missed, lambda: margin(here, everything, MarginParams(margin_mm=1.0, reach="whole mask", over=over)), slider_s()
        )
    if extra > 2 * missed:
        yield use("margin", extra, lambda: margin(here, everything, MarginParams(margin_mm=-1.0, reach="whole mask")), slider_s())

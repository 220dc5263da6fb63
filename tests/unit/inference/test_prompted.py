from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_tumorseg.catalogue.card import read_spec
from napari_tumorseg.core.errors import Cancelled, InputError, ModelError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.segmenter import Input, Prompt, Segmenter
from napari_tumorseg.inference.prompted.levels import cut_necks, filled, parts_at
from napari_tumorseg.inference.prompted.options import ClickOptions
from napari_tumorseg.inference.prompted.outline import scribbled
from napari_tumorseg.inference.prompted.rivals import part_to_remove
from napari_tumorseg.inference.prompted.segmenter import ClickSegmenter
from napari_tumorseg.inference.prompted.trace import contrast_weights
from napari_tumorseg.inference.prompted.window import box_around, open_window

SPEC = read_spec(Path(__file__).parents[3] / "src" / "napari_tumorseg" / "models" / "click-lesion")
WHOLE = ClickSegmenter(SPEC)
PLAIN = ClickSegmenter(replace(SPEC, options={"with_core": False}))
GRIDS = {
    "isotropic": Grid.from_spacing((60, 64, 62), (1, 1, 1), "SPL"),
    "thick slices": Grid.from_spacing((20, 90, 88), (4, 0.8, 0.8), "SAR"),
    "sagittal": Grid.from_spacing((40, 64, 62), (1.5, 1, 1), "RIP"),
}


def away_mm(grid: Grid, centre_mm: Sequence[float]) -> np.ndarray:
    """Return the distance of every voxel from a point, by definition."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    return np.linalg.norm(grid.to_mm(index) - centre_mm, axis=-1)


def middle_mm(grid: Grid, shift: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    return grid.to_mm(np.rint((np.array(grid.shape) - 1) / 2)) + shift


def scan(grid: Grid, lesion: np.ndarray, lift: float = 60.0, noise: float = 5.0) -> np.ndarray:
    """Return tissue of 100 with noise, and a lesion that is brighter by `lift`, blurred over the voxels' borders."""
    rng = np.random.default_rng(1)
    soft = ndimage.gaussian_filter(lesion.astype(float), 0.5)
    return (100 + lift * soft + noise * rng.standard_normal(grid.shape)).astype(np.float32)


def point(*mm: np.ndarray, include: bool = True) -> Prompt:
    return Prompt("point", np.atleast_2d(np.array(mm)), include)


def run(model: ClickSegmenter, image: np.ndarray, grid: Grid, *prompts: Prompt, previous: np.ndarray | None = None) -> np.ndarray:
    return model.predict(Input({"T1c": image}, grid, prompts, previous=previous)).labels > 0


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def at(grid: Grid, place_mm: np.ndarray) -> tuple[int, ...]:
    return tuple(int(v) for v in np.rint(grid.to_index(place_mm)))


def test_it_is_a_segmenter() -> None:
    assert isinstance(WHOLE, Segmenter)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("radius_mm", "least"), [(4.0, 0.8), (10.0, 0.9)])
@pytest.mark.parametrize("lift", [60.0, -60.0], ids=["bright", "dark"])
def test_one_click_finds_a_ball(name: str, radius_mm: float, least: float, lift: float) -> None:
    grid = GRIDS[name]
    truth = away_mm(grid, middle_mm(grid)) <= radius_mm
    found = run(WHOLE, scan(grid, truth, lift), grid, point(middle_mm(grid)))
    assert dice(found, truth) > least


@pytest.mark.parametrize("modality", ["CT", "", "FLAIR"])
def test_any_single_image_will_do(modality: str) -> None:
    grid = GRIDS["isotropic"]
    truth = away_mm(grid, middle_mm(grid)) <= 8
    found = WHOLE.predict(Input({modality: scan(grid, truth)}, grid, (point(middle_mm(grid)),))).labels
    assert dice(found > 0, truth) > 0.9
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, SPEC.schema.label("Lesion").value}


def ring(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return core, rim and an image of them: a core darker than the tissue in an enhancing rim."""
    away = away_mm(grid, middle_mm(grid))
    core, rim = away <= 8, (away > 8) & (away <= 12)
    return core, rim, scan(grid, rim) - 25 * core.astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0, 0), (4, 3, 0), (10, 0, 0)], ids=["middle", "off the middle", "rim"])
def test_a_ring_comes_with_its_core(shift: tuple[float, float, float]) -> None:
    grid = GRIDS["isotropic"]
    core, rim, image = ring(grid)
    assert dice(run(WHOLE, image, grid, point(middle_mm(grid, shift))), core | rim) > 0.9


def test_without_the_core_a_ring_stays_a_ring() -> None:
    grid = GRIDS["isotropic"]
    core, rim, image = ring(grid)
    found = run(PLAIN, image, grid, point(middle_mm(grid, (10, 0, 0))))
    assert dice(found, rim) > 0.85
    assert np.count_nonzero(found & core) < 0.1 * core.sum()
    assert dice(run(PLAIN, image, grid, point(middle_mm(grid))), core) > 0.8


def test_a_ring_with_a_gap_is_closed() -> None:
    grid = GRIDS["isotropic"]
    core, rim, _ = ring(grid)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    mm = grid.to_mm(index) - middle_mm(grid)
    gap = rim & (mm[..., 0] > 0.9 * np.linalg.norm(mm, axis=-1))
    image = scan(grid, rim & ~gap)
    found = run(WHOLE, image, grid, point(middle_mm(grid)))
    assert gap.sum() > 50
    assert dice(found, core | rim) > 0.85


def test_a_vessel_is_cut_off() -> None:
    grid = GRIDS["isotropic"]
    ball = away_mm(grid, middle_mm(grid)) <= 8
    vessel = np.zeros(grid.shape, bool)
    z, y, _ = at(grid, middle_mm(grid))
    vessel[z : z + 2, y : y + 2, :] = True
    found = run(WHOLE, scan(grid, ball | vessel), grid, point(middle_mm(grid)))
    assert dice(found, ball) > 0.9
    assert np.count_nonzero(found & vessel & (away_mm(grid, middle_mm(grid)) > 11)) == 0


def two_balls(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    left, right = middle_mm(grid, (-8, 0, 0)), middle_mm(grid, (8, 0, 0))
    return left, right, away_mm(grid, left) <= 9, away_mm(grid, right) <= 9


def test_an_exclude_click_takes_its_ball_away() -> None:
    grid = GRIDS["isotropic"]
    left, right, ours, theirs = two_balls(grid)
    image = scan(grid, ours | theirs)
    both = run(WHOLE, image, grid, point(left))
    assert dice(both, ours | theirs) > 0.9
    found = run(WHOLE, image, grid, point(left), point(right, include=False))
    assert dice(found, ours) > 0.85


def test_a_second_click_elsewhere_adds_a_lesion_of_its_own() -> None:
    grid = Grid.from_spacing((40, 64, 90), (1, 1, 1))
    left, right = middle_mm(grid, (-28, 0, 0)), middle_mm(grid, (28, 0, 0))
    truth = (away_mm(grid, left) <= 7) | (away_mm(grid, right) <= 5)
    image = scan(grid, truth)
    assert dice(run(WHOLE, image, grid, point(left), point(right)), truth) > 0.9


def test_it_goes_on_from_a_mask() -> None:
    grid = GRIDS["isotropic"]
    _, right, ours, theirs = two_balls(grid)
    image = scan(grid, ours | theirs)
    start = np.where(ours, 3, 0).astype(np.uint8)
    assert dice(run(WHOLE, image, grid, point(right), previous=start), ours | theirs) > 0.85
    cut = run(WHOLE, image, grid, point(right, include=False), previous=np.where(ours | theirs, 3, 0).astype(np.uint8))
    assert dice(cut, ours) > 0.8
    as_prompt = run(WHOLE, image, grid, Prompt("mask", np.zeros((0, 3)), mask=ours), point(right))
    assert dice(as_prompt, ours | theirs) > 0.85
    assert np.array_equal(run(WHOLE, image, grid, previous=start), ours)
    less = run(WHOLE, image, grid, Prompt("mask", np.zeros((0, 3)), False, theirs), previous=np.ones(grid.shape, np.uint8))
    assert np.array_equal(less, ~theirs)


def pair(grid: Grid, gap_mm: float, radius_mm: float, first_mm: float = 5.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two balls with darker tissue of some width between them, and the way from the first one's middle along x."""
    one = middle_mm(grid, (-20, 0, 0))
    two = middle_mm(grid, (first_mm + gap_mm + radius_mm - 20, 0, 0))
    return away_mm(grid, one) <= first_mm, away_mm(grid, two) <= radius_mm, two


PAIR_GRIDS = {"isotropic": Grid.from_spacing((44, 44, 84), (1, 1, 1)), "thick slices": Grid.from_spacing((14, 56, 104), (3, 0.8, 0.8))}


@pytest.mark.parametrize("name", PAIR_GRIDS)
@pytest.mark.parametrize("gap_mm", [3.0, 6.0, 10.0, 14.0])
@pytest.mark.parametrize("depth_mm", [2.0, 9.0])
def test_a_click_on_a_metastasis_near_a_drawn_one_draws_all_of_it(name: str, gap_mm: float, depth_mm: float) -> None:
    grid = PAIR_GRIDS[name]
    drawn, other, middle = pair(grid, gap_mm, 9.0)
    click = middle - (9.0 - depth_mm, 0, 0)
    found = run(WHOLE, scan(grid, drawn | other), grid, point(click), previous=drawn.view(np.uint8))
    assert (found & drawn).sum() == drawn.sum()
    assert dice(found & ~drawn, other) > 0.9
    assert ndimage.label(found, np.ones((3, 3, 3)))[1] == 2


@pytest.mark.parametrize("name", PAIR_GRIDS)
@pytest.mark.parametrize(("centres_mm", "first_mm", "second_mm"), [(6.0, 2.0, 2.0), (8.0, 2.0, 3.0), (10.0, 4.0, 3.0), (14.0, 6.0, 5.0)])
def test_small_metastases_stay_apart(name: str, centres_mm: float, first_mm: float, second_mm: float) -> None:
    grid = PAIR_GRIDS[name]
    drawn, other, middle = pair(grid, centres_mm - first_mm - second_mm, second_mm, first_mm)
    found = run(WHOLE, scan(grid, drawn | other), grid, point(middle), previous=drawn.view(np.uint8))
    assert dice(found & ~drawn, other) > 0.8
    assert ndimage.label(found, np.ones((3, 3, 3)))[1] == 2


@pytest.mark.parametrize("lesion", ["either", "same"])
def test_a_click_on_what_a_mask_lacks_stays_about_as_wide_as_what_is_missing(lesion: str) -> None:
    grid = GRIDS["isotropic"]
    whole = away_mm(grid, middle_mm(grid)) <= 14
    x = grid.to_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1))[..., 0] - middle_mm(grid)[0]
    drawn = whole & (x < 4)
    click = middle_mm(grid, (9, 0, 0))
    given_ = Input({"T1c": scan(grid, whole)}, grid, (replace(point(click), lesion=lesion),), previous=drawn.view(np.uint8))
    found = WHOLE.predict(given_).labels > 0
    assert found[at(grid, click)]
    assert dice(found, whole) > 0.9
    # As far as the border is from the click, times two and a half, and a millimetre: what lies farther is not touched.
    assert not (found & ~drawn & (away_mm(grid, click) > 2.5 * 6 + 1)).any()


def test_a_click_can_be_said_to_be_about_the_lesion_beside_or_about_a_new_one() -> None:
    grid = PAIR_GRIDS["isotropic"]
    drawn, other, middle = pair(grid, 3.0, 11.0)
    image, click = scan(grid, drawn | other), middle - (10.0, 0, 0)

    def clicked(lesion: str) -> np.ndarray:
        given_ = Input({"T1c": image}, grid, (replace(point(click), lesion=lesion),), previous=drawn.view(np.uint8))
        return WHOLE.predict(given_).labels > 0

    new, same = clicked("new"), clicked("same")
    assert dice(new & ~drawn, other) > 0.9
    assert (away_mm(grid, click)[same & ~drawn] <= 2.5 * 4.5 + 1).all()
    assert same[at(grid, click)]


def test_a_small_piece_goes_as_a_whole() -> None:
    grid = GRIDS["isotropic"]
    _, _, ours, _ = two_balls(grid)
    speck = away_mm(grid, middle_mm(grid, (20, 0, 0))) <= 3
    found = run(WHOLE, scan(grid, ours), grid, point(middle_mm(grid, (20, 0, 0)), include=False), previous=(ours | speck).astype(np.uint8))
    assert np.array_equal(found, ours)


@pytest.mark.parametrize("flat", [True, False], ids=["in a slice", "in space"])
def test_a_box_says_where_the_lesion_is(flat: bool) -> None:
    grid = GRIDS["isotropic"]
    left, _, ours, theirs = two_balls(grid)
    image = scan(grid, ours | theirs)
    half = np.array([9.0, 11.0, 0.0 if flat else 11.0])
    found = run(WHOLE, image, grid, Prompt("box", np.array([left - half, left + half])))
    assert dice(found, ours) > 0.8
    inside = np.abs(grid.to_mm(np.argwhere(found)) - left).max(0)
    assert (inside[:2] <= half[:2] + 0.51).all()


def circle(centre: np.ndarray, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return centre + radius * np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], 1)


def test_a_lasso_says_where_the_lesion_is_and_an_exclude_one_clears_its_slice() -> None:
    grid = GRIDS["isotropic"]
    left, _, ours, theirs = two_balls(grid)
    image = scan(grid, ours | theirs)
    found = run(WHOLE, image, grid, Prompt("lasso", circle(left, 9.5)))
    assert dice(found, ours) > 0.8
    cleared = run(WHOLE, image, grid, Prompt("lasso", circle(left, 20), False), previous=ours.astype(np.uint8))
    slice_ = at(grid, left)[0]
    assert not cleared[slice_].any()
    assert np.array_equal(np.delete(cleared, slice_, 0), np.delete(ours, slice_, 0))


def test_a_lasso_round_nothing_that_stands_out_is_what_was_drawn() -> None:
    grid = GRIDS["isotropic"]
    image = np.full(grid.shape, 100, np.float32)
    found = run(WHOLE, image, grid, Prompt("lasso", circle(middle_mm(grid), 6)))
    assert found.any()
    assert set(np.argwhere(found)[:, 0]) <= set(range(at(grid, middle_mm(grid))[0] - 6, at(grid, middle_mm(grid))[0] + 7))


def test_a_scribble_belongs_to_the_lesion() -> None:
    grid = GRIDS["isotropic"]
    _, _, ours, theirs = two_balls(grid)
    line = np.array([middle_mm(grid, (-14, 0, 0)), middle_mm(grid, (0, 1, 0)), middle_mm(grid, (14, 0, 0))])
    found = run(WHOLE, scan(grid, ours | theirs), grid, Prompt("scribble", line))
    assert dice(found, ours | theirs) > 0.9
    assert found[tuple(scribbled(line, grid).T)].all()


small = st.tuples(*(st.integers(0, n - 1) for n in (12, 20, 18)))


@settings(max_examples=25)
@given(st.lists(st.tuples(small, st.booleans()), min_size=1, max_size=5), st.integers(0, 5))
def test_every_click_is_obeyed_the_last_where_two_meet(clicks: list[tuple[tuple[int, int, int], bool]], seed: int) -> None:
    grid = Grid.from_spacing((12, 20, 18), (2.5, 1, 1))
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=grid.shape), 2).astype(np.float32)
    found = run(WHOLE, image, grid, *(point(grid.to_mm(np.array(place)), include=include) for place, include in clicks))
    for place, include in dict(clicks).items():
        assert found[place] == include


@settings(max_examples=30)
@given(hnp.arrays(bool, (6, 7, 8)), st.lists(st.tuples(*(st.integers(0, n - 1) for n in (6, 7, 8))), min_size=1, max_size=3))
def test_parts_are_those_of_scipy(mask: np.ndarray, seeds: list[tuple[int, int, int]]) -> None:
    parts, _ = ndimage.label(mask)
    wanted = {parts[s] for s in seeds} - {0}
    assert np.array_equal(parts_at(mask, seeds), np.isin(parts, list(wanted)) & mask)


@settings(max_examples=30)
@given(hnp.arrays(bool, (6, 7, 8)), st.floats(0, 3))
def test_cutting_necks_takes_away_only_and_keeps_the_seed(mask: np.ndarray, radius_mm: float) -> None:
    mask[3, 3, 3] = True
    cut = cut_necks(mask, [(3, 3, 3)], radius_mm, (2.0, 1.0, 1.0))
    assert cut[3, 3, 3]
    assert not (cut & ~parts_at(mask, [(3, 3, 3)])).any()
    assert ndimage.label(cut)[1] == 1


@settings(max_examples=30)
@given(hnp.arrays(bool, (5, 6, 7)))
def test_filling_is_that_of_scipy(mask: np.ndarray) -> None:
    expected = ndimage.binary_fill_holes(mask)
    for axis in range(3):
        planes = np.moveaxis(expected, axis, 0)
        for plane in planes:
            plane[...] = ndimage.binary_fill_holes(plane)
    assert np.array_equal(filled(mask), expected)


@settings(max_examples=30)
@given(hnp.arrays(bool, (6, 9, 9)), st.integers(0, 3))
def test_what_is_removed_is_part_of_the_mask(mask: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = Grid.from_spacing(mask.shape, (3, 1, 1))
    image = rng.normal(size=mask.shape).astype(np.float32)
    away, keep = rng.integers(0, (6, 9, 9), (2, 3)), rng.integers(0, (6, 9, 9), (2, 3))
    found = part_to_remove({"T1c": image}, grid, mask, away, keep)
    hit = [tuple(v) for v in away if mask[tuple(v)]]
    assert (found is None) == (not hit)
    if found is not None:
        box, part = found
        assert not (part & ~mask[box.slices]).any()
        kept = {tuple(v) for v in keep}
        assert all(part[tuple(np.array(v) - box.start)] for v in hit if v not in kept)


@given(st.tuples(*(st.integers(0, 29) for _ in range(3))), st.sampled_from([1.0, 2.0, 3.5]))
def test_a_thinned_window_finds_its_voxels_again(centre: tuple[int, int, int], voxel_mm: float) -> None:
    grid = Grid.from_spacing((30, 30, 30), (1.0, 0.7, 2.0))
    box = box_around(np.array([centre]), 9.0, grid)
    window = open_window({"CT": np.zeros(grid.shape, np.float32)}, grid, box, centre, voxel_mm)
    mask = np.zeros(window.valid.shape, bool)
    mask[window.index(centre)] = True
    full = np.zeros(grid.shape, bool)
    full[box.slices] = window.upsampled(mask)
    assert full[centre]
    assert np.count_nonzero(full) <= np.prod(2 * np.array(window.step))


def test_padding_is_never_part_of_a_lesion() -> None:
    grid = GRIDS["isotropic"]
    away = away_mm(grid, middle_mm(grid))
    image = np.where(away < 22, scan(grid, (away > 15) & (away < 22)), 0).astype(np.float32)
    found = run(WHOLE, image, grid, point(middle_mm(grid, (18, 0, 0))))
    assert not (found & (away >= 22)).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": ()}, "Nothing was pointed at"),
        ({"images": {}}, "no image"),
        ({"prompts": (Prompt("point", np.array([[900.0, 0, 0]])),)}, "outside the image"),
        ({"prompts": (Prompt("smell", np.zeros((1, 3))),)}, "'smell' are not understood"),
        ({"prompts": (Prompt("point", np.zeros((0, 3))),)}, "has no position"),
        ({"prompts": (Prompt("point", np.full((1, 3), np.nan)),)}, "has no position"),
        ({"prompts": (Prompt("lasso", np.zeros((2, 3))),)}, "more than 2 points"),
        ({"prompts": (Prompt("box", np.array([[900.0, 900, 900], [910, 910, 910]])),)}, "outside the image"),
        ({"prompts": (Prompt("mask", np.zeros((0, 3))),)}, "without a mask"),
        ({"images": {"T1c": np.zeros((2, 2, 2), np.float32)}}, "has the shape"),
        ({"images": {"T1c": np.full((60, 64, 62), np.nan, np.float32)}}, "not numbers"),
        ({"previous": np.zeros((2, 2, 2), np.uint8)}, "The mask has the shape"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(changes: dict[str, object], message: str) -> None:
    grid = GRIDS["isotropic"]
    usual = Input({"T1c": np.zeros(grid.shape, np.float32)}, grid, (point(middle_mm(grid)),))
    with pytest.raises(InputError, match=message) as caught:
        WHOLE.predict(replace(usual, **changes))
    assert "\n" not in str(caught.value)


def test_it_stops_when_asked_to() -> None:
    grid = GRIDS["isotropic"]
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        WHOLE.predict(Input({"T1c": np.zeros(grid.shape, np.float32)}, grid, (point(middle_mm(grid)),)), progress=Progress(cancel=token))


@pytest.mark.parametrize("options", [{"speed": 1}, {"with_core": 1}, {"reach_mm": "far"}, {"jump": 0.5}, {"smallest_share": 0.9}])
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        ClickOptions.of(options)


def test_a_model_that_sees_less_than_a_lesion_may_reach_is_refused() -> None:
    with pytest.raises(ModelError, match="sees 20"):
        ClickSegmenter(replace(SPEC, sees_mm=20.0))


def test_enhancement_is_told_from_what_is_bright_before_contrast() -> None:
    assert contrast_weights({"T1c": 3.0, "T1": 3.0, "FLAIR": 0.0}, 1.0)["T1"] < 0
    plain = contrast_weights({"T1c": 0.1, "FLAIR": 3.0, "T2": -3.0}, 1.0)
    assert plain["FLAIR"] > 0 > plain["T2"]
    assert "T1c" not in plain


def test_a_click_on_a_whole_case_takes_less_than_half_a_second_of_processor_time() -> None:
    grid = Grid.from_spacing((155, 240, 240), (1, 1, 1), "SPL")
    truth = away_mm(grid, middle_mm(grid)) <= 12
    images = {name: scan(grid, truth, lift) for name, lift in (("T1c", 60.0), ("T1", 0.0), ("T2", 20.0), ("FLAIR", 30.0))}
    given_ = Input(images, grid, (point(middle_mm(grid)),))
    WHOLE.predict(given_)
    begin = time.process_time()
    found = WHOLE.predict(given_).labels > 0
    assert time.process_time() - begin < 0.5
    assert dice(found, truth) > 0.9

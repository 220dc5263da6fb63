from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.evaluation.segmentation.profiles import PROFILES, profile_named
from napari_tumorseg.evaluation.segmentation.regions import dilated_18, find_islands
from napari_tumorseg.evaluation.segmentation.score import score_case, score_missing

LESION_WISE = [p.name for p in PROFILES.values() if p.method == "lesion-wise"]
# (x, y, z), as plain_scores takes it.
SPACINGS = [(1.0, 1.0, 1.0), (0.9375, 0.9375, 3.0), (0.5, 0.7, 1.3)]


def random_masks(seed: int, profile: str, *, dense: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two label volumes (x, y, z) of lesions with rims and specks, the second made from the first with every kind of error."""
    rng = np.random.default_rng(seed)
    shape = (26, 22, 18) if dense else (40, 30, 24)
    values = sorted(PROFILES[profile].values)
    grid = np.indices(shape)
    first, second = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for _ in range(rng.integers(0, 14 if dense else 8)):
        centre = np.array([rng.integers(0, n) for n in shape]).reshape(3, 1, 1, 1)
        radius = rng.choice([0.5, 1.0, 1.5, 2.5, 4.0])
        far = np.sqrt(((grid - centre) ** 2).sum(axis=0))
        for value, share in zip(rng.permutation(values), (1.0, 0.7, 0.4, 0.2), strict=False):
            first[far < radius * share] = value
        fate = rng.integers(0, 5)
        if fate:
            moved = np.sqrt(((grid - centre - rng.integers(-1, 2, (3, 1, 1, 1)) * (fate > 1)) ** 2).sum(axis=0))
            for value, share in zip(rng.permutation(values), (1.0, 0.6, 0.3), strict=False):
                second[moved < radius * share * rng.choice([0.8, 1.0, 1.3])] = value
    for labels in (first, second):
        specks = rng.random(shape) < rng.choice([0.0, 0.002, 0.01])
        labels[specks] = rng.choice(values, int(specks.sum()))
    return first, second


def same_as_plain(plain: ModuleType, first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...], name: str) -> None:
    profile = PROFILES[name]
    ours = score_case(first.T, second.T, spacing[::-1], profile)
    json.dumps(ours, allow_nan=False)
    expected = plain.lesion_wise(
        first,
        second,
        spacing,
        regions=dict(profile.regions) | ({"NETC": (1,)} if profile.helpers else {}),
        scored=list(profile.regions),
        dilations=profile.dilations_in,
        min_volume=profile.min_volume_in,
        penalty=float(np.linalg.norm(first.shape)) if profile.hd95_penalty == "diagonal" else profile.hd95_penalty,
        tolerances=profile.lesion_nsd_mm,
        merge_predictions=profile.merges_predictions,
        merge_steps=profile.merge_steps,
    )
    for region, scores in expected.items():
        for key, value in scores.items():
            assert ours["regions"][region][key] == pytest.approx(value, abs=1e-9), (region, key)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", LESION_WISE)
def test_lesion_wise_scores_equal_the_plain_definition(plain_scores: ModuleType, name: str, dense: bool) -> None:
    @settings(max_examples=6)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS))
    @example(3, SPACINGS[0])
    def check(seed: int, spacing: tuple[float, ...]) -> None:
        same_as_plain(plain_scores, *random_masks(seed, name, dense=dense), spacing, name)

    check()


def test_one_to_one_scores_equal_the_plain_definition(plain_scores: ModuleType) -> None:
    @settings(max_examples=25)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS))
    def check(seed: int, spacing: tuple[float, ...]) -> None:
        first, second = random_masks(seed, "brats-mets-2026", dense=False)
        # Every assignment is tried, so specks are left out.
        first, second = (plain_scores.ndimage.median_filter(m, 2) for m in (first, second))
        result = score_case(first.T, second.T, spacing[::-1], "brats-mets-2026")
        for region, values in PROFILES["brats-mets-2026"].regions.items():
            counts = [plain_scores.ndimage.label(np.isin(m, values), np.ones((3, 3, 3)))[1] for m in (first, second)]
            if max(counts) > 6:
                continue
            ours, expected = result["regions"][region], plain_scores.one_to_one(first, second, spacing, values=values)
            for key in ("lesionwise_dice", "lesionwise_hd95", "n_tp", "n_fp", "n_fn"):
                assert ours[key] == pytest.approx(expected[key], abs=1e-9), (region, key)
            assert ours["lesionwise_nsd"] == {str(min(spacing)): pytest.approx(expected["lesionwise_nsd"], abs=1e-9)}
            assert tuple(ours["small"][k] for k in ("n_tp", "n_fp", "n_fn")) == expected["small"]

    check()


@pytest.mark.parametrize("name", [*LESION_WISE, "brats-mets-2026", "plain"])
def test_whole_mask_scores_equal_the_plain_definition(plain_scores: ModuleType, name: str) -> None:
    profile = PROFILES[name]
    for seed in range(4):
        spacing = SPACINGS[seed % 3]
        first, second = random_masks(seed, "brats-mets-2024" if name == "plain" else name, dense=True)
        regions = profile.regions or {str(v): (v,) for v in (1, 2, 3, 4)}
        ours = score_case(first.T, second.T, spacing[::-1], name)["regions"]
        for region, values in regions.items():
            a, b = np.isin(first, values), np.isin(second, values)
            if not a.any() or not b.any():
                continue
            assert ours[region]["volume_pred_ml"] == pytest.approx(b.sum() * np.prod(spacing) / 1000)
            if profile.merges_predictions:
                lesions = plain_scores.merged(b, profile.dilations_in(region))
                few = [n for n in np.unique(lesions) if (lesions == n).sum() <= profile.min_volume_in(region)]
                b &= ~np.isin(lesions, few)
                if not b.any():
                    continue
            there, back = plain_scores.voxel_distances(a, b, spacing)
            hd95 = np.percentile(np.hstack((there, back)), 95) if profile.surface == "voxels" else plain_scores.hd95(a, b, spacing)
            assert ours[region]["dice"] == pytest.approx(plain_scores.dice(a, b), abs=1e-12)
            assert ours[region]["hd95"] == pytest.approx(hd95, abs=1e-9)
            if profile.nsd_surface == "voxels":
                tolerance = min(spacing) if profile.nsd_mm is None else profile.nsd_mm
                expected = plain_scores.nsd(a, b, spacing, tolerance, 1e-8 if profile.method == "lesion-wise" else 0.0)
                assert ours[region]["nsd"] == pytest.approx(expected, abs=1e-9)
            assert ours[region]["sensitivity"] == pytest.approx((a & b).sum() / a.sum())
            assert ours[region]["specificity"] == pytest.approx((~a & ~b).sum() / (~a).sum())
            assert ours[region]["volume_ref_ml"] == pytest.approx(a.sum() * np.prod(spacing) / 1000)


def labels(*voxels: tuple[tuple[slice | int, ...], int], shape: tuple[int, int, int] = (20, 20, 20)) -> np.ndarray:
    out = np.zeros(shape, np.uint8)
    for where, value in voxels:
        out[where] = value
    return out


BALL = (slice(3, 7), slice(3, 7), slice(3, 7))


@pytest.mark.parametrize("name", [p for p in PROFILES if p.startswith("brats")])
def test_identical_masks_are_perfect(name: str) -> None:
    mask = labels((BALL, 3), ((slice(12, 16),) * 3, 3))
    for region in score_case(mask, mask, (1, 1, 1), name)["regions"].values():
        assert (region["dice"], region["hd95"], region["nsd"]) in ((1.0, 0.0, pytest.approx(1.0)), (None, None, None))
        if region["n_tp"]:
            assert region["n_tp"] in (1, 2)
            assert region["lesionwise_dice"] == 1.0
            assert region["lesionwise_hd95"] == 0.0


def test_counts_of_a_hand_built_volume() -> None:
    reference = labels((BALL, 3), ((slice(12, 15),) * 3, 3))
    prediction = labels(((slice(4, 8), slice(3, 7), slice(3, 7)), 3), ((0, 17, slice(10, 13)), 3), ((19, 2, 2), 3))
    scores = score_case(reference, prediction, (1, 1, 1), "brats-mets-2023")["regions"]["ET"]
    assert (scores["n_tp"], scores["n_fp"], scores["n_fn"]) == (1, 2, 1)
    assert scores["lesionwise_dice"] == pytest.approx(0.75 / 4)
    assert scores["lesionwise_hd95"] == pytest.approx((1.0 + 3 * 374) / 4)
    later = score_case(reference, prediction, (1, 1, 1), "brats-mets-2024")["regions"]["ET"]
    # The single voxel is deleted; the penalty is the diagonal in voxels.
    assert (later["n_tp"], later["n_fp"], later["n_fn"]) == (1, 1, 1)
    assert later["lesionwise_hd95"] == pytest.approx((1.0 + 2 * np.sqrt(1200)) / 3)


def test_two_parts_one_voxel_apart_are_one_lesion() -> None:
    mask = labels((BALL, 3), ((slice(3, 7), slice(3, 7), slice(8, 10)), 3))
    assert score_case(mask, mask, (1, 1, 1), "brats-mets-2023")["regions"]["ET"]["n_tp"] == 1
    assert score_case(mask, mask, (1, 1, 1), "brats-mets-2026")["regions"]["ET"]["n_tp"] == 2


def test_lesions_around_one_core_are_one_in_2024() -> None:
    # Two enhancing caps far apart on one non-enhancing core, and a lesion that has no core.
    core = ((slice(5, 8), slice(5, 8), slice(4, 14)), 1)
    caps = (((slice(5, 8), slice(5, 8), slice(2, 4)), 3), ((slice(5, 8), slice(5, 8), slice(14, 16)), 3))
    reference = labels(core, *caps, ((slice(14, 17),) * 3, 3))
    result = score_case(reference, reference, (1, 1, 1), "brats-mets-2024")
    assert result["regions"]["ET"]["n_tp"] == 2
    assert score_case(reference, reference, (1, 1, 1), "brats-mets-2023")["regions"]["ET"]["n_tp"] == 3
    single = labels(core, caps[0], ((slice(14, 17),) * 3, 3))
    assert score_case(single, single, (1, 1, 1), "brats-mets-2024")["regions"]["ET"]["n_tp"] == 2


def test_the_core_that_comes_first_along_x_decides() -> None:
    # A bent lesion touches two cores; each core has one more lesion. (z, y, x): the first core begins at the smaller x.
    cores = (((12, 8, slice(4, 9)), 1), ((slice(3, 8), 8, 13), 1))
    bent = (((12, 8, slice(9, 14)), 3), ((slice(8, 13), 8, 13), 3))
    others = (((12, slice(8, 10), slice(1, 4)), 3), ((slice(0, 3), 8, 13), 3))
    mask = labels(*cores, *bent, *others)
    rows = score_case(mask, mask, (1, 1, 1), "brats-mets-2024")["lesions"]
    assert [row["volume_mm3"] for row in rows if row["region"] == "ET"] == [9 + 6, 3]


def test_a_lesion_of_one_voxel_is_too_small_to_count_but_uses_up_its_prediction() -> None:
    speck = labels(((5, 5, 5), 3))
    scores = score_case(speck, speck, (1, 1, 1), "brats-mets-2023")["regions"]["ET"]
    assert (scores["n_tp"], scores["n_fp"], scores["n_fn"], scores["lesionwise_dice"]) == (0, 0, 0, 1.0)
    scores = score_case(speck, speck, (1, 1, 1), "brats-mets-2026")["regions"]["ET"]
    assert scores["lesionwise_dice"] is None
    assert scores["small"] == {"n_tp": 1, "n_fp": 0, "n_fn": 0, "f1": 1.0}
    assert score_case(speck, speck * 0, (1, 1, 1), "plain")["regions"]["3"]["dice"] == 0.0


@pytest.mark.parametrize(
    ("name", "nothing", "missed", "false"),
    [
        ("brats-mets-2023", (1.0, 0.0), (0.0, 374.0), (0.0, 374.0)),
        ("brats-gli-2024", (1.0, 0.0), (0.0, 337.0), (0.0, 337.0)),
        ("brats-mets-2024", (1.0, 0.0), (0.0, np.sqrt(1200)), (0.0, np.sqrt(1200))),
        ("brats-mets-2026", (None, None), (0.0, 373.0), (None, None)),
    ],
)
def test_empty_masks_follow_the_profile(name: str, nothing: tuple, missed: tuple, false: tuple) -> None:
    empty, mask = labels(), labels((BALL, 3))
    for pair, expected in (((empty, empty), nothing), ((mask, empty), missed), ((empty, mask), false)):
        result = score_case(*pair, (1, 1, 1), name)
        json.dumps(result, allow_nan=False)
        scores = result["regions"]["ET"]
        assert (scores["lesionwise_dice"], scores["lesionwise_hd95"]) == (expected[0], pytest.approx(expected[1]))
        assert scores["n_fp"] == int(pair[1].any())
        assert scores["n_fn"] == int(pair[0].any())
    assert score_case(empty, empty, (1, 1, 1), name)["lesions"] == []


def test_plain_scores_each_value_and_has_no_penalty() -> None:
    reference, prediction = labels((BALL, 7), ((0, 0, 0), 300 % 256)), labels((BALL, 7), ((18, 18, 18), 9))
    result = score_case(reference, prediction, (1, 1, 1), "plain")
    assert list(result["regions"]) == ["7", "9", "44"]
    assert result["regions"]["7"]["dice"] == 1.0
    assert result["regions"]["9"]["hd95"] is None
    assert result["regions"]["9"]["lesionwise_dice"] is None
    assert result["lesions"] == []
    assert score_case(labels(), labels(), (1, 1, 1), "plain")["regions"] == {}


def test_lesion_rows_say_where_they_are() -> None:
    reference = labels((BALL, 3), ((slice(12, 15),) * 3, 3))
    prediction = labels((BALL, 3), ((0, 17, slice(10, 14)), 3))
    grid = Grid.from_spacing((20, 20, 20), (2.0, 1.0, 0.5), "IPL")
    result = score_case(reference, prediction, grid.spacing_mm, "brats-mets-2023", grid=grid)
    rows = [row for row in result["lesions"] if row["region"] == "ET"]
    assert [(row["id"], row["status"], row["matched"]) for row in rows] == [(1, "found", True), (2, "missed", False), (3, "false", False)]
    assert rows[0]["centroid_mm"] == pytest.approx(grid.to_mm((4.5, 4.5, 4.5)).tolist())
    assert rows[0]["centroid_voxel"] == [4.5, 4.5, 4.5]
    assert [row["volume_mm3"] for row in rows] == [64.0, 27.0, 4.0]
    assert [row["hd95"] for row in rows] == [0.0, 374.0, 374.0]
    plain = score_case(reference, prediction, (2.0, 1.0, 0.5), "brats-mets-2023")
    assert plain["lesions"][0]["centroid_mm"] == pytest.approx([2.25, 4.5, 9.0])


def test_a_missing_case_is_as_bad_as_it_gets() -> None:
    empty = labels()
    for name, penalty in (("brats-mets-2023", 374.0), ("brats-mets-2026", 373.0), ("brats-mets-2024", np.sqrt(1200))):
        scores = score_missing(empty, (1, 1, 1), name)["regions"]["ET"]
        assert (scores["lesionwise_dice"], scores["dice"], scores["lesionwise_hd95"]) == (0.0, 0.0, pytest.approx(penalty))
    assert score_missing(labels((BALL, 3)), (1, 1, 1), "plain")["regions"]["3"]["dice"] is None


def test_unknown_values_are_named() -> None:
    old = labels((BALL, 4))
    with pytest.raises(InputError, match=r"The prediction holds the value 4, which brats-mets-2023 does not know.*4=3"):
        score_case(old * 0, old, (1, 1, 1), "brats-mets-2023")
    score_case(old * 0, old, (1, 1, 1), "brats-mets-2024")


def test_bad_arrays_are_refused() -> None:
    mask = labels((BALL, 3))
    with pytest.raises(InputError, match="shape"):
        score_case(mask, mask[1:], (1, 1, 1), "plain")
    with pytest.raises(InputError, match="2 axes"):
        score_case(mask[0], mask[0], (1, 1, 1), "plain")
    with pytest.raises(InputError, match="whole numbers"):
        score_case(mask.astype(float), mask, (1, 1, 1), "plain")
    with pytest.raises(InputError, match="whole numbers"):
        score_case(-mask.astype(np.int16), mask, (1, 1, 1), "plain")
    signed = score_case(mask.astype(np.int64), mask > 0, (1, 1, 1), "plain")
    assert list(signed["regions"]) == ["1", "3"]


def test_unpublished_and_unknown_profiles() -> None:
    with pytest.raises(InputError, match=r"unpublished.*brats-mets-2026"):
        profile_named("brats-mets-2025")
    with pytest.raises(InputError, match="brats-gli-2023"):
        profile_named("brats")


def test_constants_are_plain_values_and_name_everything() -> None:
    for profile in PROFILES.values():
        constants = json.loads(json.dumps(profile.constants(), allow_nan=False))
        assert constants["version"]
        assert constants["reference"]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]))
def test_islands_hold_every_voxel_once_and_do_not_meet(seed: int, dilations: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 40, 3))
    first, second = ((rng.random(shape) < 0.002).astype(np.uint8) * rng.integers(1, 5, shape).astype(np.uint8) for _ in range(2))
    back = np.zeros((2, *shape), np.uint8)
    near = np.zeros(shape, int)
    for island in find_islands(first, second, dilations):
        back[0][island.box.slices] += island.reference
        back[1][island.box.slices] += island.prediction
        grown = np.zeros(shape, bool)
        grown[island.box.slices] = (island.reference > 0) | (island.prediction > 0)
        near += dilated_18(grown, dilations)
        assert island.values == set(np.unique((island.reference, island.prediction)).tolist()) - {0}
    np.testing.assert_array_equal(back, (first, second))
    assert near.max(initial=0) <= 1


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_dilation_equals_scipy(plain_scores: ModuleType, seed: int, iterations: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 9, 3))) < 0.1
    expected = plain_scores.ndimage.binary_dilation(mask, plain_scores.EIGHTEEN, iterations=iterations) if iterations else mask
    np.testing.assert_array_equal(dilated_18(mask, iterations), expected)

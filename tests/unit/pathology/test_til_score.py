from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.pathology.til_cutoffs import CUT_OFFS, CutOffs, cut_offs
from napari_tumorseg.pathology.til_score import ScoreOptions, counted, score_tils
from napari_tumorseg.pathology.til_tally import NEST_GAP_UM, Cells, Exclusion, TissueCodes, tally

TUMOUR, STROMA, IMMUNE, OTHER = 1, 2, 3, 5


def box(top: float, left: float, bottom: float, right: float) -> np.ndarray:
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], np.float64)


def cells_at(points, til=None, area: float = 40.0) -> Cells:
    at = np.array(points, np.float64).reshape(-1, 2)
    return Cells(at, np.ones(len(at), np.bool_) if til is None else np.asarray(til, np.bool_), np.full(len(at), area))


def random_slide(seed: int, n: int = 300) -> tuple[np.ndarray, Cells]:
    """Blobs of tissue at 5 um per pixel, with many small gaps in the tumour, and cells all over and a few outside."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(2, 130, 170)), (0, 3, 3))
    labels = np.where(field[0] > -0.02, TUMOUR, np.where(field[1] > 0, STROMA, np.where(field[1] > -0.05, IMMUNE, OTHER))).astype(np.uint8)
    at = rng.uniform(-20, 870, (n, 2))
    return labels, Cells(at, rng.random(n) < 0.5, rng.uniform(20, 60, n))


def plain_score(labels, spacing, cells, border, exclusions) -> tuple[int, int, int, int, float]:
    """Stroma pixels, tumour pixels, nuclei, TILs and their area, pixel by pixel and cell by cell."""
    parts, count = ndimage.label(labels != TUMOUR)
    scored = (labels == STROMA) | (labels == IMMUNE)
    for part in range(1, count + 1):
        y, x = np.nonzero(parts == part)
        at_edge = y.min() == 0 or x.min() == 0 or y.max() == labels.shape[0] - 1 or x.max() == labels.shape[1] - 1
        if not at_edge and max(np.ptp(y), np.ptp(x)) + 1 <= int(NEST_GAP_UM / spacing):
            scored[parts == part] = False

    def within(rectangle, y, x) -> bool:
        (top, left), (bottom, right) = rectangle.min(axis=0), rectangle.max(axis=0)
        return bool(top <= y <= bottom and left <= x <= right)

    allowed = np.zeros(labels.shape, np.bool_)
    for y, x in np.ndindex(labels.shape):
        centre = ((y + 0.5) * spacing, (x + 0.5) * spacing)
        inside = border is None or any(within(b, *centre) for b in border)
        allowed[y, x] = inside and not any(within(e.polygon_um, *centre) for e in exclusions)
    nuclei = tils = 0
    area = 0.0
    for at, til, size in zip(cells.centroids_um, cells.til, cells.areas_um2, strict=True):
        y, x = int(np.floor(at[0] / spacing)), int(np.floor(at[1] / spacing))
        if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and allowed[y, x]:
            nuclei += 1
            if til and scored[y, x]:
                tils, area = tils + 1, area + size
    return int((scored & allowed).sum()), int(((labels == TUMOUR) & allowed).sum()), nuclei, tils, area


@given(st.integers(0, 10**4), st.booleans(), st.integers(0, 3), st.sampled_from([20, 64, 4096]))
@settings(max_examples=15, deadline=None)
def test_the_tally_is_that_of_the_definition_whatever_the_tiles(seed: int, bordered: bool, n_exclusions: int, tile_px: int) -> None:
    labels, cells = random_slide(seed)
    rng = np.random.default_rng(seed + 1)
    # Corners between pixel centres, so that no centre lies on a line.
    boxes = [box(*(5 * rng.integers(0, [60, 80]) - 0.5), *(5 * rng.integers([70, 90], [140, 180]) - 0.5)) for _ in range(5)]
    border = boxes[:2] if bordered else None
    exclusions = [Exclusion(b, "crush") for b in boxes[2 : 2 + n_exclusions]]
    found = tally(labels, 5.0, cells, border, exclusions, 100.0, TissueCodes(), Progress(), tile_px)
    stroma, tumour, nuclei, tils, area = plain_score(labels, 5.0, cells, border, exclusions)
    assert (found.stroma_px, found.tumour_px, found.nuclei, found.tils) == (stroma, tumour, nuclei, tils)
    assert sum(b[0] for b in found.blocks.values()) == stroma
    assert found.til_area_um2 == pytest.approx(area)
    for i in range(n_exclusions):
        without = plain_score(labels, 5.0, cells, border, exclusions[:i] + exclusions[i + 1 :])
        assert found.alone[i, 0] == without[0] - stroma
        assert found.alone[i, 1] == without[3] - tils


@given(st.integers(0, 10**4), st.floats(0.05, 0.95))
@settings(max_examples=20, deadline=None)
def test_calling_a_dense_infiltrate_immune_does_not_change_the_score(seed: int, share: float) -> None:
    labels, cells = random_slide(seed)
    dense = ndimage.gaussian_filter(np.random.default_rng(seed).random(labels.shape), 4)
    relabelled = np.where((labels == STROMA) & (dense > np.quantile(dense, share)), IMMUNE, labels)
    assert not np.array_equal(labels, relabelled)
    border = [box(50, 50, 500, 700)]
    options = ScoreOptions(border_confirmed=True, draws=20)
    assert score_tils(labels, 5.0, cells, border, options=options) == score_tils(relabelled, 5.0, cells, border, options=options)


def test_only_tils_in_stroma_outside_nests_count() -> None:
    labels = np.full((200, 200), STROMA, np.uint8)
    labels[50:150, 50:150] = TUMOUR
    labels[90:110, 90:110] = IMMUNE  # a nest's gap of 40 um
    cells = cells_at([(10, 10), (200, 200), (120, 120), (300, 20), (30, 30)], til=[1, 1, 1, 1, 0])
    score = score_tils(labels, 2.0, cells)
    assert score["n_tils_stroma"] == 2
    assert score["n_nuclei"] == 5
    assert score["stroma_mm2"] == pytest.approx((200**2 - 100**2) * 4e-6)
    assert score["tumour_mm2"] == pytest.approx((100**2 - 20**2) * 4e-6)
    assert score["density_per_mm2"] == pytest.approx(2 / (30_000 * 4e-6))
    assert score["til_area_percent"] == pytest.approx(100 * 2 * 40 / 120_000)
    assert score["til_percent_tiger"] == pytest.approx(100 * 2 * 64 / 120_000)


def test_a_wide_island_of_stroma_in_the_tumour_is_scored() -> None:
    labels = np.full((200, 200), TUMOUR, np.uint8)
    labels[50:150, 50:150] = STROMA
    assert score_tils(labels, 2.0, cells_at([(200, 200)]))["n_tils_stroma"] == 1


def test_neutrophils_and_macrophages_never_count() -> None:
    names = ["Lymphocyte", "neutrophil", "Macrophage", "Epithelial", "Plasma cell", "TIL", "eosinophil", ""]
    assert counted(names).tolist() == [True, False, False, False, True, True, False, False]


def test_one_percent_of_the_tiger_measure_is_156_tils_per_mm2_and_it_ends_at_100() -> None:
    labels = np.full((1000, 1000), STROMA, np.uint8)
    rng = np.random.default_rng(0)
    assert score_tils(labels, 1.0, cells_at(rng.uniform(0, 1000, (156, 2))))["til_percent_tiger"] == pytest.approx(1, abs=0.005)
    assert score_tils(labels, 1.0, cells_at(rng.uniform(0, 1000, (20_000, 2))))["til_percent_tiger"] == 100


def test_no_stroma_is_not_scorable() -> None:
    for labels in (np.full((50, 50), TUMOUR, np.uint8), np.zeros((50, 50), np.uint8), np.zeros((0, 0), np.uint8)):
        score = score_tils(labels, 1.0, cells_at([(5, 5)]), [box(0, 0, 50, 50)], options=ScoreOptions(border_confirmed=True))
        assert score["scorable"] is False
        assert score["reason"].startswith("not scorable")
        assert score["density_per_mm2"] is score["til_area_percent"] is score["til_percent_tiger"] is score["category"] is None
        assert json.loads(json.dumps(score, allow_nan=False)) == score


def test_a_category_needs_a_confirmed_border() -> None:
    labels, cells = random_slide(3)
    border = [box(0, 0, 650, 850)]
    proposed = score_tils(labels, 5.0, cells, border)
    confirmed = score_tils(labels, 5.0, cells, border, options=ScoreOptions(border_confirmed=True))
    assert proposed["category"] is proposed["interval"]["categories"] is proposed["excluded"][0]["without_it"]["category"] is None
    assert confirmed["category"] in ("low", "intermediate", "high")
    assert confirmed["density_per_mm2"] == proposed["density_per_mm2"]
    with pytest.raises(InputError, match="there is none"):
        score_tils(labels, 5.0, cells, options=ScoreOptions(border_confirmed=True))


def test_each_exclusion_says_what_it_leaves_out_and_what_the_score_would_be() -> None:
    labels = np.full((100, 100), STROMA, np.uint8)
    cells = cells_at([(5, 5), (25, 5), (80, 80)])
    score = score_tils(
        labels, 1.0, cells, [box(0, 0, 100, 100)], [Exclusion(box(0, 0, 10, 100), "DCIS"), Exclusion(box(20, 0, 30, 50), "crush")]
    )
    dcis, crush, border = score["excluded"]
    assert (dcis["reason"], dcis["n_tils_stroma"], dcis["stroma_mm2"]) == ("DCIS", 1, pytest.approx(1e-3))
    assert dcis["without_it"]["density_per_mm2"] == pytest.approx(2 / 9.5e-3)
    assert crush["without_it"]["density_per_mm2"] == pytest.approx(2 / 9e-3)
    assert (border["reason"], border["stroma_mm2"]) == ("outside the border", 0)
    assert score["density_per_mm2"] == pytest.approx(1 / 8.5e-3)


def test_the_interval_is_a_point_on_an_even_slide_and_covers_a_random_one() -> None:
    labels = np.full((1000, 1000), STROMA, np.uint8)
    lattice = np.stack(np.meshgrid(np.arange(5, 1000, 10), np.arange(5, 1000, 10)), axis=-1).reshape(-1, 2)
    options = ScoreOptions(block_um=100, draws=400)
    even = score_tils(labels, 1.0, cells_at(lattice), options=options)
    assert even["interval"]["density_per_mm2"] == [even["density_per_mm2"]] * 2
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(40):
        found = score_tils(labels, 1.0, cells_at(rng.uniform(0, 1000, (rng.poisson(300), 2))), options=options)
        low, high = found["interval"]["density_per_mm2"]
        # Independent cells at 300 per mm2: a standard error of sqrt(300), so a width of about 68.
        assert 45 < high - low < 90
        covered += low <= 300 <= high
    assert covered >= 34


def test_the_category_could_flip_where_the_interval_crosses_a_cut_off() -> None:
    labels = np.full((1000, 1000), STROMA, np.uint8)
    cells = cells_at(np.random.default_rng(1).uniform(0, 1000, (300, 2)))
    options = ScoreOptions(border_confirmed=True, block_um=100, draws=300)
    near, far = (CutOffs("own", "1", "density_per_mm2", low, 1000, "test") for low in (300, 100))
    border = [box(0, 0, 1000, 1000)]
    assert score_tils(labels, 1.0, cells, border, options=replace(options, cutoffs=near))["interval"]["category_could_flip"] is True
    assert score_tils(labels, 1.0, cells, border, options=replace(options, cutoffs=far))["interval"]["category_could_flip"] is False


def test_cut_offs_divide_as_published_and_say_that_they_are_not_validated() -> None:
    denkert, de_jong = cut_offs("denkert-2018"), cut_offs("de-jong-2022")
    assert [denkert.category(v) for v in (0, 10, 10.5, 11, 59, 60)] == ["low", "low"] + ["intermediate"] * 3 + ["high"]
    assert [de_jong.category(v) for v in (29.9, 30, 74.9, 75)] == ["low", "intermediate", "intermediate", "high"]
    for profile in CUT_OFFS.values():
        assert "not validated" in profile.as_dict()["note"]
    with pytest.raises(InputError, match="There are no cut-offs"):
        cut_offs("mine")
    with pytest.raises(InputError, match="lower must be below"):
        CutOffs("own", "1", "density_per_mm2", 5, 5, "test")


def test_notes_say_what_a_reader_must_know() -> None:
    labels, cells = random_slide(1)
    notes = " ".join(score_tils(labels, 5.0, cells, options=ScoreOptions(post_neoadjuvant=True))["notes"])
    for said in ("not a pathologist's", "not validated", "Plasma cells not validated", "Post-neoadjuvant", "no invasive border"):
        assert said in notes
    quiet = score_tils(labels, 5.0, cells, options=ScoreOptions(plasma_cells_known=True, post_neoadjuvant=False))["notes"]
    assert not any("Plasma" in note or "neoadjuvant" in note for note in quiet)


def test_bad_input_is_named_and_a_cancel_is_heard() -> None:
    labels, cells = random_slide(1)
    with pytest.raises(InputError, match="no reason"):
        Exclusion(box(0, 0, 1, 1), "ugly")
    with pytest.raises(InputError, match="not a size"):
        score_tils(labels, float("nan"), cells)
    with pytest.raises(InputError, match="do not fit"):
        score_tils(labels, 5.0, replace(cells, areas_um2=np.zeros(2)))
    for corners in (np.zeros((2, 2)), np.zeros((4, 3)), np.full((4, 2), np.nan)):
        with pytest.raises(InputError, match="no polygon"):
            score_tils(labels, 5.0, cells, [corners])
        with pytest.raises(InputError, match="no polygon"):
            score_tils(labels, 5.0, cells, exclusions=[Exclusion(corners, "crush")])
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        score_tils(labels, 5.0, cells, progress=Progress(cancel=token))

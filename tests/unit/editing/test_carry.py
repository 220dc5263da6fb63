"""Corrections carried between slices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.editing.carry import CarryParams, carry
from napari_tumorseg.editing.scope import Target

SHAPE = (9, 12, 13)
SPACING = (3.0, 0.8, 0.6)
LABELS = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 3]))
FAR_MM = 10.0


def disc(radius_mm: float, middle: tuple[float, float] = (6, 6), shape: tuple[int, int] = (30, 40)) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y - middle[0]) * SPACING[1]) ** 2 + ((x - middle[1]) * SPACING[2]) ** 2 <= radius_mm**2


def depth(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Signed distance to the border by scipy, as the definition has it."""
    if not mask.any():
        return np.full(mask.shape, -FAR_MM)
    padded = np.pad(mask, 40, mode="edge")
    inside = distance_transform_edt(padded, sampling=spacing) if not padded.all() else np.full(padded.shape, np.inf)
    signed = np.where(padded, inside - min(spacing) / 2, min(spacing) / 2 - distance_transform_edt(~padded, sampling=spacing))
    return np.clip(signed, -FAR_MM, FAR_MM)[40:-40, 40:-40]


def by_definition(before: np.ndarray, now: np.ndarray, keys: list[int], params: CarryParams) -> np.ndarray:
    """Slow and plain, along the first axis."""
    out = now.copy()
    values = range(4)
    plane = SPACING[1:]
    change = {(k, v): depth(now[k] == v, plane) - depth(before[k] == v, plane) for k in keys for v in values}
    for z in set(range(len(now))) - set(keys):
        below, above = [k for k in keys if k < z], [k for k in keys if k > z]
        shares = {}
        if below and above and (above[0] - below[-1]) * SPACING[0] <= params.max_gap_mm:
            shares = {below[-1]: (above[0] - z) / (above[0] - below[-1]), above[0]: (z - below[-1]) / (above[0] - below[-1])}
        elif params.beyond_mm:
            shares = {k: 1 - abs(z - k) * SPACING[0] / params.beyond_mm for k in (*below[-1:], *above[:1])}
        shares = {k: share for k, share in shares.items() if share > 1e-6}
        if shares:
            fields = [depth(now[z] == v, plane) + sum(s * change[k, v] for k, s in shares.items()) + 1e-4 * (now[z] == v) for v in values]
            out[z] = np.argmax(fields, axis=0)
    return out


@given(LABELS)
def test_no_change_gives_no_change(make_scope, labels: np.ndarray) -> None:
    scope = make_scope(labels, before=labels.copy(), checked=frozenset({(0, 4)}))
    assert carry(scope, Target(), CarryParams(beyond_mm=20.0)) is None


def test_a_pair_of_slices_grown_alike_grows_the_slices_between(make_scope, apply) -> None:
    before = np.zeros((9, 30, 40), np.uint8)
    # The lesion widens from slice to slice; the model was 1.5 mm too tight everywhere.
    for z in range(9):
        before[z][disc(4 + 0.3 * z, (14, 18))] = 3
    now = before.copy()
    for z in (1, 7):
        now[z][disc(5.5 + 0.3 * z, (14, 18))] = 3
    scope = make_scope(now, before=before)
    done = apply(scope, carry(scope, Target(), CarryParams()))
    for z in range(2, 7):
        wanted = disc(5.5 + 0.3 * z, (14, 18))
        # A pixel to either side of the border at most.
        assert (done[z][disc(4.7 + 0.3 * z, (14, 18))] == 3).all()
        assert not (done[z][~disc(6.3 + 0.3 * z, (14, 18))]).any()
        assert np.count_nonzero((done[z] == 3) ^ wanted) < 0.3 * np.count_nonzero((now[z] == 3) ^ wanted)
    for z in (0, 1, 7, 8):
        assert np.array_equal(done[z], now[z])


@given(LABELS, LABELS, st.sets(st.integers(0, 8), min_size=1, max_size=4), st.sampled_from([0.0, 4.0, 9.0]), st.sampled_from([7.0, 30.0]))
def test_it_is_what_the_definition_says(make_scope, apply, before, other, keys, beyond_mm, max_gap_mm) -> None:
    now = before.copy()
    for z in keys:
        now[z] = other[z]
    changed = sorted(z for z in keys if not np.array_equal(now[z], before[z]))
    params = CarryParams(max_gap_mm, beyond_mm)
    scope = make_scope(now, before=before)
    found = carry(scope, Target(), params)
    expected = by_definition(before, now, changed, params) if changed else now
    done = apply(scope, found)
    # Distances are single precision: where two classes are equal to the last digit either may win.
    assert np.count_nonzero(done != expected) <= 0.002 * done.size


@given(LABELS, LABELS, st.sampled_from([1, 2, 3]), st.integers(0, 2))
def test_a_locked_label_keeps_its_voxels_and_gains_none(make_scope, apply, before, other, lock, axis) -> None:
    now = np.moveaxis(before.copy(), axis, 0)
    now[[1, 5]] = np.moveaxis(other, axis, 0)[[1, 5]]
    now = np.moveaxis(now, 0, axis)
    scope = make_scope(now, before=before, locked=frozenset({lock}))
    done = apply(scope, carry(scope, Target(axis=axis), CarryParams(beyond_mm=9.0)))
    assert np.array_equal(done == lock, now == lock)


def test_classes_move_together_without_gaps_or_overlaps(make_scope, apply) -> None:
    before = np.zeros((9, 30, 40), np.uint8)
    before[:, disc(8, (14, 18))] = 2
    before[:, disc(4, (14, 18))] = 3
    now = before.copy()
    for z in (0, 8):
        now[z] = 0
        now[z][disc(8, (16, 22))] = 2
        now[z][disc(4, (16, 22))] = 3
    scope = make_scope(now, before=before)
    done = apply(scope, carry(scope, Target(), CarryParams(max_gap_mm=30.0)))
    for z in range(9):
        # All was moved alike, so what lies in the hull of the outline has a class, and the core stays a core.
        assert done[z][disc(7, (16, 22))].all()
        assert (done[z][disc(3, (16, 22))] == 3).all()
        assert not done[z][~disc(9, (16, 22))].any()


def test_a_checked_slice_stays_and_stops_what_is_carried(make_scope, apply) -> None:
    before = np.zeros((9, 30, 40), np.uint8)
    before[:, disc(4, (14, 18))] = 3
    now = before.copy()
    for z in (0, 8):
        now[z][disc(7, (14, 18))] = 3
    scope = make_scope(now, before=before)
    params = CarryParams(max_gap_mm=30.0)
    free = apply(scope, carry(scope, Target(), params))
    held = apply(scope, carry(dataclasses.replace(scope, checked=frozenset({(0, 4), (1, 3)})), Target(), params))
    assert (free[4] != now[4]).any()
    assert np.array_equal(held[4], now[4])
    sizes = [np.count_nonzero(plane) for plane in held]
    assert sizes[0] > sizes[2] > sizes[4] < sizes[6] < sizes[8]


def test_far_slices_are_not_joined(make_scope) -> None:
    before = np.zeros((9, 30, 40), np.uint8)
    before[:, disc(4, (14, 18))] = 3
    now = before.copy()
    for z in (0, 8):
        now[z][disc(6, (14, 18))] = 3
    scope = make_scope(now, before=before)
    assert carry(scope, Target(), CarryParams(max_gap_mm=23.0, beyond_mm=0.0)) is None
    found = carry(scope, Target(), CarryParams(max_gap_mm=24.0, beyond_mm=0.0))
    assert found is not None
    assert (found.box.start[0], found.box.stop[0]) == (1, 8)


def test_a_mask_without_a_past_says_so(make_scope) -> None:
    with pytest.raises(InputError, match="before it was corrected"):
        carry(make_scope(np.ones(SHAPE, np.uint8)), Target(), CarryParams())

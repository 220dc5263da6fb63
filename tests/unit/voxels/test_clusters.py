from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.voxels.clusters import clusters

SHAPE = (20, 45, 70)


@st.composite
def _sparse(draw) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for _ in range(draw(st.integers(0, 8))):
        z, y, x = (draw(st.integers(0, n - 1)) for n in SHAPE)
        dz, dy, dx = (draw(st.sampled_from([1, 2, 9, 20])) for _ in range(3))
        labels[z : z + dz, y : y + dy, x : x + dx] = draw(st.sampled_from([1, 3]))
    return labels


@given(_sparse(), st.sampled_from([None, (1,), (3,), (1, 3)]), st.tuples(*(st.integers(1, 30) for _ in range(3))))
def test_groups_hold_all_voxels_once_and_keep_their_distance(labels: np.ndarray, values, gap) -> None:
    mask = labels != 0 if values is None else np.isin(labels, values)
    found = clusters(labels, values, gap)
    owner = np.zeros(SHAPE, np.int64)
    for number, (box, part) in enumerate(found, start=1):
        assert part.shape == box.shape
        for axis in range(3):
            for end in (0, -1):
                assert part.take(end, axis).any()
        assert (owner[box.slices][part] == 0).all()
        owner[box.slices][part] = number
    assert np.array_equal(owner > 0, mask)
    # Widened by the gap on one side, no group meets another: the same as a distance of more than the gap along some axis.
    for number in range(1, len(found) + 1):
        near = ndimage.maximum_filter(owner == number, [2 * g + 1 for g in gap])
        assert not (near & (owner != number) & mask).any()


def test_an_empty_mask_has_no_groups() -> None:
    assert clusters(np.zeros((3, 4, 5), np.uint16)) == []


def test_far_lesions_are_groups_of_their_own() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2, 2] = labels[2, 2, 40] = labels[18, 40, 60] = 3
    assert len(clusters(labels, (3,))) == 3
    assert len(clusters(labels, (3,), (1, 1, 60))) == 2

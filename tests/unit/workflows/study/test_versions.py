"""Versions compared voxel by voxel and lesion by lesion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.workflows.study.versions import DIFFERENT_LABEL, SOME_ONLY, compare_versions, lesion_taken

GRID = Grid.from_spacing((4, 5, 6), (2.0, 1.0, 0.5))
SPARSE = arrays(np.uint8, GRID.shape, elements=st.sampled_from([0, 0, 0, 0, 0, 1, 2, 3]))


def version(labels, grid=GRID):
    return MaskVersion(labels, grid, preset("brats-mets-2025"), MaskKind.RATER)


def neighbours(voxel):
    z, y, x = voxel
    steps = (-1, 0, 1)
    return [(z + a, y + b, x + c) for a in steps for b in steps for c in steps if (a, b, c) != (0, 0, 0)]


def flooded(voxels):
    """Return the connected sets of a set of voxels, by definition."""
    left, found = set(voxels), []
    while left:
        part, new = set(), [left.pop()]
        while new:
            voxel = new.pop()
            part.add(voxel)
            more = [n for n in neighbours(voxel) if n in left]
            left.difference_update(more)
            new += more
        found.append(part)
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(SPARSE, min_size=2, max_size=3))
def test_differences_and_lesions_are_as_defined(masks):
    found = compare_versions([version(m) for m in masks])
    ml = GRID.voxel_volume_mm3 / 1000
    for voxel in np.ndindex(GRID.shape):
        labels = [int(m[voxel]) for m in masks]
        wanted = 0 if len(set(labels)) == 1 else DIFFERENT_LABEL if all(labels) else SOME_ONLY
        assert found.differences[voxel] == wanted
    parts = flooded({v for v in np.ndindex(GRID.shape) if any(m[v] for m in masks)})
    differing = [p for p in parts if any(found.differences[v] for v in p)]
    assert found.same == len(parts) - len(differing)
    assert len(found.lesions) == len(differing)
    sizes = [lesion.differing_ml for lesion in found.lesions]
    assert sizes == sorted(sizes, reverse=True)
    for lesion in found.lesions:
        voxels = {tuple(int(i) for i in v) for v in np.argwhere(found.parts == lesion.number)}
        assert voxels in differing
        assert lesion.volumes_ml == pytest.approx([ml * sum(bool(m[v]) for v in voxels) for m in masks])
        assert lesion.differing_ml == pytest.approx(ml * sum(bool(found.differences[v]) for v in voxels))
        # One jumps to a voxel that differs.
        assert found.differences[tuple(round(float(i)) for i in GRID.to_index(lesion.centre_mm))]


@settings(max_examples=40, deadline=None)
@given(SPARSE, SPARSE)
def test_all_lesions_taken_from_a_version_give_that_version(first, second):
    found = compare_versions([version(first), version(second)])
    current = first.copy()
    for lesion in found.lesions:
        before = current.copy()
        current[lesion.box.slices] = lesion_taken(current, found.parts, lesion, second)
        # Nothing around it changes.
        assert np.array_equal(current[found.parts != lesion.number], before[found.parts != lesion.number])
    assert np.array_equal(current, second)


def test_versions_on_other_grids_are_refused():
    labels = np.zeros(GRID.shape, np.uint8)
    with pytest.raises(InputError, match="not on one grid"):
        compare_versions([version(labels), version(labels, Grid.from_spacing(GRID.shape, (1, 1, 1)))])

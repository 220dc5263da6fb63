from __future__ import annotations

import numpy as np

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.lesions import find_lesions, locate_lesions

SHAPE = (8, 9, 10)
GRID = Grid.from_spacing(SHAPE, (2.0, 1.0, 1.0))


def test_the_map_agrees_with_the_rows():
    labels = (np.random.default_rng(3).random(SHAPE) < 0.06).astype(np.uint8) * 3
    schema = preset("brats-mets-2025")
    found = locate_lesions(labels, GRID, schema)
    assert found.lesions == find_lesions(labels, GRID, schema)
    assert len(found.lesions) > 5
    assert np.array_equal(found.ids > 0, labels[found.box.slices] > 0)
    for lesion in found.lesions:
        assert np.count_nonzero(found.ids == lesion.id) == lesion.voxels
        assert np.count_nonzero(found.part(lesion)) == lesion.voxels
    for voxel in np.argwhere(labels):
        z, y, x = (int(v) for v in voxel)
        at = found.at((z, y, x))
        assert at is not None
        assert all(a <= v < b for a, v, b in zip(at.box_start, (z, y, x), at.box_stop, strict=True))
    assert found.at((0, 0, 0)) is None or labels[0, 0, 0]


def test_an_empty_mask_has_an_empty_map():
    found = locate_lesions(np.zeros(SHAPE, np.uint8), GRID, preset("lesion"))
    assert found.lesions == ()
    assert found.at((0, 0, 0)) is None


def test_the_rows_are_those_of_the_index():
    from napari_tumorseg.evaluation.lesion_index import LesionIndex

    labels = (np.random.default_rng(4).random(SHAPE) < 0.1).astype(np.uint8) * 3
    schema = preset("brats-mets-2025")
    assert LesionIndex(labels, GRID, schema).view().lesions == find_lesions(labels, GRID, schema)

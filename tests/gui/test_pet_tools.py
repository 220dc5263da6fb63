"""PET thresholds in the real window, on a real scan, by the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.grid import Box

from .conftest import click


@pytest.fixture
def pet_bench(open_window, qtbot, real_data):
    """A dock with a sarcoma's PET and CT and an empty mask, the hottest voxel of the tumour in view."""
    folder = real_data("petct_sarcoma/STS_019")
    dock = open_window()
    with qtbot.waitSignal(dock.work.ended, timeout=60000):
        dock.open([folder / "pet_suv.nii.gz", folder / "ct_on_pet.nii.gz", folder / "mask.nii.gz"])
    session = dock.session
    assert set(session.volumes) == {"PET", "CT"}
    pet = session.volumes["PET"]
    tumour = session.active.document.labels > 0
    hottest = np.unravel_index(int(np.where(tumour, pet.data, 0).argmax()), pet.shape)
    dock.correct.start_empty.click()
    assert not session.active.document.labels.any()
    return dock, pet, tuple(int(i) for i in hottest)


def use(dock, qtbot, pet, voxel, name, **settings):
    """Take up a tool, set its form, click on a voxel; return what it painted."""
    session = dock.session
    place = session.view.scene.to_world(pet.grid.to_mm(voxel))
    session.view.frame(tuple(pet.grid.to_mm(voxel)), Box(tuple(v - 8 for v in voxel), tuple(v + 8 for v in voxel)))
    shown = tuple(float(place[axis - dock.viewer.dims.ndim]) for axis in dock.viewer.dims.order[-2:])
    before = session.active.document.labels.copy()
    dock.correct.panel.choose(name)
    for field, value in settings.items():
        dock.correct.panel.form.controls[field].value = value
    with qtbot.waitSignal(session.hand.ended, timeout=20000) as ended:
        click(dock, shown)
    assert ended.args == [name, "done"]
    return session.active.document.labels != before


def part_at(hot, voxel):
    parts, _ = ndimage.label(hot, ndimage.generate_binary_structure(3, 2))
    return hot & (parts == parts[voxel])


def test_thresholds_by_a_click_on_a_real_pet(pet_bench, qtbot):
    dock, pet, hottest = pet_bench
    document = dock.session.active.document
    away = np.linalg.norm((np.indices(pet.shape).reshape(3, -1).T - hottest) * pet.grid.spacing_mm, axis=1).reshape(pet.shape)
    near = away <= 40.0
    top = float(pet.data[hottest])
    painted = use(dock, qtbot, pet, hottest, "pet_suv", threshold="SUV 4.0")
    assert np.array_equal(painted, part_at((pet.data >= 4.0) & near, hottest))
    assert document.undo()
    painted = use(dock, qtbot, pet, hottest, "pet_percent")
    assert np.array_equal(painted, part_at((pet.data >= 0.41 * top) & near, hottest))
    assert document.undo()
    painted = use(dock, qtbot, pet, hottest, "pet_edge")
    assert painted[hottest]
    expected = dock.session.masks[0].document.labels > 0
    assert 2 * (painted & expected).sum() / (painted.sum() + expected.sum()) > 0.6
    assert document.undo()
    assert not document.labels.any()


def test_percist_takes_the_liver_that_was_drawn_into_another_mask(pet_bench, qtbot):
    dock, pet, hottest = pet_bench
    session = dock.session
    # The scan holds no liver: some quiet tissue stands for it, drawn into the case's first mask.
    first, own = session.masks[0].document, session.active.document
    session.activate(session.masks[0])
    quiet = np.argwhere((pet.data > 0.3) & (pet.data < 1.2) & (first.labels == 0))[200:500]
    labels = np.zeros(first.labels.shape, np.uint8)
    labels[tuple(quiet.T)] = 1
    first.write(Box.whole(labels.shape), labels, Origin(PatchSource.HAND, "test"))
    session.activate(session.masks[1])
    painted = use(dock, qtbot, pet, hottest, "pet_percist")
    values = pet.data[tuple(quiet.T)].astype(float)
    level = 1.5 * values.mean() + 2 * values.std()
    away = np.linalg.norm((np.indices(pet.shape).reshape(3, -1).T - hottest) * pet.grid.spacing_mm, axis=1).reshape(pet.shape)
    assert np.array_equal(painted, part_at((pet.data >= level) & (away <= 40.0), hottest))
    assert own.undo()

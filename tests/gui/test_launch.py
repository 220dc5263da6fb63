"""What the demo shows, and what is told in the status bar and before closing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from napari_tumorseg.widgets.launch import open_case, run_demo
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.workflows.open_case import OpenRequest
from napari_tumorseg.workflows.open_case import open_case as read
from napari_tumorseg.workflows.segment import segment_case

from .conftest import FakeSegmenter


def test_the_demo_pictures_the_real_window(make_napari_viewer, monkeypatch, case_folder: Path, tmp_path: Path):
    made = []

    def viewer(**options):
        made.append(make_napari_viewer(strict_qt="raise", **options))
        return made[-1]

    monkeypatch.setattr("napari.Viewer", viewer)
    case = read(OpenRequest((case_folder,)))
    told = run_demo(case, segment_case(case, FakeSegmenter()), tmp_path, show=False)
    assert told["lesions"] == 1
    shot = np.asarray(Image.open(told["screenshot"]))
    assert shot.shape[0] > 500
    assert shot.shape[1] > 900
    # The enhancing tumour's colour or the white outline of the lesion in focus, on a grey brain.
    middle = shot[shot.shape[0] // 4 : shot.shape[0] // 2, shot.shape[1] // 3 : 2 * shot.shape[1] // 3].astype(int)
    assert np.ptp(middle, axis=-1).max() > 30
    made.clear()


def test_a_case_opens_with_its_mask_ready_to_edit(make_napari_viewer, case_folder: Path, qtbot):
    viewer = make_napari_viewer(strict_qt="raise")
    case = read(OpenRequest((case_folder,)))
    dock = open_case(viewer, case, segment_case(case, FakeSegmenter()))
    qtbot.waitUntil(lambda: dock.session.lesions.up_to_date, timeout=20000)
    session = dock.session
    assert viewer.layers.selection.active is session.active.view.layer
    assert viewer.layers.selection.active.editable
    assert dock.steps.opened == 2
    assert dock.segment.state.startswith("✓ done")
    assert [layer.name for layer in viewer.layers] == ["T1", "T2", "FLAIR", "T1c", "fake"]


def test_the_status_bar_names_the_lesion_under_the_cursor(make_napari_viewer, case_folder: Path, qtbot):
    viewer = make_napari_viewer(strict_qt="raise")
    case = read(OpenRequest((case_folder,)))
    dock = open_case(viewer, case, segment_case(case, FakeSegmenter()))
    qtbot.waitUntil(lambda: dock.session.lesions.up_to_date, timeout=20000)
    lesion = dock.session.lesions.rows[0]
    world = dock.session.view.scene.to_world(lesion.centroid_mm)
    layer = dock.session.active.view.layer
    options = {"view_direction": None, "dims_displayed": [1, 2], "world": True}
    assert f"Lesion 1, WT {lesion.volume_mm3 / 1000:.2g} mL, Enhancing tumour" in layer.get_status(world, **options)["coordinates"]
    assert "Lesion" not in layer.get_status(world + np.array((0, 15, 0)), **options)["coordinates"]


def test_napari_warns_before_an_unsaved_mask_is_closed(make_napari_viewer, case_folder: Path, qtbot, tmp_path: Path):
    viewer = make_napari_viewer(strict_qt="raise")
    case = read(OpenRequest((case_folder,)))
    dock = open_case(viewer, case, segment_case(case, FakeSegmenter()))
    assert viewer.window._task_status_manager.get_status() == ["Tumour segmentation: fake is not saved"]
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.work.save(dock.session.active, tmp_path / "mask.nii.gz")
    assert viewer.window._task_status_manager.get_status() == []
    assert main_window(viewer) is not None


def test_what_is_for_research_only_is_said_once(open_window, tmp_path: Path):
    dock = open_window(show=False)
    assert not dock.first_run.isHidden()
    dock.first_run.understood.click()
    assert dock.first_run.isHidden()
    assert (tmp_path / "home" / "state" / "research_use_read").exists()

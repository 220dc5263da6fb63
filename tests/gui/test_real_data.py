"""The window on real scans."""

from __future__ import annotations

import numpy as np


def test_a_dicom_series_with_its_contours_and_back_as_dicom_seg(open_window, qtbot, real_data, tmp_path):
    from napari_tumorseg.io.registry import read_mask

    folder = real_data("dicom/sts_002")
    dock = open_window(show=False)
    with qtbot.waitSignal(dock.work.ended, timeout=120000) as ended:
        dock.open([folder])
    assert ended.args == ["open", "done"]
    assert set(dock.session.volumes) == {"CT", "PET", "T1"}
    assert len(dock.session.masks) == 3
    active = dock.session.active
    assert active.reference == dock.session.reference
    assert dock.save.name.text().endswith(".dcm")
    dock.save.folder.setText(str(tmp_path))
    with qtbot.waitSignal(dock.work.ended, timeout=120000) as ended:
        dock.save.run()
    assert ended.args == ["save", "done"]
    back = read_mask(dock.save.path, reference=dock.session.volumes[active.reference])
    assert np.array_equal(back.labels > 0, active.document.labels > 0)


def test_a_metastasis_case_shows_its_four_sequences(open_window, qtbot, real_data):
    dock = open_window(show=False)
    with qtbot.waitSignal(dock.work.ended, timeout=120000):
        dock.open([real_data("brain_mri/brats_met_00110")])
    assert dock.case.state == "✓ 4 of 4 sequences"
    assert list(dock.session.volumes) == ["T1c", "FLAIR", "T2", "T1"]
    assert dock.session.view.scene.grid.orientation == "IPL"

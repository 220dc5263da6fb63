"""Doubtful places in the real window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.segmenter import Input, Prediction
from napari_tumorseg.widgets.doubt import DoubtBar, Doubts
from napari_tumorseg.workflows.segment import SegmentResult

from .conftest import FakeSegmenter, drag, fake_spec, press


@dataclass
class Unsure(FakeSegmenter):
    """Sure of the ball, undecided in two places beside it."""

    tell: bool = True

    def predict(self, given, *, device="auto", probabilities=False, progress=None):
        labels = np.where(given.images["T1c"] > 400, 3, 0).astype(np.uint8)
        p = (labels > 0).astype(np.float16)
        p[4:8, 6:12, 10:15] = 0.45
        p[3:5, 20:24, 6:10] = 0.4
        return Prediction(labels, {"WT": p, "TC": p, "ET": p} if self.tell else {}, device="cpu")


def spec():
    return fake_spec(regions=("WT", "TC", "ET"))


@pytest.fixture
def unsure(open_window, load, qtbot):
    """A dock with the case segmented and its doubts known."""

    def run(**changes):
        dock = open_window(Unsure(spec(), **changes))
        doubts = Doubts.of(dock.session)
        doubts.watch(dock.work)
        load(dock)
        with qtbot.waitSignal(dock.work.ended, timeout=20000):
            dock.segment.run.click()
        qtbot.waitUntil(lambda: doubts._job is None, timeout=20000)
        return dock, doubts

    return run


def test_from_place_to_place(unsure):
    dock, doubts = unsure()
    bar = DoubtBar(doubts)
    bar.setParent(dock)
    assert doubts.text == bar.text.text() == "2 doubtful places"
    first, second = doubts.places
    bar.next.click()
    scene = dock.session.view.scene
    assert doubts.text == bar.text.text() == "1 of 2 doubtful places"
    assert dock.viewer.dims.point == pytest.approx(scene.to_world(first.point_mm), abs=1.6)
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx(scene.to_world(first.point_mm)[1:], abs=1.0)
    doubts.next_doubtful()
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx(scene.to_world(second.point_mm)[1:], abs=1.0)
    doubts.next_doubtful()
    assert doubts.text == "All 2 doubtful places seen"
    doubts.previous_doubtful()
    assert doubts.text == "1 of 2 doubtful places"


def test_a_place_that_was_painted_is_not_gone_to(unsure):
    dock, doubts = unsure()
    first, second = doubts.places
    dock.session.view.frame(first.point_mm, first.box)
    centre = tuple(dock.viewer.scene.camera.center[-2:])
    press(dock, Qt.Key.Key_P)
    press(dock, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    drag(dock, centre, (centre[0], centre[1] + 1))
    assert dock.session.active.document.revision == 1
    assert doubts.text == "1 of 2 doubtful places left"
    doubts.next_doubtful()
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx(dock.session.view.scene.to_world(second.point_mm)[1:], abs=1.0)


def test_the_overlay_lies_on_its_voxels_and_is_hidden_at_first(unsure):
    dock, doubts = unsure()
    names = [layer.name for layer in dock.viewer.layers]
    assert "Doubt" not in names
    assert not doubts.overlay_shown
    before = dock.viewer.layers.selection.active
    doubts.toggle_overlay()
    assert doubts.overlay_shown
    assert dock.viewer.layers.selection.active is before
    layer = dock.viewer.layers["Doubt"]
    assert layer.data.dtype == np.float16
    assert dock.viewer.layers.index(layer) < dock.viewer.layers.index(dock.session.active.view.layer)
    # The middle of a place is undecided, and a voxel beyond its box is not part of the layer.
    scene = dock.session.view.scene
    for place in doubts.places:
        at = np.round(layer.world_to_data(scene.to_world(place.point_mm))).astype(int)
        assert layer.data[tuple(at)] == pytest.approx(place.peak_bits, abs=1e-2)
    doubts.toggle_overlay()
    assert not doubts.overlay_shown
    dock.viewer.layers.remove(layer)
    doubts.toggle_overlay()
    assert doubts.overlay_shown


def test_another_mask_has_other_doubts(unsure):
    dock, doubts = unsure()
    doubts.set_overlay(True)
    mine = dock.session.active
    dock.session.add_empty_mask()
    assert (doubts.text, doubts.ready, doubts.overlay_shown) == ("", False, False)
    dock.session.activate(mine)
    assert doubts.text == "2 doubtful places"
    dock.session.close_case()
    assert (doubts.places, doubts.text) == ((), "")
    assert "Doubt" not in [layer.name for layer in dock.viewer.layers]


def test_a_model_that_tells_nothing(unsure, qtbot):
    dock, doubts = unsure(tell=False)
    assert (doubts.text, doubts.ready, doubts.has_overlay) == ("", False, False)
    with qtbot.waitSignal(dock.session.said) as said:
        doubts.next_doubtful()
    assert said.args[0].startswith("Nothing is known of this mask's doubtful places")


def test_what_is_painted_meanwhile_counts(unsure, qtbot):
    dock, doubts = unsure()
    document, first = dock.session.active.document, doubts.places[0]
    before = document.snapshot()
    volumes = {name: volume.data for name, volume in dock.session.volumes.items()}
    prediction = Unsure(spec()).predict(Input(volumes, document.grid))
    doubts.take(SegmentResult(before, prediction, "T1c", {}, (), {}), spec())
    assert doubts.text == "Looking for doubtful places"
    document.write(first.box, np.full(first.box.shape, 2, np.uint8), Origin(PatchSource.HAND, "paint"))
    qtbot.waitUntil(lambda: doubts._job is None, timeout=20000)
    assert doubts.text == "1 of 2 doubtful places left"

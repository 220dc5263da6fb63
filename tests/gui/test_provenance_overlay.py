"""The origin of the mask's voxels in the real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_tumorseg.annotation.provenance import OriginClass
from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.labels import PRESETS
from napari_tumorseg.widgets.linked_views import LinkedViews
from napari_tumorseg.widgets.provenance_overlay import ORIGIN_COLOURS, ProvenanceBar, ProvenanceOverlay
from napari_tumorseg.workflows.scene import PLANES

from .conftest import drag, press

STROKE = ((-10.0, -15.0), (-10.0, -8.0))


@pytest.fixture
def bench(open_window, load, qtbot):
    """Return a function that gives a dock with the case and the fake model's mask, and its overlay."""

    def run():
        dock = open_window()
        load(dock)
        with qtbot.waitSignal(dock.work.ended, timeout=20000):
            dock.segment.run.click()
        return dock, ProvenanceOverlay.of(dock.session)

    return run


def middle_of_tumour(ai):
    """Return a box inside the AI's tumour, a ball."""
    z, y, x = (round(float(v.mean())) for v in np.nonzero(ai))
    return Box((z, y - 1, x - 1), (z + 1, y + 1, x + 1))


def expected_classes(ai, now):
    """Return the classes by their definition."""
    out = np.zeros(ai.shape, np.uint8)
    out[(ai != 0) & (now == ai)] = OriginClass.AI
    out[(ai != 0) & (now != ai) & (now != 0)] = OriginClass.CHANGED
    out[(ai == 0) & (now != 0)] = OriginClass.ADDED
    out[(ai != 0) & (now == 0)] = OriginClass.REMOVED
    return out


def write(document, box, value, qtbot, overlay):
    with qtbot.waitSignal(overlay.changed, timeout=5000):
        document.write(box, np.full(box.shape, value, document.labels.dtype), Origin(PatchSource.HAND, "paint"))


def test_layer_and_counts_follow_the_brush(bench, qtbot):
    dock, overlay = bench()
    session = dock.session
    document = session.active.document
    ai, before = document.labels.copy(), dock.viewer.layers.selection.active
    overlay.toggle()
    layer = dock.viewer.layers["Provenance"]
    assert overlay.on
    assert dock.viewer.layers.selection.active is before is session.active.view.layer
    assert not layer.editable
    assert np.shares_memory(layer.data, session.active.provenance.classes)
    press(dock, Qt.Key.Key_P)
    with qtbot.waitSignal(overlay.changed, timeout=5000):
        drag(dock, *STROKE)
    wrong = middle_of_tumour(ai)
    write(document, wrong, 1, qtbot, overlay)
    write(document, Box(wrong.start, (wrong.stop[0], wrong.stop[1], wrong.start[2] + 1)), 0, qtbot, overlay)
    classes = expected_classes(ai, document.labels)
    assert {int(v) for v in np.unique(classes)} == set(OriginClass)
    assert np.array_equal(layer.data, session.view.scene.to_scene(classes))
    ml = {name: (classes == name).sum() * 3.0 / 1000 for name in OriginClass}
    told = dict(part.removesuffix(" mL").split(" ") for part in overlay.text.split(", "))
    for name, origin in (("AI", OriginClass.AI), ("changed", OriginClass.CHANGED), ("removed", OriginClass.REMOVED)):
        assert float(told[name].lstrip("<")) == pytest.approx(ml[origin], abs=0.006), overlay.text
    overlay.toggle()
    assert "Provenance" not in dock.viewer.layers


def test_what_is_seen_changes_at_once(bench, qtbot):
    dock, overlay = bench()
    session, document = dock.session, dock.session.active.document
    overlay.set_on(True)
    layer = dock.viewer.layers["Provenance"]
    box = middle_of_tumour(document.labels)
    middle = document.grid.to_mm([(a + b - 1) / 2 for a, b in zip(box.start, box.stop, strict=True)])
    session.view.frame(tuple(float(v) for v in middle), box)
    drawn = []
    layer.events.set_data.connect(lambda _event: drawn.append(1))
    write(document, box, 1, qtbot, overlay)
    assert len(drawn) == 1
    elsewhere = 0 if box.start[0] > 3 else document.labels.shape[0] - 1
    far = Box((elsewhere, 2, 2), (elsewhere + 1, 4, 4))
    write(document, far, 1, qtbot, overlay)
    assert len(drawn) == 1, "a plane that is not seen was drawn"


def test_the_other_views_are_drawn_too(bench, qtbot):
    dock, overlay = bench()
    session, document = dock.session, dock.session.active.document
    views = LinkedViews.of(session)
    views.set_on(True)
    qtbot.waitUntil(lambda: views.surface is not None and views.surface.up_to_date, timeout=20000)
    overlay.set_on(True)
    main = dock.viewer.layers["Provenance"]
    sides = [views.counterpart(main, plane) for plane in PLANES if views.counterpart(main, plane) is not main]
    assert len(sides) == 2
    drawn = []
    for side in sides:
        side.events.set_data.connect(lambda _event, side=side: drawn.append(side))
    write(document, Box.whole(document.labels.shape), 1, qtbot, overlay)
    assert drawn == sides
    views.set_on(False)


def test_another_mask_a_closed_layer_and_a_closed_case_switch_it_off(bench):
    dock, overlay = bench()
    session, mine = dock.session, dock.session.active
    overlay.set_on(True)
    session.add_empty_mask()
    assert not overlay.on
    assert "Provenance" not in dock.viewer.layers
    assert overlay.text == "AI 0 mL, changed 0, added 0, removed 0 mL"
    session.activate(mine)
    overlay.set_on(True)
    dock.viewer.layers.remove(dock.viewer.layers["Provenance"])
    assert not overlay.on
    overlay.set_on(True)
    session.close_case()
    assert (overlay.on, overlay.ready, overlay.text) == (False, False, "")
    assert not dock.viewer.layers
    overlay.set_on(True)
    assert not overlay.on


def test_the_bar_switches_and_tells(bench, qtbot):
    dock, overlay = bench()
    bar = ProvenanceBar(overlay)
    dock.layout().addWidget(bar)
    assert bar.text.text().replace("&nbsp;", " ") == overlay.text
    bar.switch.click()
    assert overlay.on
    assert bar.switch.isChecked()
    for origin, word in ((OriginClass.AI, "AI"), (OriginClass.CHANGED, "changed"), (OriginClass.ADDED, "added")):
        assert f'<span style="color:{ORIGIN_COLOURS[origin]}">■</span>&nbsp;{word}' in bar.text.text()
    dock.session.active.document.write(Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.uint8), Origin(PatchSource.HAND, "paint"))
    qtbot.waitUntil(lambda: "added 0.003" in overlay.text and "added&nbsp;0.003" in bar.text.text(), timeout=5000)
    assert bar.switch.width() >= bar.switch.fontMetrics().horizontalAdvance("Show origin")
    bar.switch.click()
    assert not overlay.on
    dock.session.close_case()
    assert not bar.switch.isEnabled()


def test_the_colours_are_no_label_s():
    used = {label.colour.upper() for schema in PRESETS.values() for label in schema.labels}
    assert not used & {colour.upper() for colour in ORIGIN_COLOURS.values()}

"""Fixtures of the GUI tests: a small case on disk, models that need no network, a leak check."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Input, Need, Prediction, SegmenterSpec

#: (x, y, z) as NIfTI stores it; axes to left, anterior, superior, 3 mm slices.
NIFTI_SHAPE = (40, 36, 12)
AFFINE = np.array([[-1.0, 0, 0, 20], [0, 1.0, 0, -18], [0, 0, 3.0, -15], [0, 0, 0, 1]])


@pytest.fixture(autouse=True)
def _past_is_frozen() -> None:
    """Keep what earlier tests left in memory out of this test's collections.

    napari's menus for each test's window (7,000 objects) are never freed, and every viewer is checked by full collections:
    without this, a test costs more the later it runs.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUMORSEG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TUMORSEG_MODELS", raising=False)
    monkeypatch.setenv("TUMORSEG_PERSON", "A.B.")


@pytest.fixture(autouse=True)
def _nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail when a session, a dock or a job outlives its viewer."""
    yield
    if "make_napari_viewer" not in request.fixturenames or request.node.rep_call.failed:
        return
    from napari_tumorseg.widgets.dock import TumourDock
    from napari_tumorseg.widgets.jobs import Job, JobRunner
    from napari_tumorseg.widgets.session import Session

    for _ in range(3):
        QApplication.sendPostedEvents(None, 52)  # deferred deletes
        QApplication.processEvents()
        gc.collect()
    kinds = (TumourDock, Session, JobRunner, Job)
    left = [type(o).__name__ for o in gc.get_objects() if type(o) in kinds and _alive(o)]
    assert not left, f"outlived their viewer: {left}"


def _alive(thing: Any) -> bool:
    try:
        thing.objectName()
    except RuntimeError:
        return False
    return True


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    """A folder with four sequences: dark background, grey head, a bright ball at the patient's left front."""
    folder = tmp_path / "BraTS-MET-00001-000"
    folder.mkdir()
    rng = np.random.default_rng(0)
    i, j, k = np.meshgrid(*(np.arange(n) for n in NIFTI_SHAPE), indexing="ij")
    head = ((i - 20) / 17) ** 2 + ((j - 18) / 15) ** 2 + ((k - 6) / 6) ** 2 < 1
    ball = (i - 28) ** 2 + (j - 25) ** 2 + (3 * (k - 6)) ** 2 < 16
    for name, gain in (("t1n", 100), ("t1c", 300), ("t2w", 200), ("t2f", 250)):
        data = np.where(head, 200 + rng.normal(0, 5, NIFTI_SHAPE), 0) + np.where(ball, gain, 0)
        nibabel.save(nibabel.Nifti1Image(data.astype(np.int16), AFFINE), folder / f"{folder.name}-{name}.nii.gz")
    return folder


def fake_spec(name: str = "fake", **changes: Any) -> SegmenterSpec:
    values: dict[str, Any] = {
        "name": name,
        "title": "A model for tests",
        "backend": "network",
        "inputs": (Need("T1c"), Need("FLAIR", required=False)),
        "schema": preset("brats-mets-2025"),
        "licence": "CC BY-NC 4.0",
        "warnings": ("It knows nothing.",),
    }
    return SegmenterSpec(**{**values, **changes})


@dataclass
class FakeSegmenter:
    """Labels what is bright in T1c as enhancing tumour."""

    spec: SegmenterSpec = field(default_factory=fake_spec)
    gate: threading.Event | None = None
    error: Exception | None = None

    def predict(self, given: Input, *, device: str = "auto", probabilities: bool = False, progress: Progress | None = None) -> Prediction:
        progress = progress or Progress()
        progress.update(0.5, "Looking")
        if self.gate is not None:
            self.gate.wait(20)
        if self.error is not None:
            raise self.error
        return Prediction(np.where(given.images["T1c"] > 400, 3, 0).astype(np.uint8), device="cpu")


@dataclass(frozen=True)
class FakeState:
    ready: bool = True
    reason: str = ""


class FakeCatalogue:
    """Holds segmenters by name."""

    def __init__(self, *models: FakeSegmenter) -> None:
        self.models = {m.spec.name: m for m in models}

    def names(self) -> tuple[str, ...]:
        return tuple(self.models)

    def spec(self, name: str) -> SegmenterSpec:
        return self.models[name].spec

    def state(self, name: str) -> FakeState:
        return FakeState()

    def load(self, name: str, progress: Progress | None = None) -> FakeSegmenter:
        if name not in self.models:
            raise ModelError(f"There is no model {name}.", "Choose another.")
        return self.models[name]


@pytest.fixture
def open_window(make_napari_viewer: Any, qtbot: Any) -> Callable[..., Any]:
    """Return a function that opens the real window with the dock on fake models."""
    from napari_tumorseg.widgets.launch import open_dock
    from napari_tumorseg.widgets.napari_adapter import main_window

    def make(*models: FakeSegmenter, show: bool = True) -> Any:
        viewer = make_napari_viewer(show=show, strict_qt="raise")
        if show:
            main_window(viewer).resize(1200, 800)
        dock = open_dock(viewer)
        dock.work.catalogue = FakeCatalogue(*(models or (FakeSegmenter(),)))
        dock.segment.load_models()
        qtbot.wait(1)
        return dock

    return make


@pytest.fixture
def load(qtbot: Any, case_folder: Path) -> Callable[[Any], None]:
    """Return a function that opens the case on disk in a dock and waits for it."""

    def open_it(dock: Any) -> None:
        with qtbot.waitSignal(dock.work.ended, timeout=20000):
            dock.open([case_folder])

    return open_it


def canvas_point(dock: Any, world: tuple[float, float]) -> QPoint:
    """Return where world coordinates (rows, columns) lie on the canvas, in pixels."""
    from napari_tumorseg.widgets.napari_adapter import canvas_widget

    camera, size = dock.viewer.scene.camera, canvas_widget(dock.viewer).size()
    row, column = ((w - c) * camera.zoom for w, c in zip(world, camera.center[-2:], strict=True))
    return QPoint(round(size.width() / 2 + column), round(size.height() / 2 + row))


def mouse(dock: Any, kind: Any, world: tuple[float, float], button: Any = Qt.MouseButton.LeftButton, held: bool = True) -> None:
    """Send one mouse event to the canvas; QTest moves the pointer of the display without its button."""
    from napari_tumorseg.widgets.napari_adapter import canvas_widget

    canvas = canvas_widget(dock.viewer)
    point = QPointF(canvas_point(dock, world))
    acting = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else button
    buttons = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease or not held else button
    place = QPointF(canvas.mapToGlobal(point.toPoint()))
    QApplication.sendEvent(canvas, QMouseEvent(kind, point, place, acting, buttons, Qt.KeyboardModifier.NoModifier))
    # vispy drops moves that follow one another within 10 ms, napari gathers those within 5 ms: a hand is slower.
    QTest.qWait(20)
    # On a busy machine the wait may be over before napari's timer had its turn.
    QApplication.processEvents()


def drag(dock: Any, *worlds: tuple[float, float]) -> None:
    """Press, move and release the mouse on the canvas."""
    mouse(dock, QEvent.Type.MouseMove, worlds[0], held=False)
    mouse(dock, QEvent.Type.MouseButtonPress, worlds[0])
    for world in worlds[1:]:
        mouse(dock, QEvent.Type.MouseMove, world)
    mouse(dock, QEvent.Type.MouseButtonRelease, worlds[-1])
    QApplication.processEvents()


def click(dock: Any, world: tuple[float, float]) -> None:
    """Click on the canvas."""
    drag(dock, world)


def press(dock: Any, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    """Press and release a key on the canvas."""
    from napari_tumorseg.widgets.napari_adapter import canvas_widget

    QTest.keyClick(canvas_widget(dock.viewer), key, modifier)
    QApplication.processEvents()

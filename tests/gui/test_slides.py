"""Slides as napari layers, and a window that does not wait for their tiles."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from napari.layers import Layer
from qtpy.QtWidgets import QApplication

from napari_tumorseg._layers import SLIDE_KEY
from napari_tumorseg._npe2 import read_layers, read_slides
from napari_tumorseg.widgets.napari_slicing import slices_in_background
from napari_tumorseg.widgets.slide_reader import get_reader, load_in_background


def write(path: Path, pixels: np.ndarray, *, mpp_um: float | None = 0.25, levels: int = 3, **options) -> Path:
    metadata = {"axes": "YXS"} if pixels.shape[-1] == 3 else {"axes": "CYX"}
    if mpp_um:
        metadata |= {"PhysicalSizeX": mpp_um, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp_um, "PhysicalSizeYUnit": "µm"}
    options = {"photometric": "rgb" if pixels.shape[-1] == 3 else "minisblack", "tile": (256, 256), **options}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, subifds=levels - 1, metadata=metadata, **options)
        for level in range(1, levels):
            step = 2**level
            small = pixels[::step, ::step] if pixels.shape[-1] == 3 else pixels[:, ::step, ::step]
            file.write(small, subfiletype=1, metadata=None, **options)
    return path


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2200, 2500, 3), dtype=np.uint8)


@pytest.fixture
def slide(tmp_path, pixels) -> Path:
    return write(tmp_path / "s.ome.tif", pixels)


def test_a_slide_is_a_multiscale_layer_in_micrometres(slide, pixels):
    reader = get_reader(str(slide))
    assert reader is not None
    ((data, meta, kind),) = reader(str(slide))
    layer = Layer.create(data, meta, kind)
    assert (layer.multiscale, layer.rgb, len(layer.data)) == (True, True, 3)
    assert np.allclose(layer.scale, 0.25)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert np.array_equal(np.asarray(layer.data[0][700:900, 5:30]), pixels[700:900, 5:30])
    assert np.allclose(layer.downsample_factors, [(1, 1), (2, 2), (4, 4)], rtol=1e-3)


def test_a_missing_resolution_is_a_warning_and_pixels(tmp_path, pixels):
    path = write(tmp_path / "s.ome.tif", pixels, mpp_um=None)
    with pytest.warns(UserWarning, match="does not say how many micrometres"):
        ((_, meta, _),) = read_slides(str(path))
    assert (meta["scale"], meta["units"]) == ((1.0, 1.0), ("pixel", "pixel"))


def test_fluorescence_has_a_layer_for_each_channel(tmp_path):
    planes = np.random.default_rng(1).integers(100, 4000, (3, 2200, 2300), dtype=np.uint16)
    path = write(tmp_path / "f.ome.tif", planes)
    with pytest.warns(UserWarning, match="Not a brightfield image"):
        layers = read_slides(str(path))
    made = [Layer.create(*layer) for layer in layers]
    assert [layer.rgb for layer in made] == [False] * 3
    assert np.array_equal(np.asarray(made[2].data[1][5:9, 3:7]), planes[2, 10:18:2, 6:14:2])
    assert all(90 < low < 200 and 3800 < high < 4100 for low, high in (layer.contrast_limits for layer in made))


def test_a_stack_is_still_a_stack(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    assert get_reader(str(path)) is read_layers


def test_the_window_answers_while_tiles_are_decoded(make_napari_viewer, slide, pixels, qtbot, monkeypatch):
    viewer = make_napari_viewer(show=True)  # napari asks for tiles when it draws
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    assert not slices_in_background(viewer)
    (layer,) = viewer.open(str(slide), plugin="napari-tumorseg")
    qtbot.waitUntil(lambda: layer.loaded)
    assert slices_in_background(viewer)
    reader = layer.metadata[SLIDE_KEY]
    gate, original, threads = threading.Event(), reader._source.read_tile, set()

    def slow(level: int, row: int, column: int) -> np.ndarray:
        threads.add(threading.current_thread())
        assert gate.wait(30)
        return original(level, row, column)

    reader.cache.clear()
    monkeypatch.setattr(reader._source, "read_tile", slow)
    start = time.perf_counter()
    viewer.scene.camera.zoom = 4.0
    viewer.scene.camera.center = (0.0, 300.0, 320.0)
    QApplication.processEvents()
    qtbot.waitUntil(lambda: bool(threads))
    # The tiles are waited for, and the window goes on: with synchronous slicing this line is never reached.
    assert not layer.loaded
    assert time.perf_counter() - start < 25
    gate.set()
    qtbot.waitUntil(lambda: layer.loaded)
    assert threading.main_thread() not in threads
    assert layer.data_level == 0
    viewer.layers.clear()
    assert not slices_in_background(viewer)


def test_files_are_closed_with_the_layer(make_napari_viewer, slide, qtbot):
    import gc

    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((4, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        layers = read_slides(str(slide))
    load_in_background(viewer)
    for data, meta, kind in layers:
        viewer.add_layer(Layer.create(data, meta, kind))
    qtbot.waitUntil(lambda: viewer.layers[-1].loaded)
    reader = viewer.layers[-1].metadata[SLIDE_KEY]
    assert str(slide) in {file.path for file in psutil.Process().open_files()}
    viewer.layers.remove(viewer.layers[-1])
    assert not slices_in_background(viewer)
    # napari may hold a removed layer for a while; who needs the file closed at once closes the reader.
    reader.close()
    del reader, layers, data, meta
    gc.collect()
    assert str(slide) not in {file.path for file in psutil.Process().open_files()}

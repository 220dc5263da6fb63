"""How long slides take: opening and panning (needs a display, e.g. xvfb-run), pixel features, nuclei, cells, the TIL score.

Run: xvfb-run -a -s "-screen 0 1920x1080x24" python benchmarks/pathology.py --opening [--quick] [--json FILE] [--folder FOLDER]

The slide is made in FOLDER (a temporary one by default) and deleted: a pyramid of 60,000 x 60,000 pixels in 256 x 256 JPEG tiles,
as BigTIFF, one noisy tile repeated, about 3 GB. Times are from asking napari to open it until its tiles are drawn on the canvas;
the window is open before, and a small slide has been opened in it, so that imports and shaders are not counted; the very first
opening, with them, is given too. While panning, the longest time that the window did not answer is measured by a timer of 5 ms:
with tiles loaded in the background (what opening a slide switches on) and with the window waiting for them, from this drive and
as from a slow one (20 ms more for each tile).

The parts --nms, --cells and --til need no display; pathology_cells.py says what they measure.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pathology_cells
from pathology_features import features

GOAL_S, SLOW_S = 1.0, 0.02
SIDE, QUICK_SIDE, TILE = 60_000, 6_000, 256


def write_slide(path: Path, side: int) -> int:
    """Write a pyramid of a repeated tile and return its size in bytes."""
    import imagecodecs
    import tifffile

    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal((205, 150, 190), 25, (TILE, TILE, 3)), 0, 255).astype(np.uint8)
    tile = imagecodecs.jpeg_encode(pixels, level=93)
    sides = [side]
    while sides[-1] > 1024:
        sides.append(-(-sides[-1] // 2))
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, edge in enumerate(sides):
            count = (-(-edge // TILE)) ** 2
            file.write(
                (tile for _ in range(count)),
                shape=(edge, edge, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(2, 2),
                subfiletype=1 if level else 0,
                subifds=0 if level else len(sides) - 1,
                resolution=(40_000 / 2**level, 40_000 / 2**level),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path.stat().st_size


class Window:
    """A napari window, and how long it does not answer."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtCore import QTimer
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer(show=True)
        self.application = QApplication.instance()
        self.longest = 0.0
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)
        self._draws = 0
        self.viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(self._drawn)

    def _drawn(self, _event: object) -> None:
        self._draws += 1

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest, self._last = max(self.longest, now - self._last), now

    def forget(self) -> None:
        """Begin to measure anew."""
        self.longest, self._last = 0.0, time.perf_counter()

    def until(self, done: Callable[[], bool], seconds: float = 120.0) -> None:
        """Let the window work until it is so."""
        start = time.perf_counter()
        while not done():
            if time.perf_counter() - start > seconds:
                raise TimeoutError("the window did not get there")
            self.application.processEvents()

    def open(self, path: Path) -> tuple[float, Any]:
        """Return the seconds until the slide is drawn, and its layer."""
        start = time.perf_counter()
        (layer,) = self.viewer.open(str(path), plugin="napari-tumorseg")
        self.until(lambda: layer.loaded)
        before = self._draws
        self.viewer.window._qt_viewer.canvas._scene_canvas.update()
        self.until(lambda: self._draws > before)
        seconds = time.perf_counter() - start
        shown = np.asarray(layer._slice.image.view)
        assert shown.any(), "nothing is shown"
        return seconds, layer

    def pan(self, layer: Any, steps: int, slow: Any = None) -> dict[str, float]:
        """Pan at full resolution over tiles that are not in the cache; with a reader given, each of its tiles takes 20 ms more."""
        layer.metadata["tumorseg_slide"].cache.clear()
        read_tile = slow._source.read_tile if slow else None

        def late(level: int, row: int, column: int) -> Any:
            time.sleep(SLOW_S)
            return read_tile(level, row, column)

        if slow:
            slow._source.read_tile = late
        try:
            return self._pan(layer, steps)
        finally:
            if slow:
                slow._source.read_tile = read_tile

    def _pan(self, layer: Any, steps: int) -> dict[str, float]:
        self.viewer.scene.camera.zoom = 1.0 / float(layer.scale[0])
        middle = layer.extent.world.mean(axis=0)
        self.viewer.scene.camera.center = (0.0, *middle)
        self.until(lambda: layer.loaded and layer.data_level == 0)
        self.forget()
        start = time.perf_counter()
        for step in range(steps):
            self.viewer.scene.camera.center = (0.0, middle[0], middle[1] + (step + 1) * 400 * float(layer.scale[1]))
            pause = time.perf_counter() + 0.05
            self.until(lambda pause=pause: time.perf_counter() > pause)
        self.until(lambda: layer.loaded)
        return {"level": int(layer.data_level), "seconds": time.perf_counter() - start, "longest_stall_s": self.longest}


def opening(folder: Path, quick: bool) -> dict[str, Any]:
    """Measure opening and panning."""
    from napari_tumorseg.io.slides import open_slide

    small, large = folder / "small.tif", folder / "large.tif"
    write_slide(small, 3_000)
    size = write_slide(large, QUICK_SIDE if quick else SIDE)
    start = time.perf_counter()
    with open_slide(large) as reader:
        opened = time.perf_counter() - start
        reader.thumbnail()
        thumbnail = time.perf_counter() - start
    window = Window()
    first, layer = window.open(small)
    window.viewer.layers.clear()
    del layer
    seconds, layer = window.open(large)
    found = {
        "side_px": layer.data[0].shape[0],
        "file_gb": size / 1e9,
        "reader_opened_s": opened,
        "reader_thumbnail_s": thumbnail,
        "first_slide_of_the_window_s": first,
        "first_view_s": seconds,
        "goal_s": GOAL_S,
    }
    reader, steps = layer.metadata["tumorseg_slide"], 5 if quick else 20
    found["panning"] = {"local": {"background": window.pan(layer, steps)}}
    found["cache_mb"] = reader.cache.held_bytes / 1e6
    found["panning"]["slow_drive"] = {"background": window.pan(layer, steps, reader)}
    # The same without what opening a slide switches on.
    window.viewer._layer_slicer._force_sync = True
    del layer.__dict__["refresh"]
    found["panning"]["local"]["waiting"] = window.pan(layer, steps)
    found["panning"]["slow_drive"]["waiting"] = window.pan(layer, steps, reader)
    window.viewer.layers.clear()
    window.viewer.close()
    return found


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opening", action="store_true", help="opening a large slide, and panning in it")
    parser.add_argument("--features", action="store_true", help="features of pixels against scikit-image's, and the classifier in a view")
    parser.add_argument("--nms", action="store_true", help="100,000 overlapping polygons")
    parser.add_argument("--cells", action="store_true", help="measurements of 100,000 nuclei")
    parser.add_argument("--til", action="store_true", help="the TIL score of a slide of 60,000 x 60,000 pixels")
    parser.add_argument("--stardist", type=Path, help="where a wheel of StarDist is unpacked, to time its compiled suppression beside")
    parser.add_argument("--quick", action="store_true", help="a slide of 6,000 x 6,000 pixels")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="where the slide is made")
    options = parser.parse_args()
    if not (options.opening or options.features or options.nms or options.cells or options.til):
        parser.error("choose a part: --opening, --features, --nms, --cells, --til")
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    if options.nms:
        found["nms"] = pathology_cells.nms(options.quick, options.stardist)
    if options.cells:
        found["cells"] = pathology_cells.cells(options.quick)
    if options.til:
        found["til"] = pathology_cells.til(options.quick)
    if options.features:
        found |= features(options.quick)
    if options.opening:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found |= opening(Path(folder), options.quick)
    text = json.dumps(found, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""Picture the Study dock at the approver's step, for docs/pictures.

    python scripts/study_picture.py STUDY PERSON --out FILE.png [--size 1600x960]

Takes the next task of PERSON, shows the last two versions beside the image and where they differ, writes the picture and leaves the task
for later. Needs a display; ``xvfb-run`` gives a virtual one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from napari_tumorseg.widgets.launch import open_dock, picture, settle
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.study_dock import show_study

_LIMIT_S = 120.0


def wait(ready: Callable[[], bool], limit_s: float = _LIMIT_S) -> None:
    """Let the window work until something is so."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + limit_s
    while not ready() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def main() -> None:
    """Open the window, take the task, write the picture."""
    import napari

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("person")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="1600x960")
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    viewer = napari.Viewer(title="Tumour segmentation", show=False)
    try:
        viewer.show()
        main_window(viewer).resize(width, height)
        dock = open_dock(viewer)
        panel = show_study(viewer)
        work, versions = panel.work, panel.versions
        work.open(args.study, args.person)
        wait(lambda: not work.busy)
        work.next()
        wait(lambda: not work.busy)
        if work.hand is None:
            raise SystemExit(work.line)
        count = len(work.hand.versions)
        for number in range(max(0, count - 2), count):
            versions.beside(number, True)
        wait(lambda: versions.comparison is not None, 20.0)
        settle(viewer, dock)
        versions.lesions.selectRow(0)
        versions.show_differences(True)
        wait(lambda: False, 2.0)
        picture(viewer, args.out)
        work.leave()
    finally:
        viewer.close()


if __name__ == "__main__":
    main()

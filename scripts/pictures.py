"""Picture the real window on a case, for docs/pictures.

    python scripts/pictures.py CASE MASK --out FOLDER [--name NAME] [--size 1600x960]

Writes ``NAME_axial.png``, ``NAME_coronal.png`` and ``NAME_sagittal.png``, the whole window at the largest
lesion of the mask in each plane, and ``NAME_four.png`` with the four linked views. Needs a display;
``xvfb-run`` gives a virtual one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from napari_tumorseg.io.cases import read_case
from napari_tumorseg.io.registry import read_mask
from napari_tumorseg.widgets.launch import open_dock, picture, settle
from napari_tumorseg.widgets.napari_adapter import main_window

# Surfaces are made off the GUI thread once the window is at rest.
_SURFACES_S = 12.0


def drawn_for(seconds: float) -> None:
    """Let the window draw for some time."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


def main() -> None:
    """Open the window, turn it to each plane, write the pictures."""
    import napari

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="bench")
    parser.add_argument("--size", default="1600x960")
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    args.out.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(title="Tumour segmentation", show=False)
    try:
        viewer.show()
        main_window(viewer).resize(width, height)
        dock = open_dock(viewer)
        dock.session.open_case(read_case(args.case))
        dock.session.add_mask(read_mask(args.mask), args.mask.name.split(".")[0])
        dock.steps.open(2)
        for plane in ("axial", "coronal", "sagittal"):
            dock.session.view.show_plane(plane)
            settle(viewer, dock)
            picture(viewer, args.out / f"{args.name}_{plane}.png")
        dock.session.view.show_plane("axial")
        dock.views.set_on(True)
        drawn_for(_SURFACES_S)
        settle(viewer, dock)
        drawn_for(1.0)
        picture(viewer, args.out / f"{args.name}_four.png")
    finally:
        viewer.close()


if __name__ == "__main__":
    main()

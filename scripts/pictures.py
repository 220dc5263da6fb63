"""Picture the real window on a case, for docs/pictures.

    python scripts/pictures.py CASE MASK --out FOLDER [--size 1600x960]

Writes ``axial.png``, ``coronal.png`` and ``sagittal.png``: the whole window at the largest lesion of
the mask in each plane. Needs a display; ``xvfb-run`` gives a virtual one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_tumorseg.io.cases import read_case
from napari_tumorseg.io.registry import read_mask
from napari_tumorseg.widgets.launch import open_dock, picture, settle
from napari_tumorseg.widgets.napari_adapter import main_window


def main() -> None:
    """Open the window, turn it to each plane, write the pictures."""
    import napari

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("--out", type=Path, required=True)
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
            picture(viewer, args.out / f"{plane}.png")
    finally:
        viewer.close()


if __name__ == "__main__":
    main()

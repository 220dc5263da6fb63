"""Picture the Evaluate dock on a case with two masks, for docs/pictures.

    python scripts/measure_picture.py CASE REFERENCE TEST --out FILE.png [--size 1600x960]

Measures TEST against REFERENCE, colours the lesions by match and goes to the first false one. Needs a display;
``xvfb-run`` gives a virtual one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pictures import drawn_for

from napari_tumorseg.io.cases import read_case
from napari_tumorseg.io.registry import read_mask
from napari_tumorseg.widgets.launch import open_dock, picture, settle
from napari_tumorseg.widgets.measure_dock import show_measures
from napari_tumorseg.widgets.napari_adapter import main_window


def main() -> None:
    """Open the window, measure, write the picture."""
    import napari

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="1600x960")
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    viewer = napari.Viewer(title="Tumour segmentation", show=False)
    try:
        viewer.show()
        main_window(viewer).resize(width, height)
        dock = open_dock(viewer)
        session = dock.session
        session.open_case(read_case(args.case))
        for path, name in ((args.reference, "reference"), (args.test, "test")):
            if name not in (mask.name for mask in session.masks):
                session.add_mask(read_mask(path), name)
        panel = show_measures(viewer)
        panel.form.controls["reference"].value = "reference"
        panel.form.controls["prediction"].value = "test"
        panel.measure()
        while panel.busy:
            drawn_for(0.1)
        settle(viewer, dock)
        panel.view.tabs.setCurrentIndex(1)
        lesions = panel.view.tables[1]
        false = (key for key, row in zip(lesions.table.keys, lesions.table.rows, strict=True) if row[2] == "false")
        lesions.show_key(next(false, lesions.table.keys[0]))
        panel.colour_by_match("WT")
        drawn_for(1.0)
        picture(viewer, args.out)
    finally:
        viewer.close()


if __name__ == "__main__":
    main()

"""How well the classical detector finds nuclei on MoNuSeg tiles.

Run: python benchmarks/nuclei_classical.py [--data FOLDER] [--write docs/results/nuclei_classical.md]

FOLDER holds `nuclei_monuseg/train` and `test` (by default shared/data/pathology). The tiles are MoNuSeg's (Kumar 2017), CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_tumorseg.pathology.nuclei_classical import ClassicalOptions, find_nuclei
from napari_tumorseg.pathology.nuclei_scores import Detection, aggregated_jaccard, detection_scores
from napari_tumorseg.pathology.stain import deconvolve

#: The tiles were scanned at 40x; the spacings in their annotation files are 0.2468 to 0.2527.
SPACING_UM = 0.25
#: The second was chosen on the training tiles.
SETTINGS = {"QuPath's defaults (threshold 0.1)": ClassicalOptions(), "threshold 0.2": ClassicalOptions(threshold=0.2)}
TEXT = """# Nuclei without a network: the classical detector

Remade by `python benchmarks/nuclei_classical.py --write docs/results/nuclei_classical.md`.

The classical detector (threshold and watershed, after QuPath's cell detection; not StarDist) on MoNuSeg tiles of 1000 x 1000 pixels, stains
deconvolved with QuPath's default vectors, taken as {spacing} micrometres per pixel. F1 at an intersection over union of 0.5 pools the
nuclei of all tiles; AJI is the mean over tiles. Two test tiles say little: F1 of the single ones is given too. The goal for nuclei is F1
0.75; this detector is far from it and finds far too many. The threshold of 0.2 was chosen on the training tiles; the
program's default stays QuPath's.

| tiles | settings | drawn | found | F1 at 0.5 | AJI | F1 of the single tiles | seconds a tile |
|---|---|---|---|---|---|---|---|
{rows}
"""


def load(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def row(folder: Path, split: str, name: str, options: ClassicalOptions) -> str:
    """Measure the tiles of one split and return their row of the table."""
    pooled, single, jaccard, drawn_count, found_count, spent = Detection(0, 0, 0), [], [], 0, 0, 0.0
    for path in sorted((folder / split).glob("*_inst.png")):
        drawn = load(path).astype(np.int32)
        rgb = load(path.with_name(path.name.replace("_inst", "")))[..., :3]
        start = time.perf_counter()
        found = find_nuclei(deconvolve(rgb)[..., 0], SPACING_UM, options)
        spent += time.perf_counter() - start
        scores = detection_scores(drawn, found)
        pooled += scores
        single.append(scores.f1 or 0.0)
        jaccard.append(aggregated_jaccard(drawn, found) or 0.0)
        drawn_count, found_count = drawn_count + int(drawn.max()), found_count + int(found.max())
    if not single:
        raise SystemExit(f"no tiles in {folder / split}")
    each = f"{min(single):.2f} to {max(single):.2f}"
    figures = f"{drawn_count} | {found_count} | {pooled.f1:.3f} | {np.mean(jaccard):.3f} | {each} | {spent / len(single):.1f}"
    return f"| {split} ({len(single)}) | {name} | {figures} |"


def main() -> None:
    """Measure, print, and write when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("shared/data/pathology"))
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    folder = arguments.data / "nuclei_monuseg"
    rows = [row(folder, split, name, options) for split in ("train", "test") for name, options in SETTINGS.items()]
    text = TEXT.format(spacing=SPACING_UM, rows="\n".join(rows))
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Make the sample case again: ``python sample_data/generate.py [FOLDER]``.

Writes t1n, t1c, t2w, t2f and seg as NIfTI, and manifest.json with the lesions that were planted
and the SHA-256 of every array.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.io.registry import write_image, write_mask
from napari_tumorseg.phantoms.brain import BrainPhantom, BrainPhantomConfig, make_brain_phantom

#: What the committed case is made of.
CONFIG = BrainPhantomConfig(shape=(146, 172, 138), seed=10, size=0.96)
#: BraTS file names by modality.
FILES = {"T1": "t1n", "T1c": "t1c", "T2": "t2w", "FLAIR": "t2f"}


def sha256(array: npt.NDArray[Any]) -> str:
    """Return the hash of an array's values in (z, y, x) order, little endian."""
    return hashlib.sha256(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def manifest(phantom: BrainPhantom) -> dict[str, Any]:
    """Return what is written beside the images."""
    arrays = {FILES[name]: volume.data for name, volume in phantom.volumes.items()} | {"seg": phantom.labels.labels}
    return {
        "what": "Generated brain phantom with metastases; not a patient.",
        "licence": "CC0-1.0",
        "seed": CONFIG.seed,
        "shape_zyx": list(phantom.grid.shape),
        "spacing_mm": list(phantom.grid.spacing_mm),
        "orientation_zyx": phantom.grid.orientation,
        "lesions": [{"label_schema": phantom.labels.schema.name, **asdict(lesion)} for lesion in phantom.lesions],
        "sha256": {name: sha256(array) for name, array in arrays.items()},
    }


def main(folder: Path) -> None:
    """Write the case into `folder`."""
    phantom = make_brain_phantom(CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    for modality, name in FILES.items():
        write_image(folder / f"{name}.nii.gz", phantom.volumes[modality])
    write_mask(folder / "seg.nii.gz", phantom.labels)
    (folder / "manifest.json").write_text(json.dumps(manifest(phantom), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "brain_mets")

"""Cases, their reference masks and the masks that correction starts from.

Masks of models are computed once and kept outside the repository, under a key made of the case,
the model's name and version and the hashes of its weights, so that new weights give new masks.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.segmenter import Input
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.io.cases import read_case
from napari_tumorseg.phantoms.brain import BrainPhantomConfig, make_brain_phantom
from napari_tumorseg.workflows.environment import load_settings

__all__ = ["REPORTED", "STARTS", "TUNING", "Subject", "cache_folder", "phantom_subject", "real_subject", "starting_mask"]

#: Cases that nothing was tuned on; the first three are also unseen by brain-tumour-small.
REPORTED = (
    "Brats18_CBICA_AME_1",
    "Brats18_TCIA02_135_1",
    "Brats18_TCIA10_628_1",
    "Brats18_2013_20_1",
    "Brats18_TCIA01_378_1",
    "Brats18_TCIA02_606_1",
)
#: Cases that settings were chosen on.
TUNING = (
    "Brats18_2013_11_1",
    "Brats18_CBICA_ABM_1",
    "Brats18_TCIA01_201_1",
    "Brats18_TCIA01_425_1",
    "Brats18_TCIA02_370_1",
    "Brats18_TCIA10_637_1",
)
STARTS = ("brats17-cascade", "brain-tumour-small", "nothing")


@dataclass(frozen=True, eq=False)
class Subject:
    """A case with its reference.

    Attributes
    ----------
    name : str
        Name of the case.
    images : dict of str to numpy.ndarray
        By modality, (z, y, x) float32, on `grid`.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the reference's values.
    truth : numpy.ndarray
        The reference, (z, y, x) uint8.
    """

    name: str
    images: dict[str, npt.NDArray[np.float32]]
    grid: Grid
    schema: LabelSchema
    truth: npt.NDArray[np.uint8]


def cache_folder() -> Path:
    """Return where computed masks are kept: ``TUMORSEG_BENCH_CACHE``, or the user's cache folder."""
    named = os.environ.get("TUMORSEG_BENCH_CACHE")
    return Path(named).expanduser() if named else load_settings().cache_dir / "benchmarks"


def brain_box(images: dict[str, npt.NDArray[np.float32]], shape: tuple[int, int, int]) -> Box:
    """Return the box of what is not background, two voxels wider."""
    box = bounding_box(np.any([image != 0 for image in images.values()], axis=0))
    return Box.whole(shape) if box is None else box.grown(2, shape)


def real_subject(folder: Path) -> Subject:
    """Read a labelled case of BraTS 2018."""
    point = read_case(folder).latest
    reference = point.masks["seg"][-1]
    images = {m: np.asarray(v.data, np.float32) for m, v in point.volumes.items()}
    return Subject(folder.name, images, reference.grid, reference.schema, np.asarray(reference.labels, np.uint8))


def phantom_subject(config: BrainPhantomConfig, name: str = "phantom") -> Subject:
    """Make a phantom with its exact labels."""
    phantom = make_brain_phantom(config)
    images = {m: np.asarray(v.data, np.float32) for m, v in phantom.volumes.items()}
    return Subject(name, images, phantom.grid, phantom.labels.schema, np.asarray(phantom.labels.labels, np.uint8))


def starting_mask(subject: Subject, start: str, weights: Path | None = None) -> npt.NDArray[np.uint8]:
    """Return the labels, in the values of `subject.schema`, that correction starts from.

    Parameters
    ----------
    subject : Subject
        The case.
    start : str
        "nothing" or the name of a model.
    weights : Path, optional
        Folder of published arrays that `start` is imported from where it is not installed.
    """
    if start == "nothing":
        return np.zeros(subject.truth.shape, np.uint8)
    with tempfile.TemporaryDirectory() as temporary:
        settings = load_settings()
        spec = Catalogue(settings).spec(start)
        key = "".join((subject.name, start, spec.version, *(w.sha256 for w in spec.weights)))
        path = cache_folder() / "masks" / f"{subject.name}-{start}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
        if not path.is_file():
            if weights is not None and not Catalogue(settings).state(start).ready:
                folder = Path(temporary)
                settings = Settings(model_dirs=(folder,), cache_dir=folder, log_dir=folder, state_dir=folder)
                Catalogue(settings).add(weights)
            model = Catalogue(settings).load(start)
            given = Input({m: subject.images[m] for m in spec.modalities if m in subject.images}, subject.grid)
            labels = model.predict(given, device="cpu").labels
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part, part.open("wb") as stream:
                np.savez_compressed(stream, labels=labels)
    with np.load(path) as kept:
        return _to_schema(kept["labels"], spec.schema, subject.schema)


def _to_schema(labels: npt.NDArray[np.uint8], source: LabelSchema, target: LabelSchema) -> npt.NDArray[np.uint8]:
    """Return `labels` with each value replaced by that of the label of the same name."""
    names = {label.name: label.value for label in target.labels}
    table = np.zeros(256, np.uint8)
    for label in source.labels:
        table[label.value] = names.get(label.name, 0)
    return table[labels]

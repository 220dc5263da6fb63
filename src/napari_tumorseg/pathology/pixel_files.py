"""Saving and loading pixel classifiers: one safetensors file, numbers with a JSON card in its header, never a pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.pathology.forest import Forest
from napari_tumorseg.pathology.pixel_classifier import PixelClass, PixelClassifier
from napari_tumorseg.pathology.pixel_features import FeatureSpec
from napari_tumorseg.pathology.pixel_mlp import Mlp

__all__ = ["load_classifier", "save_classifier"]

_FORMAT = "napari-tumorseg pixel classifier 1"


def save_classifier(classifier: PixelClassifier, target: Path) -> None:
    """Write a classifier, whole or not at all; the name should end with ".safetensors".

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from safetensors.numpy import save_file

    model = classifier.model
    card = {
        "kind": "small network" if isinstance(model, Mlp) else "random trees",
        "spacing_um": classifier.spacing_um,
        "features": classifier.spec.to_json(),
        "classes": [asdict(c) for c in classifier.classes],
        "training": dict(classifier.training),
    }
    with atomic_write(target) as part:
        save_file(model.arrays(), part, metadata={"format": _FORMAT, "card": json.dumps(card, allow_nan=False)})


def load_classifier(path: Path) -> PixelClassifier:
    """Read what `save_classifier` wrote.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path.name} cannot be read as a classifier: {error}.", "Choose a file that this program saved.") from error
    if header.get("format") != _FORMAT:
        raise ModelError(f"{path.name} is not a pixel classifier of this version.", "Choose another file, or train it again.")
    try:
        card = json.loads(header["card"])
        classes = tuple(PixelClass(int(c["value"]), str(c["name"]), str(c["colour"])) for c in card["classes"])
        spec = FeatureSpec.from_json(card["features"])
        model = Mlp.from_arrays(arrays) if card["kind"] == "small network" else Forest.from_arrays(arrays, len(spec.names), len(classes))
        return PixelClassifier(spec, classes, float(card["spacing_um"]), model, dict(card["training"]))
    except (KeyError, TypeError, ValueError, InputError, ModelError) as error:
        raise ModelError(f"{path.name} is damaged: {error}", "Copy it again, or train it again.") from error

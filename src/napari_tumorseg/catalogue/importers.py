"""Weights that were published in another form, brought into the user's model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["importer_for"]

Importer = Callable[[Path, Path], str]


def importer_for(folder: Path) -> Importer | None:
    """Return what imports the files in `folder`, None when nothing knows them.

    The importer takes that folder and the user's model folder, and returns the model's name.
    """
    from napari_tumorseg.catalogue.backends import brats17_weights

    return brats17_weights.import_folder if brats17_weights.recognises(folder) else None

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.editing.scope import Draft, Scope, Target

METS = preset("brats-mets-2025")
SPACING = (3.0, 0.8, 0.6)

Apply = Callable[[Scope, Draft | None], np.ndarray]
MakeScope = Callable[..., Scope]


@pytest.fixture(scope="session")
def make_scope() -> MakeScope:
    """Return a function that makes a scope of labels that nobody can write to."""

    def make(labels: np.ndarray, label: int = 3, spacing: tuple[float, float, float] = SPACING, **more: Any) -> Scope:
        still = labels.astype(np.uint8)
        still.flags.writeable = False
        return Scope(still, Grid.from_spacing(labels.shape, spacing), METS, label, **more)

    return make


@pytest.fixture(scope="session")
def apply() -> Apply:
    """Return a function that writes a draft through a document, locks and all, and gives the labels afterwards."""

    def write(scope: Scope, draft: Draft | None) -> np.ndarray:
        document = MaskDocument(scope.labels, scope.grid, scope.schema)
        document.locked = scope.locked
        if draft is not None:
            assert draft.box.shape == draft.labels.shape
            assert draft.labels.dtype == scope.labels.dtype
            inside = scope.labels[draft.box.slices]
            # A draft is cut to what it changes.
            for axis in range(3):
                for end in (0, -1):
                    assert (inside != draft.labels).take(end, axis).any()
            assert document.write(draft.box, draft.labels, Origin(PatchSource.TOOL, "test"))
        return np.array(document.labels)

    return write


@pytest.fixture(scope="session")
def blob() -> np.ndarray:
    """Return a ragged mask of one label, (z, y, x) bool, that touches two faces of its volume."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(4).standard_normal((14, 40, 44)), (0.8, 2.0, 2.5))
    z, y, x = np.ogrid[0:14, 0:40, 0:44]
    dome = np.exp(-(((z - 3) * 3.0) ** 2 + ((y - 10) * 0.8) ** 2 + ((x - 20) * 0.6) ** 2) / 120)
    return np.asarray(dome + 1.2 * noise > 0.45)


@pytest.fixture(scope="session")
def target() -> Target:
    return Target(voxel=(3, 10, 20))

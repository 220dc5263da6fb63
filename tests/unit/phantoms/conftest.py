"""One phantom shared by the tests that look at anatomy, lesions and contrast."""

from __future__ import annotations

import pytest

from napari_tumorseg.phantoms.brain import BrainPhantom, BrainPhantomConfig, make_brain_phantom


@pytest.fixture(scope="session")
def head() -> BrainPhantom:
    """Return a 2 mm head with eight lesions, in SAR order."""
    return make_brain_phantom(BrainPhantomConfig(shape=(76, 92, 72), spacing_mm=(2.0, 2.0, 2.0), orientation="SAR", seed=2))

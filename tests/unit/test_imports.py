"""What importing the package loads, and what the ground floor stands on."""

from __future__ import annotations

import json
import subprocess
import sys

import grimp
import pytest

HEAVY = (
    "torch",
    "monai",
    "SimpleITK",
    "pydicom",
    "highdicom",
    "nibabel",
    "scipy",
    "skimage",
    "cc3d",
    "napari",
    "qtpy",
    "PyQt6",
    "pooch",
    "sqlalchemy",
    "alembic",
    "cryptography",
    "pyarrow",
    "dask",
    "openslide",
    "tifffile",
    "wsidicom",
    "zarr",
)


def loaded_by(statement: str) -> set[str]:
    """Return the heavy packages in memory after `statement` in a new interpreter."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout)) & set(HEAVY)


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_tumorseg",
        "import napari_tumorseg.core.document, napari_tumorseg.core.segmenter",
        "import napari_tumorseg.cli",
        "import napari_tumorseg.catalogue.registry, napari_tumorseg.workflows.segment",
        "import napari_tumorseg.io.slides, napari_tumorseg.workflows.slide_info, napari_tumorseg.pathology.tissue",
        "import napari_tumorseg.workflows.study.task",
        "import napari_tumorseg.workflows.study.assign, napari_tumorseg.annotation.study.protocol_file",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) == set()


def test_core_stands_on_numpy_and_the_standard_library_alone() -> None:
    # The contracts of import-linter can only list what is forbidden; this says what is allowed.
    graph = grimp.build_graph("napari_tumorseg", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None)
    core = {"napari_tumorseg.core", *graph.find_descendants("napari_tumorseg.core")}
    imported = {name.partition(".")[0] for module in core for name in graph.find_modules_directly_imported_by(module)}
    assert imported - set(sys.stdlib_module_names) <= {"numpy", "napari_tumorseg"}

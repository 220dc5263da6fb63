"""What reaches a user: the editable install, the wheel, and the wheel made from the source distribution."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[2]
NAME = "napari-tumorseg"
IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha", ".dcm", ".npz", ".npy", ".tif", ".tiff", ".svs", ".png", ".jpg")


def build(kind: str, source: Path, target: Path) -> Path:
    """Return the one file that `python -m build` makes; needs no network."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(target), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module", params=["tree", "sdist"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from the tree, and one made from the unpacked source distribution."""
    target = tmp_path_factory.mktemp("wheel")
    if request.param == "tree":
        return build("wheel", ROOT, target)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(request.getfixturevalue("sdist")) as archive:
        # As pip does where this Python has the filter (from 3.11.4 on).
        archive.extractall(unpacked, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (source,) = unpacked.iterdir()
    return build("wheel", source, target)


@pytest.fixture(scope="module")
def package_files() -> set[str]:
    """Every file of the package, behind its links too, relative to the folder that holds it."""
    found = set()
    for folder, subfolders, names in os.walk(ROOT / "src" / "napari_tumorseg", followlinks=True):
        subfolders[:] = [name for name in subfolders if name != "__pycache__"]
        found |= {Path(folder, name).relative_to(ROOT / "src").as_posix() for name in names if not name.endswith((".pyc", ".part"))}
    return found


def test_the_package_is_whole(package_files: set[str]) -> None:
    assert {f"napari_tumorseg/{name}" for name in ("napari.yaml", "py.typed", "cli/__init__.py")} <= package_files
    folders = {tuple(name.split("/")[1:3]) for name in package_files if name.count("/") > 2}
    for folder in ("models", "recipes", "sample_data"):
        assert any(first == folder for first, _ in folders), folder
    for first, model in sorted(folders):
        if first != "models":
            continue
        held = {Path(name).name for name in package_files if name.startswith(f"napari_tumorseg/models/{model}/")}
        card = tomllib.loads((ROOT / "src" / "napari_tumorseg" / "models" / model / "model.toml").read_text(encoding="utf-8"))
        assert {"model.toml", "card.md", card["licence_file"]} <= held


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path, package_files: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert held == package_files
        assert archive.read("napari_tumorseg/napari.yaml") == (ROOT / "napari.yaml").read_bytes()


def test_the_source_distribution_holds_what_the_wheel_is_made_of(sdist: Path, package_files: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in package_files} <= held
    assert {"napari.yaml", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "scripts/bootstrap.sh"} <= held
    assert any(name.startswith("tests/unit/") for name in held)


def test_images_are_those_of_the_generated_sample(wheel: Path, sdist: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        images = [name for name in archive.namelist() if name.endswith(IMAGES)]
        assert images
        assert [name for name in images if not name.startswith("napari_tumorseg/sample_data/")] == []
    with tarfile.open(sdist) as archive:
        places = {name.partition("/")[2].split("/")[0] for name in archive.getnames() if name.endswith(IMAGES)}
    assert places <= {"sample_data", "src", "docs"}
    # A wheel of this size can be mailed and mirrored; third-party data would not fit.
    assert wheel.stat().st_size < 40e6


def test_the_installed_wheel_is_a_plugin_and_a_command(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    check = tmp_path / "check.py"
    check.write_text(
        f"""
from importlib.metadata import distribution
from pathlib import Path
import napari_tumorseg
from npe2 import PluginManifest
here = Path({str(site)!r})
assert here in Path(napari_tumorseg.__file__).parents, napari_tumorseg.__file__
found = distribution({NAME!r})
assert here in Path(found.locate_file("x")).parents
PluginManifest.from_distribution({NAME!r}).validate_imports()
points = {{point.name: point for point in found.entry_points}}
assert callable(points["tumorseg"].load())
assert points["napari-tumorseg"].group == "napari.manifest"
""",
        encoding="utf-8",
    )
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, str(check)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    licences = {
        path.relative_to(site).as_posix().partition("/licenses/")[2] for path in site.rglob("*.dist-info/licenses/**/*") if path.is_file()
    }
    assert "LICENSE" in licences
    shutil.rmtree(site)


def test_the_installed_package_finds_its_files() -> None:
    # In a developer's environment this is the editable install.
    here = Path(str(files("napari_tumorseg")))
    assert (here / "py.typed").is_file()
    assert any((here / "recipes").rglob("recipe.toml"))
    manifest = PluginManifest.from_distribution(NAME)
    assert manifest.display_name == "Tumour segmentation"
    manifest.validate_imports()


def test_qt_comes_only_with_an_extra() -> None:
    names = {"napari", "qtpy", "superqt", "magicgui", "pyqt6", "pyside6"}
    always = [line for line in distribution(NAME).requires or () if "extra ==" not in line]
    assert [line for line in always if line.lower().replace(" ", "").split(">")[0] in names] == []
    assert [line for line in always if "torchvision" in line] == []

"""The converter of the published arrays: exact, and deaf to anything else."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.catalogue.backends import brats17_weights
from napari_tumorseg.catalogue.backends.brats17_weights import (
    MODEL,
    convert_arrays,
    import_folder,
    published_shapes,
    read_arrays,
    recognises,
    source_name,
)
from napari_tumorseg.catalogue.card import read_spec
from napari_tumorseg.catalogue.importers import importer_for
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.inference.cascade import STAGES, weight_name
from napari_tumorseg.inference.planes import PLANES

WT, AXIAL = STAGES[0], PLANES[0]
NAME = "msnet_wt32_20000.npz"
EXECUTED = "executed"


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"__import__('pathlib').Path({str(self.path)!r}).touch()",)


def _arrays(stage: object = WT, plane: object = AXIAL) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    prefix = {"WT": "MSNet_WT32", "TC": "MSNet_TC32", "ET": "MSNet_EN32"}[stage.region]  # type: ignore[attr-defined]
    prefix += {"axial": "", "sagittal": "sg", "coronal": "cr"}[plane.name]  # type: ignore[attr-defined]
    shapes = published_shapes(stage.full_size_second_level)  # type: ignore[attr-defined]
    return {f"{prefix}/{name}": rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for stage in STAGES:
        for plane in PLANES:
            np.savez(folder / f"{source_name(stage, plane)}.npz", **_arrays(stage, plane))
    return folder


@pytest.fixture
def source(complete: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(complete, tmp_path / "published"))


@pytest.fixture
def own_hashes(monkeypatch: pytest.MonkeyPatch, complete: Path) -> None:
    """Let the card name the hashes of the random arrays of these tests."""
    from dataclasses import replace

    hashes = {weight_name(s, p): hashlib.sha256(convert_arrays(read_arrays(complete, s, p))).hexdigest() for s in STAGES for p in PLANES}

    def spec(folder: Path) -> object:
        real = read_spec(folder)
        return replace(real, weights=tuple(replace(w, sha256=hashes[w.name]) for w in real.weights))

    monkeypatch.setattr(brats17_weights, "read_spec", spec)


@pytest.mark.usefixtures("own_hashes")
def test_nine_files_become_nine_weights_and_a_licence(source: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    models = tmp_path / "new" / "models"
    assert recognises(source)
    assert importer_for(source) is import_folder
    assert import_folder(source, models) == MODEL
    names = {weight_name(s, p) for s in STAGES for p in PLANES}
    assert {p.name for p in (models / MODEL).iterdir()} == names | {"LICENSE.txt"}
    tensors = load_file(models / MODEL / weight_name(WT, AXIAL))
    given = _arrays()
    np.testing.assert_array_equal(tensors["block1_1.act_1.gamma"], given["MSNet_WT32/block1_1/bn_1/gamma"])
    kernel = given["MSNet_WT32/block1_1/conv_0/w"]
    assert tensors["block1_1.conv_0.weight"][7, 2, 0, 1] == kernel[0, 0, 1, 2, 7]
    kernel = given["MSNet_WT32/pred_up3_1_bn_prelu/deconv_/w"]
    assert tensors["pred_up3_1.conv.weight"][30, 5, 2, 0] == kernel[0, 2, 0, 5, 30]
    kernel = given["MSNet_WT32/fuse2_bn_prelu/conv_/w"]
    assert tensors["fuse2.conv.weight"][2, 9, 4, 0, 0] == kernel[2, 0, 0, 4, 9]
    assert not any("moving" in name for name in tensors)


def test_the_bytes_depend_on_the_numbers_alone() -> None:
    arrays = {name.split("/", 1)[1]: a for name, a in _arrays().items()}
    again = dict(reversed([(name, np.asfortranarray(a)) for name, a in arrays.items()]))
    assert convert_arrays(arrays) == convert_arrays(again)


def _refused(folder: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        read_arrays(folder, WT, AXIAL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a: a.pop("MSNet_WT32/final_pred/w"), "lacks MSNet_WT32/final_pred/w"),
        (lambda a: a.update({"MSNet_WT32/more": np.zeros(1, np.float32)}), "unknown MSNet_WT32/more"),
        (
            lambda a: a.update({"MSNet_WT32/final_pred/w": np.zeros((1, 3, 3, 2, 14), np.float32)}),
            r"final_pred/w is float32 \(1, 3, 3, 2, 14\)",
        ),
        (lambda a: a.update({"MSNet_WT32/final_pred/w": np.zeros((1, 3, 3, 14, 2))}), "float64"),
        (lambda a: a["MSNet_WT32/final_pred/w"].fill(np.nan), "not finite"),
    ],
    ids=["missing", "unknown", "shape", "type", "nan"],
)
def test_anything_but_the_published_tensors_is_refused(tmp_path: Path, change: object, match: str) -> None:
    arrays = _arrays()
    change(arrays)  # type: ignore[operator]
    np.savez(tmp_path / NAME, **arrays)
    _refused(tmp_path, match)


def test_a_pickled_array_is_refused_without_unpickling(tmp_path: Path) -> None:
    arrays = _arrays()
    bomb = np.empty(1, object)
    bomb[0] = Bomb(tmp_path / EXECUTED)
    arrays["MSNet_WT32/final_pred/w"] = bomb
    np.savez(tmp_path / NAME, **arrays)
    _refused(tmp_path, "not a file of plain arrays")
    assert not (tmp_path / EXECUTED).exists()


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    _refused(tmp_path, "is not in")
    path.write_bytes(b"text")
    _refused(tmp_path, "not a file of plain arrays")
    np.savez(path, **_arrays())
    path.write_bytes(path.read_bytes()[:-2000])
    _refused(tmp_path, "not a file of plain arrays")
    np.savez_compressed(path, **_arrays(), bomb=np.zeros(4_000_000, np.float32))
    _refused(tmp_path, "larger than the published file")


@pytest.mark.usefixtures("own_hashes")
@pytest.mark.parametrize(
    ("spoil", "match"), [("missing", "msnet_en32cr_20000.npz or .* is not in"), ("swapped", "msnet_en32cr_20000.npz lacks")]
)
def test_a_folder_that_is_not_the_published_one_leaves_nothing_behind(source: Path, tmp_path: Path, spoil: str, match: str) -> None:
    last = source / "msnet_en32cr_20000.npz"
    last.unlink()
    if spoil == "swapped":
        shutil.copyfile(source / NAME, last)
    with pytest.raises(InputError, match=match):
        import_folder(source, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_other_numbers_in_the_right_shapes_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="msnet_wt32_20000 does not hold the published numbers"):
        import_folder(source, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.usefixtures("own_hashes")
def test_checkpoints_give_the_same_bytes_as_arrays(source: Path, tmp_path: Path, write_bundle: Callable[..., None]) -> None:
    import_folder(source, tmp_path / "from_npz")
    for stage in STAGES:
        for plane in PLANES:
            (source / f"{source_name(stage, plane)}.npz").unlink()
            tensors = _arrays(stage, plane) | {"beta1_power": np.ones((), np.float32)}
            write_bundle(source / f"{source_name(stage, plane)}.ckpt", tensors)
    assert recognises(source)
    import_folder(source, tmp_path / "from_ckpt")
    for path in (tmp_path / "from_npz" / MODEL).iterdir():
        assert path.read_bytes() == (tmp_path / "from_ckpt" / MODEL / path.name).read_bytes()


def test_a_checkpoint_without_a_tensor_is_refused(tmp_path: Path, write_bundle: Callable[..., None]) -> None:
    tensors = _arrays()
    del tensors["MSNet_WT32/final_pred/w"]
    write_bundle(tmp_path / "msnet_wt32_20000.ckpt", tensors)
    _refused(tmp_path, "msnet_wt32_20000.ckpt lacks MSNet_WT32/final_pred/w")


@pytest.mark.usefixtures("own_hashes")
def test_an_existing_model_is_not_replaced(source: Path, tmp_path: Path) -> None:
    kept = tmp_path / MODEL / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(InputError, match="already in"):
        import_folder(source, tmp_path)
    assert kept.read_text() == "mine"


def test_other_folders_are_not_recognised(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", a=np.zeros(2))
    assert not recognises(tmp_path)
    assert importer_for(tmp_path) is None

"""Checkpoints read without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.catalogue.backends.tensor_bundle import read_bundle
from napari_tumorseg.core.errors import InputError

RNG = np.random.default_rng(2)
TENSORS = {f"net/layer{i}/{part}": RNG.standard_normal((i % 3 + 1, 2)).astype(np.float32) for i in range(60) for part in ("w", "gamma")}


def test_tensors_come_back_by_name(tmp_path: Path, write_bundle: Callable[..., None]) -> None:
    scalar = {"step": np.float32(7).reshape(())}
    write_bundle(tmp_path / "a.ckpt", TENSORS | scalar)
    found = read_bundle(tmp_path / "a.ckpt", [*TENSORS, "step", "absent"])
    assert set(found) == {*TENSORS, "step"}
    for name, array in (TENSORS | scalar).items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32


def _refused(prefix: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_bundle(prefix, TENSORS)


def test_other_types_and_several_files_are_refused(tmp_path: Path, write_bundle: Callable[..., None]) -> None:
    name = next(iter(TENSORS))
    write_bundle(tmp_path / "a.ckpt", {name: np.zeros(3)})
    _refused(tmp_path / "a.ckpt", "not a float32 tensor")
    write_bundle(tmp_path / "b.ckpt", {name: np.zeros(3, np.float32)}, shard=1)
    _refused(tmp_path / "b.ckpt", "single file")


def test_missing_and_broken_files_are_refused(tmp_path: Path, write_bundle: Callable[..., None]) -> None:
    prefix = tmp_path / "a.ckpt"
    _refused(prefix, r"a.ckpt.index is not in")
    write_bundle(prefix, TENSORS)
    index, data = tmp_path / "a.ckpt.index", tmp_path / "a.ckpt.data-00000-of-00001"
    whole = index.read_bytes()
    for broken in (b"", b"text", whole[:-100], whole[100:], whole[:200] + whole[300:]):
        index.write_bytes(broken)
        _refused(prefix, "is not the index")
    index.write_bytes(whole)
    data.write_bytes(data.read_bytes()[:-8])
    _refused(prefix, "does not fit its index")
    data.unlink()
    _refused(prefix, "data-00000-of-00001 is not in")


def test_a_compressed_index_is_refused(tmp_path: Path, write_bundle: Callable[..., None]) -> None:
    write_bundle(tmp_path / "a.ckpt", TENSORS, compressed=1)
    _refused(tmp_path / "a.ckpt", "is not the index")


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_gives_more_than_an_input_error(tmp_path: Path, write_bundle: Callable[..., None], seed: int) -> None:
    write_bundle(tmp_path / "a.ckpt", TENSORS)
    index = tmp_path / "a.ckpt.index"
    damaged = np.frombuffer(index.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    damaged[rng.integers(0, len(damaged), 8)] = rng.integers(0, 256, 8)
    index.write_bytes(damaged.tobytes())
    try:
        found = read_bundle(tmp_path / "a.ckpt", TENSORS)
    except InputError:
        return
    assert all(array.dtype == np.float32 for array in found.values())

"""The published networks of the BraTS 2017 cascade, turned into the weights that `brats17-cascade` reads.

Each of the nine networks is published as a TensorFlow checkpoint; its tensors may also come as
an npz file. Every name, shape and type is checked, nothing is unpickled and no TensorFlow is
needed. The result is the same to the last bit on every machine, so that the model's card can
name its hash.
"""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_tumorseg.catalogue.backends.tensor_bundle import read_bundle
from napari_tumorseg.catalogue.card import read_spec
from napari_tumorseg.catalogue.weights import sha256_of
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.inference.cascade import STAGES, Stage, weight_name
from napari_tumorseg.inference.planes import PLANES, Plane
from napari_tumorseg.io.atomic import atomic_folder, make_folder

__all__ = ["MODEL", "convert_arrays", "import_folder", "published_shapes", "read_arrays", "recognises", "source_name"]

MODEL = "brats17-cascade"

_TARGETS = {"WT": "WT", "TC": "TC", "ET": "EN"}
_VIEWS = {"axial": "", "sagittal": "sg", "coronal": "cr"}
_HINT = "Use the published networks of repository taigw/brats17, folder model17."
#: A published file holds less than 1 MB; a file that unpacks to more than this is something else.
_LARGEST_BYTES = 4_000_000

Arrays = Mapping[str, npt.NDArray[np.float32]]


def _network_name(stage: Stage, plane: Plane) -> str:
    return f"{_TARGETS[stage.region]}32{_VIEWS[plane.name]}"


def source_name(stage: Stage, plane: Plane) -> str:
    """Return the name of a published network, e.g. "msnet_wt32_20000"; ".npz" or ".ckpt.index" follows."""
    return f"msnet_{_network_name(stage, plane).lower()}_20000"


def _networks() -> Iterator[tuple[Stage, Plane]]:
    return ((stage, plane) for stage in STAGES for plane in PLANES)


def recognises(folder: Path) -> bool:
    """Whether `folder` holds at least one of the published networks, by name."""
    return any((folder / f"{source_name(*which)}{end}").is_file() for which in _networks() for end in (".npz", ".ckpt.index"))


def published_shapes(full_size_second_level: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a published network, by its name without the network's name.

    Kernels are (depth, height, width, in, out), those of transposed convolutions ("deconv")
    (depth, height, width, out, in).

    Parameters
    ----------
    full_size_second_level : bool
        True for the enhancing-core networks.
    """
    n = 32
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(layer: str, number: str, channels: int) -> None:
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{layer}/bn_{number}/{part}"] = (channels,)
        shapes[f"{layer}/prelu_acti_{number}/alpha"] = (channels,)

    for block in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3"):
        channels = 4 if block == "1_1" else n
        norm(f"block{block}", "0", channels)
        norm(f"block{block}", "1", n)
        shapes[f"block{block}/conv_0/w"] = (1, 3, 3, channels, n)
        shapes[f"block{block}/conv_1/w"] = (1, 3, 3, n, n)
    layers = {f"fuse{i}": ("conv", (3, 1, 1, n, n), n) for i in (1, 2, 3, 4)}
    layers["downsample2"] = ("conv", (1, 3, 3, n, n), n)
    layers["pred_up2_1"] = ("deconv", (1, 3, 3, 4, n), 4)
    layers["pred_up3_1"] = ("deconv", (1, 3, 3, 8, n), 8)
    if full_size_second_level:
        shapes["pred1/w"] = (1, 3, 3, n, 2)
    else:
        layers["downsample1"] = ("conv", (1, 3, 3, n, n), n)
        layers["pred_up1"] = ("deconv", (1, 3, 3, 2, n), 2)
        layers["pred_up2_2"] = ("deconv", (1, 3, 3, 4, 4), 4)
        layers["pred_up3_2"] = ("deconv", (1, 3, 3, 8, 8), 8)
    for layer, (kind, shape, channels) in layers.items():
        norm(f"{layer}_bn_prelu", "", channels)
        shapes[f"{layer}_bn_prelu/{kind}_/w"] = shape
    shapes["final_pred/w"] = (1, 3, 3, 14, 2)
    return shapes


def _own_name(published: str) -> str:
    """Return the name in `networks.msnet.MSNet` of a published tensor, e.g. "fuse1.act.gamma"."""
    parts = published.replace("_bn_prelu", "").split("/")
    if parts[-1] == "w":
        parts[-1] = "weight"
    if len(parts) == 3:
        kind, number = parts[1].rsplit("_", 1)
        parts[1] = "_".join(filter(None, ("conv" if kind in ("conv", "deconv") else "act", number)))
    return ".".join(parts)


def _own_layout(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a published kernel in PyTorch's order; vectors stay as they are."""
    if array.ndim == 1:
        return array
    if array.shape[0] == 1:
        # In the plane: (1, h, w, a, b) to (b, a, h, w), which is right for both kinds of convolution.
        return np.asarray(array[0].transpose(3, 2, 0, 1))
    return np.asarray(array[:, 0, 0].transpose(0, 2, 1)[..., None, None])


def convert_arrays(arrays: Arrays) -> bytes:
    """Return the safetensors file of a network.

    Batch norm runs on the statistics of the window at hand, so the published moving averages
    are left out.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        By published name without the network's name, of `published_shapes`.
    """
    kept = {_own_name(name): _own_layout(array) for name, array in arrays.items() if "/moving_" not in name}
    # Written here and not by the library, whose layout may change between versions: the card names the hash.
    header: dict[str, object] = {}
    body: list[bytes] = []
    offset = 0
    for name in sorted(kept):
        data = np.ascontiguousarray(kept[name], dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(kept[name].shape), "data_offsets": [offset, offset + len(data)]}
        body.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(body)


def read_arrays(folder: Path, stage: Stage, plane: Plane) -> Arrays:
    """Read a published network from its npz file, or from its checkpoint where there is none.

    Returns
    -------
    mapping of str to numpy.ndarray
        By published name without the network's name.

    Raises
    ------
    InputError
        If the network is not there or not exactly what was published for this stage and plane.
    """
    name = source_name(stage, plane)
    prefix = f"MSNet_{_network_name(stage, plane)}/"
    shapes = published_shapes(stage.full_size_second_level)
    wanted = {prefix + tensor for tensor in shapes}
    path = folder / f"{name}.npz"
    if path.is_file():
        found = _read_npz(path, wanted)
    elif (folder / f"{name}.ckpt.index").is_file():
        path = folder / f"{name}.ckpt"
        # A checkpoint also holds the state of the optimiser, which is passed over.
        found = read_bundle(path, wanted)
        _check_names(path, wanted, set(found))
    else:
        raise InputError(f"{name}.npz or {name}.ckpt.index is not in {folder}.", "All nine published networks are needed.")
    arrays = {tensor: found[prefix + tensor] for tensor in shapes}
    for tensor, shape in shapes.items():
        array = arrays[tensor]
        if array.shape != shape or array.dtype != np.float32:
            raise InputError(f"{path.name}: {prefix}{tensor} is {array.dtype} {array.shape}, published was float32 {shape}.", _HINT)
        if not np.isfinite(array).all():
            raise InputError(f"{path.name}: {prefix}{tensor} holds values that are not finite.", _HINT)
    return arrays


def _read_npz(path: Path, wanted: set[str]) -> Arrays:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST_BYTES:
                raise InputError(f"{path.name} is larger than the published file.", _HINT)
        with np.load(path, allow_pickle=False) as archive:
            _check_names(path, wanted, set(archive.files))
            return {name: np.asarray(archive[name]) for name in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path.name} is not a file of plain arrays: {error}.", _HINT) from None


def _check_names(path: Path, wanted: set[str], found: set[str]) -> None:
    for names, verb in ((wanted - found, "lacks"), (found - wanted, "holds the unknown")):
        if names:
            raise InputError(f"{path.name} {verb} {min(names)}{f' and {len(names) - 1} more' if len(names) > 1 else ''}.", _HINT)


def import_folder(folder: Path, model_dir: Path) -> str:
    """Convert the nine published networks in `folder` into the user's model folder.

    Parameters
    ----------
    folder : Path
        Holds the checkpoints (index and data files) or npz files under their published names.
    model_dir : Path
        The user's folder of models; the weights go to `brats17-cascade` in it.

    Returns
    -------
    str
        The model's name.

    Raises
    ------
    InputError
        If a network is missing or is not what was published, or the model is already there.
    OutputError
        If the model folder cannot be written.
    """
    card = Path(str(files("napari_tumorseg"))) / "models" / MODEL
    spec = read_spec(card)
    hashes = {weight.name: weight.sha256 for weight in spec.weights}
    target = model_dir / MODEL
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"A model {MODEL} is already in {model_dir}.", "Remove that folder first.")
    make_folder(model_dir)
    with atomic_folder(target) as temporary:
        for stage, plane in _networks():
            file = temporary / weight_name(stage, plane)
            file.write_bytes(convert_arrays(read_arrays(folder, stage, plane)))
            if sha256_of(file) != hashes[file.name]:
                raise InputError(f"{source_name(stage, plane)} does not hold the published numbers.", _HINT)
        shutil.copyfile(card / spec.licence_file, temporary / spec.licence_file)
    return MODEL

"""The BraTS 2017 cascade: whole tumour, the core inside it, the enhancing core inside that.

Nine networks, one for each target and plane. The three planes of a target are averaged.

References
----------
G. Wang, W. Li, S. Ourselin, T. Vercauteren, "Automatic Brain Tumor Segmentation using
Cascaded Anisotropic Convolutional Neural Networks", 2017, arXiv:1709.00382.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import remap_values
from napari_tumorseg.core.segmenter import Input, Prediction, SegmenterSpec
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.inference.memory import is_out_of_memory
from napari_tumorseg.inference.planes import PLANES, Plane, plane_probability
from napari_tumorseg.inference.postprocess import close, fuse_nested, keep_larger_than, keep_largest_two
from napari_tumorseg.inference.predictor import choose_device
from napari_tumorseg.inference.prepare import Prepared, prepare

if TYPE_CHECKING:
    from napari_tumorseg.networks.msnet import MSNet

__all__ = ["STAGES", "Brats17Cascade", "Stage", "weight_name"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Voxels of background kept around the brain and around each crop.
MARGIN = 5


@dataclass(frozen=True)
class Stage:
    """One target of the cascade.

    Attributes
    ----------
    region : str
        Region of the label schema.
    title : str
        What the user reads.
    value : int
        Label of the published training data.
    least : tuple of int, optional
        Rows and columns that a slice is padded to at least; None for the plane's own.
    full_size_second_level : bool
        Which of the two shapes of network it uses.
    share : tuple of float
        Part of the progress bar.
    """

    region: str
    title: str
    value: int
    least: tuple[int, int] | None
    full_size_second_level: bool
    share: tuple[float, float]


STAGES = (
    Stage("WT", "Whole tumour", 2, None, False, (0.02, 0.65)),
    Stage("TC", "Tumour core", 1, (96, 96), False, (0.65, 0.83)),
    Stage("ET", "Enhancing tumour", 4, (96, 96), True, (0.83, 0.98)),
)


def weight_name(stage: Stage, plane: Plane) -> str:
    """Return the file name of a network's weights, e.g. "wt-axial.safetensors"."""
    return f"{stage.region.lower()}-{plane.name}.safetensors"


@dataclass(frozen=True, eq=False)
class _Brain:
    """What the networks see.

    Attributes
    ----------
    image : numpy.ndarray
        Shape (4, z, y, x), normalised, cut to `box`.
    mask : numpy.ndarray
        Boolean (z, y, x), cut to `box`: where the FLAIR image is above 0.
    box : Box
        Where it lies in the images that the networks' grid has.
    """

    image: Floats
    mask: Mask
    box: Box


@dataclass(frozen=True, eq=False)
class _Found:
    """Nested masks and mean probabilities by stage, (z, y, x) in the brain's box, and what the user should know."""

    masks: tuple[Mask, ...]
    means: tuple[Floats, ...]
    notes: tuple[str, ...]


class _Networks:
    """Networks of one call, on one device, which is left for the CPU when its memory is full."""

    def __init__(self, weights: Mapping[str, Path], filters: int, device: str, token: CancelToken) -> None:
        self.device = choose_device(device)
        self.notes: list[str] = []
        self._weights = weights
        self._filters = filters
        self._token = token

    def load(self, stage: Stage, plane: Plane) -> MSNet:
        """Return the network of a stage and plane, on the CPU."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from napari_tumorseg.networks.msnet import MSNet, MSNetConfig

        path = self._weights.get(weight_name(stage, plane))
        if path is None:
            raise ModelError(f"The weights {weight_name(stage, plane)} are missing.", "Add the model again: `tumorseg models add FOLDER`.")
        network = MSNet(MSNetConfig(filters=self._filters, full_size_second_level=stage.full_size_second_level))
        try:
            network.load_state_dict(load_file(path))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{path} does not hold the weights of this network.", "Remove it and add the model again.") from error
        for part in network.modules():
            if next(part.children(), None) is None:
                # A window takes up to seconds on a CPU, so it is asked before each layer whether to stop.
                part.register_forward_pre_hook(lambda *_: self._token.raise_if_cancelled())
        return network.eval().requires_grad_(False)

    def score(self, network: MSNet, window: Floats) -> Floats:
        """Return the target's probability (11, H, W) for a window (19, 4, H, W)."""
        import torch

        with torch.inference_mode():
            try:
                return self._run(network, window)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.device == "cpu":
                    raise ModelError("The cascade needs about 1 GB more memory than is free.", "Close other programs.") from error
            torch.cuda.empty_cache()
            self.device = "cpu"
            self.notes.append("The GPU's memory was full, so the rest ran on the CPU.")
            return self.score(network, window)

    def _run(self, network: MSNet, window: Floats) -> Floats:
        import torch

        answer = network.to(self.device)(torch.from_numpy(window).to(self.device))
        probability: Floats = torch.sigmoid(answer).cpu().numpy()
        if not np.isfinite(probability).all():
            raise ModelError("The cascade gave numbers that are not finite.", "Check its weights: `tumorseg models check`.")
        return probability


class Brats17Cascade:
    """The cascade as a `Segmenter`.

    Batch statistics are those of one window. With the option ``fusion = true`` the three masks
    are fused as the authors did for the challenge; without it the core is cut to the whole
    tumour and the enhancing core to the core. With ``wide_frames = true`` slices are padded with
    noise to the authors' sizes, which changes the batch statistics; without it to a multiple of
    4 only, which is faster.

    Parameters
    ----------
    spec : SegmenterSpec
        Inputs are FLAIR, T1, T1c and T2, in this order. Options: `fusion` (bool, false),
        `wide_frames` (bool, false), `seed` (int, 0: of the noise that fills the background),
        `min_whole_voxels` (int, 2000: parts of the whole tumour up to this size are dropped),
        `filters` (int, 32).
    weights : mapping of str to Path
        Safetensors files by `weight_name`.
    settings : Settings
        Not used yet; every backend gets it.
    """

    def __init__(self, spec: SegmenterSpec, weights: Mapping[str, Path], settings: Settings) -> None:
        self._spec = spec
        self._weights = dict(weights)
        self._settings = settings
        self._fusion = bool(spec.options.get("fusion", False))
        self._seed = int(spec.options.get("seed", 0))
        self._wide = bool(spec.options.get("wide_frames", False))
        self._min_whole = int(spec.options.get("min_whole_voxels", 2000))

    @property
    def spec(self) -> SegmenterSpec:
        """What it is and needs."""
        return self._spec

    def predict(self, given: Input, *, device: str = "auto", probabilities: bool = False, progress: Progress | None = None) -> Prediction:
        """Segment; see `core.segmenter.Segmenter.predict`.

        Raises
        ------
        InputError
            If an image is missing, empty or not finite.
        ModelError
            If weights are missing or do not fit, or their answer is not finite.
        Cancelled
            If the user stopped it.
        """
        progress = progress or Progress()
        seconds: dict[str, float] = {}
        networks = _Networks(self._weights, int(self._spec.options.get("filters", 32)), device, progress.cancel)
        progress.update(0.0, "Preparing the images")
        with _timed(seconds, "prepare"):
            prepared = prepare(given, self._spec, "none", margin_mm=MARGIN)
            if prepared is None:
                raise InputError("The images are empty.", "Choose other images.")
            brain = self._normalise(prepared.image)
        found = self._find(brain, networks, progress, seconds)
        progress.update(0.98, "Bringing the result to the image's grid")
        with _timed(seconds, "finish"):
            labels, maps = self._finish(found, brain, prepared, given.grid.shape, probabilities)
        progress.update(1.0, "Done")
        return Prediction(labels, maps, device=networks.device, notes=(*networks.notes, *found.notes), seconds=seconds)

    def _normalise(self, images: Floats) -> _Brain:
        """Cut to what FLAIR shows, scale each image by its own voxels, and fill the background with noise."""
        flair = images[0]
        box = bounding_box(flair)
        if box is None:
            raise InputError("The FLAIR image is empty.", "Choose another image for FLAIR.")
        box = box.grown(MARGIN, flair.shape)
        rng = np.random.default_rng(self._seed)
        channels = []
        for name, array in zip(self._spec.modalities, images, strict=True):
            cut = array[box.slices]
            values = cut[cut > 0]
            deviation = float(values.std(dtype=np.float64)) if values.size else 0.0
            if deviation == 0.0:
                raise InputError(f"The {name} image has no contrast where the brain is.", f"Choose another image for {name}.")
            scaled = (cut - np.float32(values.mean(dtype=np.float64))) / np.float32(deviation)
            channels.append(np.where(cut == 0, rng.standard_normal(cut.shape, dtype=np.float32), scaled))
        return _Brain(np.stack(channels), flair[box.slices] > 0, box)

    def _finish(
        self, found: _Found, brain: _Brain, prepared: Prepared, shape: tuple[int, int, int], probabilities: bool
    ) -> tuple[npt.NDArray[np.uint8], dict[str, npt.NDArray[np.float16]]]:
        """Return labels and, if wanted, probabilities on the images' own grid."""

        def near(values: npt.NDArray[Any]) -> Floats:
            whole = np.zeros(prepared.grid.shape, np.float32)
            whole[brain.box.slices] = values
            return np.asarray(prepared.back(whole), np.float32)

        labels = np.zeros(prepared.source.shape, np.uint8)
        for stage, mask in zip(STAGES, found.masks, strict=True):
            labels[near(mask) > 0.5] = stage.value
        labels = prepared.place(remap_values(labels, self._spec.remap), shape)
        maps = {}
        if probabilities:
            maps = {s.region: prepared.place(near(mean).astype(np.float16), shape) for s, mean in zip(STAGES, found.means, strict=True)}
        return labels, maps

    def _find(self, brain: _Brain, networks: _Networks, progress: Progress, seconds: dict[str, float]) -> _Found:
        """Run the three stages, each inside what the one before has found."""
        raw: list[Mask] = []
        clean: list[Mask] = []
        means: list[Floats] = []
        crop = Box.whole(brain.mask.shape)
        for stage in STAGES:
            with _timed(seconds, stage.region):
                mean = np.zeros(brain.mask.shape, np.float32)
                # Without fusion nothing can lie inside an empty mask.
                if self._fusion or not clean or clean[-1].any():
                    mean[crop.slices] = self._mean_of_planes(stage, brain.image[:, *crop.slices], networks, progress.part(*stage.share))
                mean *= brain.mask
                means.append(mean)
                raw.append(mean > 0.5)
                clean.append(self._clean(stage, raw[-1]))
                crop = _crop_around(clean[-1], crop)
        if self._fusion:
            whole, core, enhancing = fuse_nested(raw[0], raw[1], raw[2], min_whole=self._min_whole)
        else:
            whole = clean[0]
            core = clean[1] & whole
            enhancing = raw[2] & core
        return _Found((whole, core, enhancing), tuple(means), self._notes(raw[0], whole))

    def _clean(self, stage: Stage, mask: Mask) -> Mask:
        if stage.region == "WT":
            return keep_larger_than(close(mask), self._min_whole)
        return keep_largest_two(close(mask)) if stage.region == "TC" else mask

    def _notes(self, raw: Mask, whole: Mask) -> tuple[str, ...]:
        notes = [] if whole.any() else ["No tumour was found."]
        dropped = int(np.count_nonzero(raw & ~whole))
        if dropped:
            limit = self._min_whole / 1000
            notes.append(f"Parts of {limit:.2g} mL or less were left out, as the model's authors did: {ml_text(dropped / 1000)} mL in all.")
        return tuple(notes)

    def _mean_of_planes(self, stage: Stage, image: Floats, networks: _Networks, progress: Progress) -> Floats:
        total = np.zeros(image.shape[1:], np.float32)
        for number, plane in enumerate(PLANES):
            part = progress.part(number / len(PLANES), (number + 1) / len(PLANES))
            network = networks.load(stage, plane)

            def tick(window: int, windows: int, part: Progress = part, plane: Plane = plane) -> None:
                part.update(window / windows, f"{stage.title}, {plane.name} view: window {window + 1} of {windows}")

            # A stream of its own for each network, so that no result depends on the size of an earlier crop.
            rng = np.random.default_rng((self._seed, STAGES.index(stage) + 1, number))
            least = (stage.least or plane.brain_frame) if self._wide else (0, 0)
            total += plane_probability(partial(networks.score, network), image, plane, least, rng, tick)
        return total / np.float32(len(PLANES))


def _crop_around(mask: Mask, crop: Box) -> Box:
    """Return the box of `mask` with a margin, cut to `crop`; `crop` itself when the mask is empty."""
    box = bounding_box(mask[crop.slices])
    if box is None:
        return crop
    inner = box.grown(MARGIN, crop.shape)
    z, y, x = crop.start
    a, b = inner.start, inner.stop
    return Box((a[0] + z, a[1] + y, a[2] + x), (b[0] + z, b[1] + y, b[2] + x))


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - begin, 3)

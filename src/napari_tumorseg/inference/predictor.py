"""Running a plain network as a `Segmenter`."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.segmenter import Input, Prediction, SegmenterSpec
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.inference import memory
from napari_tumorseg.inference.options import NetworkOptions
from napari_tumorseg.inference.prepare import Prepared, prepare
from napari_tumorseg.inference.sliding import plan_windows, slide, without_background
from napari_tumorseg.voxels.parts import connected_parts

if TYPE_CHECKING:
    import torch

__all__ = ["NetworkSegmenter", "choose_device"]

Shape = tuple[int, int, int]


class NetworkSegmenter:
    """A network of `networks.zoo` with trained weights.

    The images are turned to the model's orientation, cut to the brain, resampled to its spacing and
    normalised; the network runs window by window; its probabilities go back to the images' own grid
    and become labels there. Predictions of one object run one after the other; its network stays
    loaded between them.

    Parameters
    ----------
    spec : SegmenterSpec
        What the model is; its options are those of `NetworkOptions`.
    weights : Path
        Safetensors file, float16 or float32.
    settings : Settings
        Share of the free memory that may be used.

    Raises
    ------
    ModelError
        If the options are not usable.
    """

    def __init__(self, spec: SegmenterSpec, weights: Path, settings: Settings) -> None:
        self._spec = spec
        self._weights = weights
        self._settings = settings
        self._options = NetworkOptions.of(spec)
        self._values = self._options.values(spec)
        self._loaded: _Loaded | None = None
        self._busy = threading.Lock()

    @property
    def spec(self) -> SegmenterSpec:
        """What it is and needs."""
        return self._spec

    def predict(self, given: Input, *, device: str = "auto", probabilities: bool = False, progress: Progress | None = None) -> Prediction:
        """Segment; see `core.segmenter.Segmenter.predict`.

        Raises
        ------
        InputError
            If an image is missing, not finite or does not fit the grid, or the device is not there.
        ModelError
            If the weights are missing or do not fit, the memory is too small, or the result is not finite.
        Cancelled
            If the user stopped it.
        """
        progress = progress or Progress()
        where = choose_device(device)
        seconds: dict[str, float] = {}
        with self._busy:
            progress.update(0.0, "Preparing the images")
            with _timed(seconds, "prepare"):
                prepared = prepare(given, self._spec, self._options.normalise, self._options.margin_mm)
            if prepared is None:
                return self._empty(given, probabilities, where, seconds)
            with _timed(seconds, "network"):
                progress.update(0.08, "Loading the model")
                loaded = self._load()
                found, where, notes = self._run(loaded, prepared, where, progress.part(0.1, 0.93))
            progress.update(0.93, "Bringing the result to the image's grid")
            with _timed(seconds, "finish"):
                labels, maps = self._finish(found, prepared, given.grid.shape, probabilities)
            progress.update(1.0, "Done")
        return Prediction(labels, maps, device=where, notes=notes, seconds=seconds)

    def _empty(self, given: Input, probabilities: bool, device: str, seconds: Mapping[str, float]) -> Prediction:
        maps = {region: np.zeros(given.grid.shape, np.float16) for region in self._values} if probabilities else {}
        note = "The images hold nothing but zeros, so nothing was segmented."
        return Prediction(np.zeros(given.grid.shape, np.uint8), maps, device=device, notes=(note,), seconds=seconds)

    def _load(self) -> _Loaded:
        if self._loaded is None:
            self._loaded = _Loaded.read(self._spec, self._options, self._weights)
        return self._loaded

    def _run(
        self, loaded: _Loaded, prepared: Prepared, device: str, progress: Progress
    ) -> tuple[npt.NDArray[np.float32], str, tuple[str, ...]]:
        """Return probabilities (region, z, y, x), the device they came from and what the user should know.

        When memory runs out there are fewer windows at a time, then smaller windows, then the CPU.
        """
        import torch

        image = torch.from_numpy(prepared.image)
        window = self._spec.window
        most: int | None = None
        notes: list[str] = []
        while True:
            plan = without_background(plan_windows(image.shape[1:], window, self._options.overlap, loaded.config.divisor), image)
            need = 4.0 * loaded.floats_per_voxel * float(np.prod(plan.window))
            free = memory.free_bytes(device)
            lanes = memory.plan_lanes(device, most or max(1, len(plan.starts)), need, free, self._settings.memory_share, memory.cores())
            try:
                network = loaded.on(device, progress.cancel)
                logits, covered = slide(network, image, plan, lanes, progress)
                break
            except Exception as error:
                if not memory.is_out_of_memory(error):
                    raise
            if device == "cuda":
                torch.cuda.empty_cache()
            smaller = memory.smaller_window(window, self._spec.window, loaded.config.divisor)
            if lanes.windows > 1:
                most = lanes.windows // 2
            elif smaller is not None:
                window = smaller
                size = " x ".join(map(str, window))
                notes.append(f"Memory ran short, so it worked in windows of {size} voxels; small details may differ.")
            elif device != "cpu":
                device, window, most = "cpu", self._spec.window, None
                notes = ["The GPU's memory was full, so it ran on the CPU."]
            else:
                title = self._spec.title or self._spec.name
                raise ModelError(f"{title} needs more memory than is free ({free / 2**30:.2g} GB).", "Close other programs.")
        return self._activate(logits, covered), device, tuple(notes)

    def _activate(self, logits: torch.Tensor, covered: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return probabilities by region (region, z, y, x); 0 where no window was computed."""
        import torch

        with torch.inference_mode():
            if len(logits) == 0:
                return np.zeros((len(self._values), *covered.shape), np.float32)
            found = logits.sigmoid_() if self._options.activation == "sigmoid" else logits.softmax(0)[1:]
            found *= covered
            probabilities: npt.NDArray[np.float32] = found.numpy()
            return probabilities

    def _finish(
        self, found: npt.NDArray[np.float32], prepared: Prepared, shape: Shape, probabilities: bool
    ) -> tuple[npt.NDArray[np.uint8], dict[str, npt.NDArray[np.float16]]]:
        """Return labels and, if wanted, probabilities on the images' own grid."""
        near = [prepared.back(region) for region in found]
        labels = np.zeros(prepared.source.shape, np.uint8)
        for mask, value in zip(self._masks(near), self._values.values(), strict=True):
            labels[mask] = value
        self._drop_small(labels, prepared.source.voxel_volume_mm3)
        maps = {}
        if probabilities:
            maps = {name: prepared.place(region.astype(np.float16), shape) for name, region in zip(self._values, near, strict=True)}
        return prepared.place(labels, shape), maps

    def _masks(self, near: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.bool_]]:
        """Return where each region is."""
        if self._options.activation == "softmax":
            background = 1 - sum(near[1:], near[0])
            best = np.argmax([background, *near], axis=0)
            return [best == index + 1 for index in range(len(near))]
        masks = [region > self._options.threshold for region in near]
        if self._options.nested:
            for outer, inner in itertools.pairwise(masks):
                inner &= outer
        return masks

    def _drop_small(self, labels: npt.NDArray[np.uint8], voxel_mm3: float) -> None:
        """Set connected parts below the least volume to 0, in place."""
        voxels = int(np.ceil(self._options.min_lesion_mm3 / voxel_mm3))
        if voxels > 1 and labels.any():
            parts, _ = connected_parts(labels > 0)
            labels[(np.bincount(parts.ravel()) < voxels)[parts]] = 0


class _Loaded:
    """A network with its weights, on the CPU and, once used there, on the GPU."""

    def __init__(self, network: torch.nn.Module, config: Any, floats_per_voxel: float, title: str) -> None:
        self.config = config
        self.floats_per_voxel = floats_per_voxel
        self._network = network
        self._title = title
        self._token = CancelToken()
        self._fast: Callable[[torch.Tensor], torch.Tensor] | None = None
        for part in network.modules():
            if next(part.children(), None) is None:
                part.register_forward_pre_hook(lambda *_: self._token.raise_if_cancelled())

    @classmethod
    def read(cls, spec: SegmenterSpec, options: NetworkOptions, weights: Path) -> _Loaded:
        """Build the network and read its weights; nothing is unpickled or executed."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from napari_tumorseg.networks.zoo import NETWORKS, build_network

        network, config = build_network(options.network, options.config)
        expected = len(options.regions_to_labels) + (options.activation == "softmax")
        if (config.in_channels, config.out_channels) != (len(spec.inputs), expected):
            raise ModelError(
                f"{spec.name} has {len(spec.inputs)} inputs and {expected} outputs, its network "
                f"{config.in_channels} and {config.out_channels}.",
                "Correct the model's table.",
            )
        if any(edge % config.divisor for edge in spec.window):
            raise ModelError(f"The window {spec.window} of {spec.name} does not fit its network.", f"Use multiples of {config.divisor}.")
        if not weights.is_file():
            raise ModelError(f"The weights of {spec.name} are not at {weights}.", "Add the model again: `tumorseg models add FOLDER`.")
        try:
            network.load_state_dict({name: values.float() for name, values in load_file(weights).items()})
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{weights} does not hold the weights of {spec.name}.", "Remove it and add the model again.") from error
        network.eval().requires_grad_(False)
        return cls(network, config, NETWORKS[options.network].floats_per_voxel(config), spec.title or spec.name)

    def on(self, device: str, token: CancelToken) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the network as a function that runs on `device`, stops when `token` says so and checks its answer."""
        from napari_tumorseg.networks.segresnet_cpu import fast_on_cpu

        self._token = token
        self._move(device)
        if device == "cuda":
            return self._checked(self._on_gpu)
        if self._fast is None:
            self._fast = fast_on_cpu(self._network, lambda: self._token.raise_if_cancelled()) or self._network
        return self._checked(self._fast)

    def _move(self, device: str) -> None:
        self._network.to(device)

    def _on_gpu(self, batch: torch.Tensor) -> torch.Tensor:
        """Run in half precision, and again in full where that is not enough."""
        import torch

        there = batch.to("cuda")
        half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        with torch.autocast("cuda", half):
            answer: torch.Tensor = self._network(there).float()
        if not bool(torch.isfinite(answer).all()):
            answer = self._network(there)
        return answer.cpu()

    def _checked(self, run: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def checked(batch: torch.Tensor) -> torch.Tensor:
            answer = run(batch)
            if not bool(answer.isfinite().all()):
                raise ModelError(f"{self._title} gave numbers that are not finite.", "Check its weights: `tumorseg models check`.")
            return answer

        return checked


def choose_device(name: str) -> str:
    """Return "cpu" or "cuda" for "auto", "cpu" or "cuda"; raise `InputError` where it is not there.

    Examples
    --------
    >>> choose_device("cpu")
    'cpu'
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"There is no device {name!r}.", "Choose 'auto', 'cpu' or 'cuda'.")
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise InputError("This machine has no GPU that PyTorch can use.", "Choose the device 'auto' or 'cpu'.")
    return "cpu"


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - begin, 3)

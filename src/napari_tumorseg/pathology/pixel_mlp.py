"""A small neural network on the features of a pixel: its time does not grow with how hard the tissue is, as that of trees does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError, ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["Mlp", "MlpSettings"]

_NAMES = ("mean", "scale", "weight1", "bias1", "weight2", "bias2")


@dataclass(frozen=True)
class MlpSettings:
    """Size and training.

    Attributes
    ----------
    hidden : int
        Units of the one hidden layer (ReLU).
    steps : int
        Steps of Adam, each on all samples.
    learning_rate, weight_decay : float
        Of Adam; the decay is a penalty on the squared weights.
    """

    hidden: int = 32
    steps: int = 150
    learning_rate: float = 0.02
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (1 <= self.hidden <= 1024 and 1 <= self.steps <= 100_000 and 0 < self.learning_rate < 10 and 0 <= self.weight_decay < 10):
            raise InputError("The settings of the small network are out of range.", "Use the defaults.")


@dataclass(frozen=True, eq=False)
class Mlp:
    """Standardisation and two layers, as float32 arrays.

    Attributes
    ----------
    mean, scale : numpy.ndarray
        (feature,): taken from a feature, and what it is then multiplied by.
    weight1, bias1, weight2, bias2 : numpy.ndarray
        (hidden, feature), (hidden,), (class, hidden), (class,).
    """

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    weight1: npt.NDArray[np.float32]
    bias1: npt.NDArray[np.float32]
    weight2: npt.NDArray[np.float32]
    bias2: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check that shapes fit and numbers are finite: a file may hold anything."""
        hidden, features = self.weight1.shape
        shapes = ((features,), (features,), (hidden, features), (hidden,), (len(self.bias2), hidden), (len(self.bias2),))
        parts = list(self.arrays().values())
        if any(p.shape != s or p.dtype != np.float32 or not np.isfinite(p).all() for p, s in zip(parts, shapes, strict=True)):
            raise ModelError("The small network is damaged.", "Train the classifier again, or copy its file again.")

    @property
    def n_features(self) -> int:
        """How many features it takes."""
        return len(self.mean)

    @property
    def n_classes(self) -> int:
        """How many classes it tells apart."""
        return len(self.bias2)

    @classmethod
    def fit(cls, samples: npt.NDArray[Any], classes: npt.NDArray[Any], settings: MlpSettings, seed: int) -> Mlp:
        """Train on float32 (sample, feature) and integer (sample,) classes from 0 without gaps; each class weighs the same."""
        import torch

        mean, spread = samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64)
        scale = np.where(spread > 1e-6 * (1 + np.abs(mean)), 1 / np.maximum(spread, 1e-12), 0.0)
        x = torch.from_numpy(((samples - mean) * scale).astype(np.float32))
        y = torch.from_numpy(classes.astype(np.int64))
        counts = np.bincount(classes)
        weight = torch.from_numpy((len(classes) / (len(counts) * counts)).astype(np.float32))
        noise = torch.Generator().manual_seed(seed)
        sizes = ((settings.hidden, x.shape[1]), (len(counts), settings.hidden))
        w1, w2 = (torch.randn(size, generator=noise) * (2 / size[1]) ** 0.5 for size in sizes)
        parts = [w1, torch.zeros(settings.hidden), w2, torch.zeros(len(counts))]
        for part in parts:
            part.requires_grad_()
        _descend(parts, x, y, weight, settings)
        return cls(mean.astype(np.float32), scale.astype(np.float32), *(part.detach().numpy() for part in parts))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a file keeps; `from_arrays` reads it."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Mlp:
        """Return the network of `arrays`; raise `ModelError` if something is missing or does not fit."""
        if any(name not in arrays for name in _NAMES) or arrays["weight1"].ndim != 2 or arrays["bias2"].ndim != 1:
            raise ModelError("The small network is incomplete.", "Train the classifier again, or copy its file again.")
        return cls(**{name: arrays[name] for name in _NAMES})

    def probabilities(self, columns: torch.Tensor) -> torch.Tensor:
        """Return the softmax, float32 (class, pixel), of float32 (feature, pixel), where those lie."""
        import torch

        parts = {name: torch.from_numpy(array).to(columns.device) for name, array in self.arrays().items()}
        # The standardisation is folded into the first layer, which saves a pass over all features.
        first = parts["weight1"] * parts["scale"]
        bias = parts["bias1"] - first @ parts["mean"]
        hidden = torch.relu_(torch.addmm(bias[:, None], first, columns))
        return torch.softmax(torch.addmm(parts["bias2"][:, None], parts["weight2"], hidden), dim=0)


def _descend(parts: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, settings: MlpSettings) -> None:
    """Train the two layers in place. The gradient is written out: for so small a network a tape takes longer than the sums."""
    import torch

    w1, b1, w2, b2 = parts
    share = (weight[y] / weight[y].sum())[:, None]
    target = torch.nn.functional.one_hot(y, len(b2)).to(x.dtype)
    optimiser = torch.optim.Adam(parts, settings.learning_rate, weight_decay=settings.weight_decay)
    with torch.inference_mode(False), torch.no_grad():
        for _ in range(settings.steps):
            hidden = torch.relu(torch.addmm(b1, x, w1.T))
            error = (torch.softmax(torch.addmm(b2, hidden, w2.T), dim=1) - target) * share
            back = (error @ w2) * (hidden > 0)
            w1.grad, b1.grad, w2.grad, b2.grad = back.T @ x, back.sum(dim=0), error.T @ hidden, error.sum(dim=0)
            optimiser.step()

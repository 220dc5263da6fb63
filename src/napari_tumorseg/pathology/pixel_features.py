"""Multi-scale features of the pixels of a slide, as QuPath's pixel classifier has them.

Definitions (QuPath, `MultiscaleFeatures`), for a scale sigma in pixels and ``e = exp(-x^2 / (2 sigma^2))``:

- ``G0 = e / (sigma sqrt(2 pi))``, ``G1 = -x e / (sigma^3 sqrt(2 pi))``, ``G2 = -(sigma^2 - x^2) e / (sigma^5 sqrt(2 pi))``,
  cut off at ``floor(4 sigma)`` and not renormalised; two-dimensional filters are products of two of them; the border is replicated.
- Structure tensor: the products of the 3 x 3 Sobel gradients, smoothed by G0.

Stain channels are in optical density with the decimal logarithm, as QuPath has it, not below 0 before deconvolution;
colour channels are those of the image, 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.pixel_filters import Scale, radius_px
from napari_tumorseg.pathology.stain import QUPATH_HE, Stains

if TYPE_CHECKING:
    import torch

__all__ = ["CHANNELS", "FEATURES", "FeatureSpec", "pixel_features"]

CHANNELS = ("red", "green", "blue", "haematoxylin", "eosin", "residual")
FEATURES = (
    "gaussian",
    "laplacian",
    "weighted deviation",
    "gradient magnitude",
    "structure tensor max",
    "structure tensor min",
    "structure tensor coherence",
    "hessian determinant",
    "hessian max",
    "hessian min",
)
_NORMALISATIONS = ("none", "mean", "mean and deviation")
_TENSOR = frozenset(name for name in FEATURES if name.startswith("structure"))
_HESSIAN = frozenset(name for name in FEATURES if name.startswith("hessian"))
_MAX_SIGMA_PX = 64.0


@dataclass(frozen=True)
class FeatureSpec:
    """Which features a classifier sees. Field values are plain, so that a JSON file holds them.

    Attributes
    ----------
    channels : tuple of str
        Of `CHANNELS`.
    sigmas_px : tuple of float
        Scales in pixels at the classifier's resolution.
    features : tuple of str
        Of `FEATURES`.
    stains : Stains
        Haematoxylin and eosin, in this order; used by the stain channels only.
    local_normalisation : str
        "none"; "mean" takes the Gaussian-weighted local mean from each channel; "mean and deviation"
        also divides by the weighted local deviation where that is above 0.
    normalisation_sigma_px : float
        The scale of that.

    Raises
    ------
    InputError
        If a name is unknown or repeated, or a number cannot be used.

    Examples
    --------
    >>> spec = FeatureSpec(channels=("haematoxylin",), sigmas_px=(1.0, 2.0), features=("gaussian", "laplacian"))
    >>> spec.names
    ('haematoxylin gaussian 1', 'haematoxylin laplacian 1', 'haematoxylin gaussian 2', 'haematoxylin laplacian 2')
    >>> FeatureSpec.from_json(spec.to_json()).names == spec.names
    True
    """

    channels: tuple[str, ...] = ("red", "green", "blue")
    sigmas_px: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    features: tuple[str, ...] = FEATURES
    stains: Stains = QUPATH_HE
    local_normalisation: str = "none"
    normalisation_sigma_px: float = 8.0

    def __post_init__(self) -> None:
        """Check names and numbers."""
        _check_names("channel", self.channels, CHANNELS)
        _check_names("feature", self.features, FEATURES)
        _check_names("local normalisation", (self.local_normalisation,), _NORMALISATIONS)
        sigmas = (*self.sigmas_px, self.normalisation_sigma_px)
        if not self.sigmas_px or len(set(self.sigmas_px)) < len(self.sigmas_px):
            raise InputError("The scales of the pixel features are none, or one is there twice.", "Choose some of 0.5, 1, 2, 4, 8, 16.")
        if not all(math.isfinite(s) and 0.25 <= s <= _MAX_SIGMA_PX for s in sigmas):
            raise InputError("A scale of the pixel features is not from 0.25 to 64 pixels.", "Choose some of 0.5, 1, 2, 4, 8, 16.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features in their order: by channel, then scale, then kind."""
        return tuple(f"{c} {f} {s:g}" for c in self.channels for s in self.sigmas_px for f in self.features)

    @property
    def halo_px(self) -> int:
        """Pixels around a tile that its values depend on."""
        halo = max(radius_px(s) for s in self.sigmas_px) + (1 if _TENSOR & set(self.features) else 0)
        return halo + (0 if self.local_normalisation == "none" else radius_px(self.normalisation_sigma_px))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON knows them."""
        fields = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return fields | {"stains": {name: list(value) for name, value in vars(self.stains).items()}}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> FeatureSpec:
        """Return the spec that `to_json` wrote; raise `InputError` if it is not one."""
        try:
            plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
            names, vectors, background = (fields["stains"][name] for name in ("names", "vectors", "background"))
            plain["stains"] = Stains(tuple(names), tuple((r, g, b) for r, g, b in vectors), tuple(background))
            return cls(**plain)
        except (TypeError, ValueError, KeyError) as error:
            raise InputError("The description of the pixel features is not one of this program.", "Train the classifier again.") from error


def pixel_features(
    image: npt.NDArray[Any],
    spec: FeatureSpec,
    core: tuple[slice, slice] | None = None,
    step: int = 1,
    device: str = "cpu",
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the features of an image, or of a part of it.

    Parameters
    ----------
    image : numpy.ndarray
        (y, x, 3) RGB, 0 to 255, at the classifier's resolution. Its edges count as the edges of the
        slide, so a tile that has neighbours is given with `spec.halo_px` of them around it.
    spec : FeatureSpec
        Which features.
    core : tuple of slice, optional
        The rows and columns wanted, start and stop given; all by default.
    step : int
        Only each `step`-th row and column of `core`, from its first; their values are those of step 1.
    device : str
        Torch's name of where to compute.
    out : torch.Tensor, optional
        Where to write what is returned; may be a part of a larger tensor.

    Returns
    -------
    torch.Tensor
        float32 (feature, y, x) in the order of `spec.names`, on `device`.

    Raises
    ------
    InputError
        If the image is not RGB, is empty, or `core` does not lie in it.

    Examples
    --------
    >>> grey = np.full((20, 20, 3), 100, np.uint8)
    >>> spec = FeatureSpec(("red",), (1.0,), ("gaussian", "gradient magnitude"))
    >>> [round(float(v), 1) for v in pixel_features(grey, spec)[:, 10, 10]]
    [100.0, 0.0]
    """
    import torch

    rows, columns = _positions(image, core, step)
    with torch.inference_mode():
        planes = _channels(image, spec, device)
        if spec.local_normalisation != "none":
            planes = _normalised(planes, spec)
        found = torch.empty((len(spec.names), len(rows), len(columns)), dtype=torch.float32, device=device) if out is None else out
        by_scale = found.view(len(spec.channels), len(spec.sigmas_px), len(spec.features), len(rows), len(columns))
        products = _sobel_products(planes) if _TENSOR & set(spec.features) else None
        for index, sigma in enumerate(spec.sigmas_px):
            _fill_scale(by_scale[:, index], planes, products, Scale(sigma, rows, columns), spec.features)
        return found


def _check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    wrong = [name for name in names if name not in known]
    if wrong or not names or len(set(names)) < len(names):
        raise InputError(
            f"{wrong[0]!r} is no {what}." if wrong else f"A {what} is missing or named twice.", f"There are {', '.join(known)}."
        )


def _positions(image: npt.NDArray[Any], core: tuple[slice, slice] | None, step: int) -> tuple[range, range]:
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape or image.dtype.kind not in "uif":
        raise InputError(f"The pixel features need an RGB image, not an array of shape {image.shape}.", "Choose a bright-field slide.")
    ranges = []
    for part, size in zip(core or (slice(0, image.shape[0]), slice(0, image.shape[1])), image.shape[:2], strict=True):
        if not 0 <= part.start < part.stop <= size or step < 1:
            raise InputError(f"Pixels {part.start} to {part.stop} do not lie in an image of {size}.", "Choose a region inside the image.")
        ranges.append(range(part.start, part.stop, step))
    return ranges[0], ranges[1]


def _channels(image: npt.NDArray[Any], spec: FeatureSpec, device: str) -> torch.Tensor:
    """Return the channels as float32 (y, channel, x): so rows are contiguous, and each row holds all channels."""
    import torch

    pixels = torch.from_numpy(np.array(image, np.float32, order="C")).to(device)
    colours = list(pixels.unbind(2))
    if set(spec.channels) & set(CHANNELS[3:]):
        light = pixels.new_tensor(spec.stains.background)
        density = torch.clamp(-torch.log10(torch.clamp(pixels, min=1.0) / light), min=0.0)
        inverse = torch.from_numpy(np.linalg.inv(spec.stains.matrix).astype(np.float32)).to(device)
        colours += list((density @ inverse).unbind(2))
    return torch.stack([colours[CHANNELS.index(name)] for name in spec.channels], dim=1)


def _normalised(planes: torch.Tensor, spec: FeatureSpec) -> torch.Tensor:
    import torch

    every = Scale(spec.normalisation_sigma_px, range(planes.shape[0]), range(planes.shape[2]))
    mean, deviation = _moments(every.down(_squares(planes), (0,))[0], every)
    centred = planes - mean
    if spec.local_normalisation == "mean":
        return centred.to(torch.float32)
    return torch.where(deviation > 0, centred / torch.where(deviation > 0, deviation, 1.0), 0.0).to(torch.float32)


def _sobel_products(planes: torch.Tensor) -> torch.Tensor:
    """Return the products xx, yy and xy of the 3 x 3 Sobel gradients: float32 (y, 3 channel, x)."""
    import torch
    from torch.nn.functional import pad

    padded = pad(planes.permute(1, 0, 2), (1, 1, 1, 1), mode="replicate")
    down = padded[:, 2:] - padded[:, :-2]
    across = padded[:, :, 2:] - padded[:, :, :-2]
    dx = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    dy = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return torch.stack((dx * dx, dy * dy, dx * dy)).flatten(0, 1).permute(1, 0, 2).contiguous()


def _squares(planes: torch.Tensor) -> torch.Tensor:
    """Return the channels and their squares, float64 (y, 2 channel, x): the difference of their means needs the digits."""
    import torch

    exact = planes.to(torch.float64)
    return torch.cat((exact, exact * exact), dim=1)


def _moments(both: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weighted mean and deviation, (y, channel, x), of squares correlated along y."""
    import torch

    mean, square = scale.across(both, (0,))[0].tensor_split(2, dim=1)
    return mean, torch.sqrt(torch.clamp(square - mean * mean, min=0.0))


def _fill_scale(out: torch.Tensor, planes: torch.Tensor, products: torch.Tensor | None, scale: Scale, features: Sequence[str]) -> None:
    """Write the features of one scale to `out`, (channel, feature, y, x)."""
    wanted = frozenset(features)
    first, second = "gradient magnitude" in wanted, bool(wanted & (_HESSIAN | {"laplacian"}))
    orders = (0, 1, 2) if second else (0, 1) if first else (0,) if "gaussian" in wanted else ()
    targets = {name: out[:, index].permute(1, 0, 2) for index, name in enumerate(features)}
    if orders:
        _derivatives(scale.down(planes, orders), scale, targets)
    if "weighted deviation" in wanted:
        targets["weighted deviation"].copy_(_moments(scale.down(_squares(planes), (0,))[0], scale)[1])
    if products is not None:
        _structure(scale.down(products, (0,))[0], scale, targets)


def _derivatives(down: torch.Tensor, scale: Scale, targets: Mapping[str, torch.Tensor]) -> None:
    """Write Gaussian, gradient magnitude, Laplacian and Hessian features from (order, y, channel, x) correlated along y."""
    import torch

    hessian = bool(_HESSIAN & targets.keys())
    smooth = scale.across(down[0], range(len(down)))
    if "gaussian" in targets:
        targets["gaussian"].copy_(smooth[0])
    if len(down) > 1:
        mixed = scale.across(down[1], (0, 1) if hessian else (0,))
    if "gradient magnitude" in targets:
        torch.sqrt((smooth[1] * smooth[1]).addcmul_(mixed[0], mixed[0]), out=targets["gradient magnitude"])
    if len(down) > 2:
        xx, yy = smooth[2], scale.across(down[2], (0,))[0]
        if "laplacian" in targets:
            torch.add(xx, yy, out=targets["laplacian"])
        if "hessian determinant" in targets:
            torch.sub(xx * yy, mixed[1] * mixed[1], out=targets["hessian determinant"])
        if hessian:
            _eigenvalues(xx, yy, mixed[1], targets.get("hessian max"), targets.get("hessian min"))


def _structure(products: torch.Tensor, scale: Scale, targets: Mapping[str, torch.Tensor]) -> None:
    """Write the features of the structure tensor from (y, 3 channel, x) correlated along y."""
    import torch

    xx, yy, xy = scale.across(products, (0,))[0].tensor_split(3, dim=1)
    spread = _eigenvalues(xx, yy, xy, targets.get("structure tensor max"), targets.get("structure tensor min"))
    if "structure tensor coherence" in targets:
        # Twice the spread and the trace are the difference and the sum of the eigenvalues; both are 0 where nothing changes.
        ratio = spread.mul_(2).div_((xx + yy).clamp_(min=torch.finfo(xx.dtype).tiny))
        torch.mul(ratio, ratio, out=targets["structure tensor coherence"])


def _eigenvalues(xx: torch.Tensor, yy: torch.Tensor, xy: torch.Tensor, high: torch.Tensor | None, low: torch.Tensor | None) -> torch.Tensor:
    """Write the larger and the smaller eigenvalue of [[xx, xy], [xy, yy]], and return half their difference."""
    import torch

    half = (xx - yy).mul_(0.5)
    spread = half.mul_(half).addcmul_(xy, xy).sqrt_()
    middle = (xx + yy).mul_(0.5)
    if high is not None:
        torch.add(middle, spread, out=high)
    if low is not None:
        torch.sub(middle, spread, out=low)
    return spread

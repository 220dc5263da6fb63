"""From tissues to MR images: relaxation, contrast agent, partial volume, coil, blur and noise.

Signal equations (textbook forms, e.g. M. A. Bernstein et al., *Handbook of MRI Pulse Sequences*, 2004,
chapters 14 and 15), with M the proton density:

- spin echo: ``M (1 - exp(-TR/T1)) exp(-TE/T2)``
- inversion recovery: ``|M (1 - 2 exp(-TI/T1) + exp(-TR/T1))| exp(-TE/T2)``
- contrast agent at concentration C: ``1/T1' = 1/T1 + r1 C``

Sources of the numbers, all at 3 T:

- T1 and T2 of grey matter (1143/78 ms), white matter (701/64 ms) and CSF (4206/390 ms): A. S. Konar et al.,
  *Quantitative synthetic magnetic resonance imaging for brain metastases*, Cancers 14:2651, 2022.
- Relaxivity of gadobutrol, 4.97 L/(mmol s) in plasma and 3.47 in blood: P. Szomolanyi et al., Invest. Radiol. 54:559, 2019.
- Proton density is tissue water, about 0.70 in white and 0.82 in grey matter; P. Tofts (ed.), *Quantitative MRI of the Brain*, 2003.
- The values of nuclei, brainstem, blood, dura, oedema and tumour are round numbers set between or beyond these so
  that the contrast to white matter is of the order measured in expert-labelled BraTS 2018 cases; the test
  `tests/integration/test_phantom_contrast.py` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_tumorseg.phantoms.fields import Array, Bools, RandomField, generator
from napari_tumorseg.phantoms.tissues import Tissue

__all__ = ["PROTOCOL", "TISSUES", "PulseSequence", "Scanner", "Substance", "acquire", "signal"]

#: L/(mmol s), in plasma and in whole blood.
RELAXIVITY_TISSUE, RELAXIVITY_BLOOD = 4.97, 3.47


@dataclass(frozen=True)
class Substance:
    """What the scanner sees of a tissue.

    Attributes
    ----------
    density : float
        Protons relative to water.
    t1_ms, t2_ms : float
        Relaxation times without contrast agent.
    agent_mm : float
        Concentration of gadolinium some minutes after injection, mmol/L.
    flow : float
        Share of the signal that flowing blood keeps in spin-echo and inversion-recovery images.
    relaxivity : float
        Of the agent, L/(mmol s).
    mottle : float
        Standard deviation of the signal within the tissue, as a share of it, besides noise.
    """

    density: float
    t1_ms: float
    t2_ms: float
    agent_mm: float = 0.0
    flow: float = 1.0
    relaxivity: float = RELAXIVITY_TISSUE
    mottle: float = 0.045


#: By tissue.
TISSUES: Mapping[Tissue, Substance] = MappingProxyType(
    {
        Tissue.CSF: Substance(1.00, 4206, 390, mottle=0.03),
        Tissue.GREY: Substance(0.82, 1143, 78, agent_mm=0.012),
        Tissue.WHITE: Substance(0.70, 701, 64, agent_mm=0.006),
        Tissue.STRIATUM: Substance(0.81, 1060, 73, agent_mm=0.012),
        Tissue.PALLIDUM: Substance(0.74, 810, 54, agent_mm=0.008),
        Tissue.THALAMUS: Substance(0.77, 900, 69, agent_mm=0.010),
        Tissue.BRAINSTEM: Substance(0.74, 800, 68, agent_mm=0.008),
        Tissue.CHOROID: Substance(0.88, 1500, 130, agent_mm=0.45, mottle=0.12),
        Tissue.VESSEL: Substance(0.85, 1650, 60, agent_mm=0.80, flow=0.25, relaxivity=RELAXIVITY_BLOOD, mottle=0.10),
        Tissue.DURA: Substance(0.60, 900, 35, agent_mm=0.35, mottle=0.10),
        Tissue.OEDEMA: Substance(0.83, 1250, 138, agent_mm=0.005, mottle=0.05),
        Tissue.ENHANCING: Substance(0.83, 1350, 122, agent_mm=0.24, mottle=0.12),
        Tissue.NECROSIS: Substance(0.93, 2000, 200, mottle=0.06),
        Tissue.CAVITY: Substance(0.99, 3600, 360, mottle=0.03),
    }
)


@dataclass(frozen=True)
class PulseSequence:
    """How an image is taken.

    Attributes
    ----------
    name : str
        Modality, e.g. "T1c".
    tr_ms, te_ms : float
        Repetition and echo time.
    ti_ms : float
        Inversion time; 0 for a spin echo.
    agent : bool
        Whether contrast agent has been given.
    blur_mm : tuple of float
        Full width at half maximum of the point spread along superior, anterior and right.
    mottle : float
        Sign and size of the response to more tissue water.
    """

    name: str
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    agent: bool = False
    blur_mm: tuple[float, float, float] = (1.2, 1.2, 1.2)
    mottle: float = 1.0


#: T1 before and after contrast agent, fast spin echo T2, and FLAIR, as usual for brain metastases.
PROTOCOL: tuple[PulseSequence, ...] = (
    PulseSequence("T1", 2000, 4, 1000, mottle=-0.8),
    PulseSequence("T1c", 2000, 4, 1000, agent=True, mottle=-0.8),
    PulseSequence("T2", 5500, 100, blur_mm=(1.7, 1.3, 1.3), mottle=1.0),
    PulseSequence("FLAIR", 9000, 110, 2440, blur_mm=(1.9, 1.4, 1.4), mottle=1.2),
)


@dataclass(frozen=True)
class Scanner:
    """Imperfections of the images.

    Attributes
    ----------
    noise : float
        Standard deviation of the noise in each of the two channels, as a share of white matter's signal.
    bias : float
        Standard deviation of the logarithm of the coil's sensitivity.
    blur : float
        Factor on the point spread of each sequence.
    """

    noise: float = 0.025
    bias: float = 0.08
    blur: float = 1.0


def signal(substance: Substance, sequence: PulseSequence) -> float:
    """Return the signal of a substance in a sequence, 0 to 1.

    Examples
    --------
    >>> flair = PROTOCOL[3]
    >>> signal(TISSUES[Tissue.CSF], flair) < 0.1 * signal(TISSUES[Tissue.WHITE], flair)
    True
    """
    agent = substance.agent_mm if sequence.agent else 0.0
    t1 = 1 / (1 / substance.t1_ms + substance.relaxivity * agent / 1000)
    recovery = 1 - (2 if sequence.ti_ms else 1) * np.exp(-(sequence.ti_ms or sequence.tr_ms) / t1)
    if sequence.ti_ms:
        recovery = abs(recovery + np.exp(-sequence.tr_ms / t1))
    flow = 1.0 if agent else substance.flow
    return float(substance.density * recovery * np.exp(-sequence.te_ms / substance.t2_ms) * flow)


def acquire(
    shares: Mapping[Tissue, Array],
    brain: Bools,
    axes_mm: tuple[Array, Array, Array],
    sequence: PulseSequence,
    scanner: Scanner,
    seed: int,
    white: float = 80.0,
) -> npt.NDArray[np.int16]:
    """Take one image.

    Parameters
    ----------
    shares : mapping of Tissue to numpy.ndarray
        Share of each tissue in each voxel, float32 (z, y, x).
    brain : numpy.ndarray
        bool (z, y, x); everything else is 0 in the image.
    axes_mm : tuple of numpy.ndarray
        Positions of the voxel centres along superior, anterior and right.
    sequence : Sequence
        How it is taken.
    scanner : Scanner
        Imperfections.
    seed : int
        Of bias field, mottle and noise.
    white : float
        Value of undisturbed white matter.

    Returns
    -------
    numpy.ndarray
        int16 (z, y, x), at least 1 inside the brain.

    Notes
    -----
    Noise is Rician: the magnitude of the signal plus complex Gaussian noise (H. Gudbjartsson and S. Patz, Magn. Reson. Med. 34:910, 1995).
    """
    steps = [float(v[1] - v[0]) for v in axes_mm]
    scale = np.float32(white / signal(TISSUES[Tissue.WHITE], sequence))
    image = np.zeros(brain.shape, np.float32)
    mottle = np.zeros(brain.shape, np.float32)
    for tissue, share in shares.items():
        substance = TISSUES[tissue]
        level = np.float32(signal(substance, sequence)) * scale
        image += share * level
        mottle += share * (level * np.float32(substance.mottle * sequence.mottle))
    fine = RandomField(seed, "fine mottle", max(4.5, 2 * max(steps))).on_axes(*axes_mm)
    fine += np.float32(0.7) * RandomField(seed, "coarse mottle", 22).on_axes(*axes_mm)
    image += mottle * fine
    sigma = [0.4247 * scanner.blur * fwhm / step for fwhm, step in zip(sequence.blur_mm, steps, strict=True)]
    image = ndimage.gaussian_filter(image, sigma, truncate=3.0)
    if scanner.bias:
        coil = RandomField(seed, "coil", 95).on_axes(*axes_mm)
        coil += np.float32(0.6) * RandomField(seed, f"coil {sequence.name}", 70).on_axes(*axes_mm)
        image *= np.exp(np.float32(scanner.bias) * coil)
    values = image[brain]
    if scanner.noise:
        rng = generator(seed, f"noise {sequence.name}")
        real, imaginary = (_noise(rng, brain.shape)[brain] * np.float32(scanner.noise * white) for _ in range(2))
        values = np.sqrt(np.square(values + real) + np.square(imaginary))
    out = np.zeros(brain.shape, np.int16)
    out[brain] = np.clip(np.rint(values), 1, 32767)
    return out


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return Gaussian noise of variance 1 whose neighbours are alike, as scanners that interpolate leave it."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    kernel = np.array([0.22, 1.0, 0.22])
    kernel /= np.sqrt(np.square(kernel).sum())
    for axis in range(3):
        noise = ndimage.convolve1d(noise, kernel, axis=axis, mode="wrap")
    return noise

from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.phantoms.mri import PROTOCOL, TISSUES, PulseSequence, Scanner, Substance, acquire, signal
from napari_tumorseg.phantoms.tissues import Tissue

T1, T1C, T2, FLAIR = PROTOCOL


def level(tissue: Tissue, sequence: PulseSequence) -> float:
    return signal(TISSUES[tissue], sequence)


def test_a_spin_echo_follows_its_equation() -> None:
    water = Substance(0.8, 1000, 100)
    got = signal(water, PulseSequence("PD", 500, 20))
    assert got == pytest.approx(0.8 * (1 - np.exp(-0.5)) * np.exp(-0.2))


def test_an_inversion_recovery_follows_its_equation() -> None:
    water = Substance(0.9, 1000, 100)
    got = signal(water, PulseSequence("IR", 3000, 10, 500))
    assert got == pytest.approx(0.9 * abs(1 - 2 * np.exp(-0.5) + np.exp(-3)) * np.exp(-0.1))


def test_contrast_agent_shortens_t1_by_its_relaxivity() -> None:
    blood = Substance(1.0, 1000, 1e9, agent_mm=0.5, relaxivity=4.0)
    assert signal(blood, PulseSequence("T1c", 500, 0, agent=True)) == pytest.approx(1 - np.exp(-0.5 * (1 + 2.0)))
    assert signal(blood, PulseSequence("T1", 500, 0)) == pytest.approx(1 - np.exp(-0.5))


@pytest.mark.parametrize(
    ("sequence", "rising"),
    [
        (T1, (Tissue.CSF, Tissue.NECROSIS, Tissue.OEDEMA, Tissue.GREY, Tissue.WHITE)),
        (T1C, (Tissue.CSF, Tissue.NECROSIS, Tissue.GREY, Tissue.WHITE, Tissue.ENHANCING, Tissue.VESSEL)),
        (T2, (Tissue.VESSEL, Tissue.PALLIDUM, Tissue.WHITE, Tissue.GREY, Tissue.OEDEMA, Tissue.NECROSIS, Tissue.CSF)),
        (FLAIR, (Tissue.CSF, Tissue.WHITE, Tissue.GREY, Tissue.ENHANCING, Tissue.OEDEMA)),
    ],
)
def test_tissues_stand_in_the_right_order(sequence: PulseSequence, rising: tuple[Tissue, ...]) -> None:
    levels = [level(tissue, sequence) for tissue in rising]
    assert levels == sorted(levels)


def test_flair_suppresses_water() -> None:
    assert level(Tissue.CSF, FLAIR) < 0.05 * level(Tissue.WHITE, FLAIR)


def test_only_what_takes_up_agent_enhances() -> None:
    gain = {tissue: level(tissue, T1C) / level(tissue, T1) for tissue in TISSUES}
    assert gain[Tissue.WHITE] < 1.06
    assert gain[Tissue.GREY] < 1.1
    assert gain[Tissue.CSF] == pytest.approx(1)
    assert gain[Tissue.NECROSIS] == pytest.approx(1)
    assert min(gain[t] for t in (Tissue.ENHANCING, Tissue.CHOROID, Tissue.VESSEL)) > 1.8


def axes(n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = np.arange(n, dtype=np.float32)
    return axis, axis, axis


def test_noise_without_signal_is_rayleigh() -> None:
    brain = np.zeros((40, 40, 40), bool)
    brain[5:35] = True
    nothing = {Tissue.WHITE: np.zeros(brain.shape, np.float32)}
    image = acquire(nothing, brain, axes(), T2, Scanner(noise=0.1, bias=0), seed=1, white=10000)
    values = image[brain].astype(float)
    assert not image[~brain].any()
    assert values.mean() == pytest.approx(1000 * np.sqrt(np.pi / 2), rel=0.02)
    assert values.std() == pytest.approx(1000 * np.sqrt(2 - np.pi / 2), rel=0.03)


def test_noise_on_a_strong_signal_is_gaussian() -> None:
    brain = np.ones((40, 40, 40), bool)
    white = {Tissue.WHITE: np.ones(brain.shape, np.float32)}
    noisy = acquire(white, brain, axes(), T2, Scanner(noise=0.02, bias=0), seed=1, white=10000).astype(float)
    clean = acquire(white, brain, axes(), T2, Scanner(noise=0, bias=0), seed=1, white=10000).astype(float)
    assert (noisy - clean).std() == pytest.approx(200, rel=0.05)
    assert clean.mean() == pytest.approx(10000, rel=0.02)


def test_the_coil_bends_the_image_smoothly() -> None:
    brain = np.ones((40, 40, 40), bool)
    white = {Tissue.WHITE: np.ones(brain.shape, np.float32)}
    axis = np.arange(0, 160, 4, dtype=np.float32)
    bent = acquire(white, brain, (axis, axis, axis), T1, Scanner(noise=0, bias=0.2), seed=4, white=10000)
    flat = acquire(white, brain, (axis, axis, axis), T1, Scanner(noise=0, bias=0), seed=4, white=10000)
    ratio = bent / flat
    assert ratio.std() > 0.05
    assert max(np.diff(ratio, axis=a).std() for a in range(3)) < 0.3 * ratio.std()


def test_partial_volume_mixes_signals() -> None:
    brain = np.ones((40, 40, 40), bool)
    half = np.full(brain.shape, 0.5, np.float32)
    image = acquire({Tissue.WHITE: half, Tissue.CSF: half}, brain, axes(), T2, Scanner(noise=0, bias=0), seed=1, white=10000)
    expected = 0.5 * (1 + level(Tissue.CSF, T2) / level(Tissue.WHITE, T2)) * 10000
    assert image.mean() == pytest.approx(expected, rel=0.02)

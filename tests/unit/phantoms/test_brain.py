from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.phantoms.brain import BrainPhantom, BrainPhantomConfig, Scanner, Tissue, make_brain_phantom, tiny

NAMES = ("T1", "T1c", "T2", "FLAIR")


def test_the_same_seed_gives_the_same_phantom() -> None:
    first, again = make_brain_phantom(tiny(seed=4)), make_brain_phantom(tiny(seed=4))
    assert first.lesions == again.lesions
    np.testing.assert_array_equal(first.labels.labels, again.labels.labels)
    for name in NAMES:
        np.testing.assert_array_equal(first.volumes[name].data, again.volumes[name].data)
    other = make_brain_phantom(tiny(seed=6))
    assert (first.brain != other.brain).any()
    assert first.lesions != other.lesions


def test_types_and_labels(head: BrainPhantom) -> None:
    assert tuple(head.volumes) == NAMES
    for name, volume in head.volumes.items():
        assert (volume.data.dtype, volume.modality, volume.grid) == (np.int16, name, head.grid)
    assert head.labels.labels.dtype == np.uint8
    assert head.labels.kind is MaskKind.REFERENCE
    assert head.labels.schema.name == "brats-mets-2025"
    head.labels.schema.check(head.labels.labels)
    np.testing.assert_array_equal(head.labels.labels > 0, head.instances > 0)
    assert not (head.labels.labels[~head.brain]).any()
    visit = head.case("a").latest
    assert visit.masks["seg"][-1] is head.labels
    assert dict(visit.volumes) == dict(head.volumes)


def test_the_background_is_zero_and_the_brain_is_not(head: BrainPhantom) -> None:
    for volume in head.volumes.values():
        assert not volume.data[~head.brain].any()
        assert volume.data[head.brain].min() >= 1
    np.testing.assert_array_equal(head.tissue > 0, head.brain)


def test_sizes_are_those_of_a_head(head: BrainPhantom) -> None:
    ml = head.grid.voxel_volume_mm3 / 1000
    volumes = {tissue: np.count_nonzero(head.tissue == tissue) * ml for tissue in Tissue}
    assert 1100 < head.brain.sum() * ml < 1700
    # Adult means are about 650 ml of cortex and cerebellar grey, 500 ml of white matter, and widely spread.
    assert 420 < volumes[Tissue.GREY] < 800
    assert 380 < volumes[Tissue.WHITE] < 700
    assert 100 < volumes[Tissue.CSF] < 400
    assert 5 < volumes[Tissue.THALAMUS] < 18
    assert 6 < volumes[Tissue.STRIATUM] < 25
    box = [np.ptp(np.flatnonzero(head.brain.any(axis=tuple(a for a in range(3) if a != k)))) * 2 for k in range(3)]
    assert 130 < box[0] <= 152
    assert 155 < box[1] < 185
    assert 120 < box[2] < 145
    assert ndimage.label(head.brain)[1] == 1


def test_cortex_is_a_ribbon_between_csf_and_white_matter(head: BrainPhantom) -> None:
    upper = np.zeros(head.brain.shape, bool)
    upper[45:] = True
    grey = (head.tissue == Tissue.GREY) & upper
    # Nowhere thicker than two ribbons back to back.
    depth = ndimage.distance_transform_edt(grey, sampling=head.grid.spacing_mm)
    assert np.percentile(depth[grey], 99) < 6
    touched = ndimage.binary_dilation(grey) & ~grey & upper
    assert np.isin(head.tissue[touched], (Tissue.CSF, Tissue.WHITE)).mean() > 0.75


def test_the_hemispheres_are_apart(head: BrainPhantom) -> None:
    middle = round(head.grid.to_index((0.0, 0.0, 0.0))[2])
    high = round(head.grid.to_index((0.0, 0.0, 55.0))[0])
    slab = head.tissue[high:, :, middle - 2 : middle + 3]
    inside = slab[:, :, 2] > 0
    free = np.isin(slab, (Tissue.CSF, Tissue.VESSEL, Tissue.DURA)).any(axis=2)
    assert free[inside].mean() > 0.8


@pytest.mark.parametrize(
    ("name", "rising"),
    [
        ("T1", (Tissue.CSF, Tissue.GREY, Tissue.WHITE)),
        ("T1c", (Tissue.CSF, Tissue.GREY, Tissue.WHITE)),
        ("T2", (Tissue.WHITE, Tissue.GREY, Tissue.CSF)),
        ("FLAIR", (Tissue.CSF, Tissue.WHITE, Tissue.GREY)),
    ],
)
def test_tissues_stand_in_the_right_order(head: BrainPhantom, name: str, rising: tuple[Tissue, ...]) -> None:
    healthy = head.labels.labels == 0
    data = head.volumes[name].data
    levels = [float(np.median(data[(head.tissue == tissue) & healthy])) for tissue in rising]
    assert levels == sorted(levels)
    assert all(b > 1.05 * a for a, b in itertools.pairwise(levels))


def test_lesions_look_like_lesions(head: BrainPhantom) -> None:
    def z(name: str, where: np.ndarray) -> float:
        data = head.volumes[name].data.astype(float)
        inside = data[head.brain]
        return float((np.median(data[where]) - inside.mean()) / inside.std())

    netc, snfh, et = (head.labels.labels == value for value in (1, 2, 3))
    assert 1.0 < z("T1c", et) < 4.0
    assert z("T1c", et) > z("T1", et) + 1.5
    assert -2.5 < z("T1c", netc) < -0.5
    assert 1.0 < z("T2", netc) < 4.0
    assert 1.0 < z("FLAIR", snfh) < 3.5
    assert 0.2 < z("T2", snfh) < 2.0
    assert z("FLAIR", netc) < z("FLAIR", snfh)


def test_bright_signal_on_flair_is_labelled(head: BrainPhantom) -> None:
    data = head.volumes["FLAIR"].data.astype(float)
    wet = np.median(data[head.labels.labels == 2])
    bright = (ndimage.gaussian_filter(data, 0.5) > 0.95 * wet) & head.brain
    close = ndimage.binary_dilation(head.labels.labels > 0, iterations=1)
    assert close[bright].mean() > 0.9


@pytest.fixture(scope="module")
def reference() -> BrainPhantom:
    return make_brain_phantom(tiny(seed=2, orientation="SAR"))


@pytest.mark.parametrize("orientation", ["SPL", "ILA", "LPS", "ASR"])
def test_orientation_turns_the_same_head(reference: BrainPhantom, orientation: str) -> None:
    turned = make_brain_phantom(tiny(seed=2, orientation=orientation))
    assert turned.grid.orientation == orientation
    back, move = turned.grid.reorient("SAR")
    assert back.matches(reference.grid)
    assert turned.lesions == reference.lesions
    np.testing.assert_array_equal(move.apply(turned.labels.labels), reference.labels.labels)
    np.testing.assert_array_equal(move.apply(turned.volumes["T2"].data), reference.volumes["T2"].data)


def test_shape_and_spacing_are_those_of_the_axes_asked_for() -> None:
    phantom = make_brain_phantom(
        BrainPhantomConfig(shape=(40, 30, 48), spacing_mm=(4.0, 5.0, 4.0), orientation="LSP", n_ring=0, n_solid=0, n_tiny=0)
    )
    assert phantom.volumes["T1"].data.shape == (40, 30, 48)
    assert phantom.grid.spacing_mm == (4.0, 5.0, 4.0)
    assert phantom.grid.orientation == "LSP"
    assert phantom.brain.sum() * phantom.grid.voxel_volume_mm3 / 1000 == pytest.approx(1400, rel=0.25)


def test_one_seed_is_one_head_at_any_voxel_size() -> None:
    coarse = make_brain_phantom(tiny(seed=8, orientation="SAR", protocol=()))
    fine = make_brain_phantom(
        BrainPhantomConfig(shape=(96, 96, 96), spacing_mm=(2, 2, 2), seed=8, orientation="SAR", lesions=coarse.lesions, protocol=())
    )
    blocks = fine.brain.reshape(48, 2, 48, 2, 48, 2).mean(axis=(1, 3, 5)) > 0.5
    assert 2 * (blocks & coarse.brain).sum() / (blocks.sum() + coarse.brain.sum()) > 0.97
    tumour = [np.count_nonzero(np.isin(p.labels.labels, (1, 3))) * p.grid.voxel_volume_mm3 for p in (coarse, fine)]
    assert tumour[0] == pytest.approx(tumour[1], rel=0.02)


def test_another_scan_of_the_same_head_differs_in_noise_alone() -> None:
    first = make_brain_phantom(tiny(seed=1))
    second = make_brain_phantom(tiny(seed=1, scan_seed=2))
    np.testing.assert_array_equal(first.labels.labels, second.labels.labels)
    np.testing.assert_array_equal(first.tissue, second.tissue)
    a, b = (p.volumes["T2"].data[p.brain].astype(float) for p in (first, second))
    assert (a != b).mean() > 0.8
    assert np.corrcoef(a, b)[0, 1] > 0.9


def test_noise_and_bias_can_be_turned_off() -> None:
    clean = make_brain_phantom(tiny(seed=1, scanner=Scanner(noise=0, bias=0)))
    noisy = make_brain_phantom(tiny(seed=1, scanner=Scanner(noise=0.2, bias=0)))
    white = clean.tissue == Tissue.WHITE
    assert noisy.volumes["T1"].data[white].std() > 1.3 * clean.volumes["T1"].data[white].std()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_ring": -1}, "no lesions"),
        ({"mass_effect": 2.0}, "share"),
        ({"shape": (4, 48, 48)}, "8 voxels"),
        ({"orientation": "SSL"}, "three directions"),
        ({"orientation": "XYZ"}, "three directions"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiny(**changes)


def test_a_field_of_view_without_room_says_so() -> None:
    with pytest.raises(InputError, match="no room"):
        make_brain_phantom(tiny(shape=(8, 8, 8), spacing_mm=(2.0, 2.0, 2.0)))


def test_it_stops_when_asked() -> None:
    token = CancelToken()
    seen = []

    def report(state: object) -> None:
        seen.append(state)
        token.cancel()

    with pytest.raises(Cancelled):
        make_brain_phantom(tiny(), Progress(report, token))
    assert len(seen) == 1

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_tumorseg.phantoms.brain import BrainPhantom, BrainPhantomConfig, Kind, Tissue, make_brain_phantom, tiny

NETC, SNFH, ET, RC = 1, 2, 3, 4
FULL = np.ones((3, 3, 3))


def test_the_wanted_lesions_are_there(head: BrainPhantom) -> None:
    kinds = [lesion.kind for lesion in head.lesions]
    assert kinds == [Kind.RING] * 3 + [Kind.SOLID] * 3 + [Kind.TINY] * 2
    for lesion, (low, high) in zip(head.lesions, [(15, 30)] * 3 + [(6, 12)] * 3 + [(2, 4)] * 2, strict=True):
        assert low <= lesion.diameter_mm <= high


def test_each_lesion_has_its_volume_at_its_place(head: BrainPhantom) -> None:
    voxel = head.grid.voxel_volume_mm3
    labels = head.labels.labels
    for number, lesion in enumerate(head.lesions, start=1):
        core = (head.instances == number) & np.isin(labels, (NETC, ET))
        assert core.sum() * voxel == pytest.approx(lesion.volume_mm3, abs=0.6 * voxel)
        assert ndimage.label(core, FULL)[1] == 1
        centroid = head.grid.to_mm(np.argwhere(core).mean(axis=0))
        assert np.linalg.norm(centroid - lesion.centre_mm) < 0.3 * lesion.diameter_mm + 1.5


def test_rings_enclose_necrosis_and_the_others_have_none(head: BrainPhantom) -> None:
    labels = head.labels.labels
    for number, lesion in enumerate(head.lesions, start=1):
        own = head.instances == number
        necrosis = own & (labels == NETC)
        assert necrosis.any() == (lesion.kind is Kind.RING)
        if necrosis.any():
            shell = ndimage.binary_dilation(necrosis, FULL) & ~necrosis
            assert (labels[shell] == ET).mean() > 0.99


def test_lesions_are_apart(head: BrainPhantom) -> None:
    assert ndimage.label(head.labels.labels > 0, FULL)[1] == len(head.lesions)


def test_oedema_follows_white_matter_and_spares_cortex(head: BrainPhantom) -> None:
    wet = head.labels.labels == SNFH
    tissue = head.tissue[wet]
    assert (tissue == Tissue.WHITE).mean() > 0.9
    assert (tissue == Tissue.GREY).mean() < 0.08
    assert (tissue == Tissue.CSF).mean() < 0.02
    # Cortex is there to be spared: near the oedema it is as common as anywhere.
    near = ndimage.binary_dilation(wet, iterations=2) & ~wet & (head.labels.labels == 0)
    assert (head.tissue[near] == Tissue.GREY).mean() > 0.3


def test_oedema_has_its_volume_and_belongs_to_larger_lesions(head: BrainPhantom) -> None:
    for number, lesion in enumerate(head.lesions, start=1):
        wet = np.count_nonzero((head.instances == number) & (head.labels.labels == SNFH)) * head.grid.voxel_volume_mm3 / 1000
        assert wet <= lesion.oedema_ml * 1.02
        if lesion.kind is Kind.RING:
            assert wet > 0.5 * lesion.oedema_ml > 0
        if lesion.kind is Kind.TINY:
            assert wet == 0


def test_lesions_lie_where_grey_meets_white(head: BrainPhantom) -> None:
    for number, lesion in enumerate(head.lesions, start=1):
        if lesion.kind is Kind.RING:
            continue
        around = ndimage.binary_dilation(head.instances == number, FULL, iterations=2)
        found = head.tissue[around]
        assert np.isin(found, (Tissue.GREY, Tissue.WHITE)).mean() > 0.6
        assert (found == Tissue.GREY).any()
        assert (found == Tissue.WHITE).any()
    assert not np.isin(head.tissue[head.instances > 0], (Tissue.THALAMUS, Tissue.BRAINSTEM)).any()


def test_a_cavity_is_labelled_rc() -> None:
    phantom = make_brain_phantom(tiny(seed=1, n_ring=0, n_solid=0, n_tiny=0, n_cavity=1))
    (cavity,) = phantom.lesions
    inside = phantom.labels.labels == RC
    assert cavity.kind is Kind.CAVITY
    assert inside.sum() * phantom.grid.voxel_volume_mm3 == pytest.approx(cavity.volume_mm3, abs=0.6 * phantom.grid.voxel_volume_mm3)
    assert not np.isin(phantom.labels.labels, (NETC, ET)).any()
    for name, below in (("T1", True), ("T2", False), ("FLAIR", True)):
        data = phantom.volumes[name].data
        white = np.median(data[phantom.tissue == Tissue.WHITE])
        assert (np.median(data[ndimage.binary_erosion(inside)]) < white) == below


def test_mass_effect_pushes_the_brain_aside() -> None:
    still = make_brain_phantom(tiny(seed=0, mass_effect=0.0, protocol=()))
    pushed = make_brain_phantom(tiny(seed=0, mass_effect=1.0, lesions=still.lesions, protocol=()))
    np.testing.assert_array_equal(still.labels.labels == NETC, pushed.labels.labels == NETC)
    moved = (still.tissue != pushed.tissue) & still.brain
    ring = still.grid.to_index(still.lesions[0].centre_mm)
    distance = np.linalg.norm((np.argwhere(moved) - ring) * still.grid.spacing_mm, axis=1)
    assert moved.sum() > 50
    assert np.median(distance) < 40


def test_follow_up_plants_the_same_lesions_grown() -> None:
    from dataclasses import replace

    first = make_brain_phantom(tiny(seed=5))
    grown = tuple(replace(lesion, diameter_mm=1.2 * lesion.diameter_mm) for lesion in first.lesions)
    second = make_brain_phantom(tiny(seed=5, lesions=grown, scan_seed=99))
    assert second.lesions == grown
    np.testing.assert_array_equal(first.brain, second.brain)
    core = [np.isin(p.labels.labels, (NETC, ET)) for p in (first, second)]
    assert core[1].sum() / core[0].sum() == pytest.approx(1.2**3, rel=0.05)
    assert (core[0] & core[1]).sum() > 0.9 * core[0].sum()
    assert (first.volumes["T1"].data != second.volumes["T1"].data)[first.brain].mean() > 0.5


def test_a_lesion_outside_the_field_of_view_is_left_out() -> None:
    from dataclasses import replace

    whole = make_brain_phantom(tiny(seed=3, protocol=()))
    upper = tuple(i for i, lesion in enumerate(whole.lesions, start=1) if lesion.centre_mm[2] > 0)
    low = replace(whole.lesions[0], centre_mm=(0.0, 0.0, -500.0))
    part = make_brain_phantom(tiny(seed=3, lesions=(low, *whole.lesions[1:]), protocol=()))
    assert 1 not in part.instances
    assert set(np.unique(part.instances)) == {0, 2, 3}
    assert upper


def test_no_lesions_at_all() -> None:
    phantom = make_brain_phantom(BrainPhantomConfig(shape=(38, 46, 36), spacing_mm=(4, 4, 4), n_ring=0, n_solid=0, n_tiny=0, protocol=()))
    assert not phantom.labels.labels.any()
    assert phantom.lesions == ()

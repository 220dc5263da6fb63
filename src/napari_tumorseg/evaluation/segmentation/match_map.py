"""Which voxels belong to lesions that were found, missed or false."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.segmentation.instances import match_lesions
from napari_tumorseg.evaluation.segmentation.lesions import pairs_of
from napari_tumorseg.evaluation.segmentation.lesionwise import lesions_of_regions
from napari_tumorseg.evaluation.segmentation.parts import Parts, find_parts
from napari_tumorseg.evaluation.segmentation.profiles import Profile, profile_named
from napari_tumorseg.evaluation.segmentation.regions import Island, find_islands, region_pairs

__all__ = ["FALSE", "FOUND", "MISSED", "match_map"]

FOUND, MISSED, FALSE = 1, 2, 3
Labels = npt.NDArray[np.unsignedinteger[Any]]


def match_map(reference: Labels, prediction: Labels, profile: Profile | str, region: str) -> npt.NDArray[np.uint8]:
    """Map the lesions of a region by how they are matched, as the profile matches them.

    Parameters
    ----------
    reference, prediction : numpy.ndarray
        Labels (z, y, x) of one shape, unsigned.
    profile : Profile or str
        The definition, or its name. One of whole masks has no lesions: there, 26-connected parts that share a voxel match.
    region : str
        Of the profile; for a profile without regions, a label as text.

    Returns
    -------
    numpy.ndarray
        uint8 (z, y, x): `FOUND` (1) where a matched lesion of either mask is, `MISSED` (2) in reference lesions that nothing
        matches, `FALSE` (3) in predicted lesions outside of the reference's that match none, 0 elsewhere. What the profile
        deletes from the prediction is 0.

    Raises
    ------
    InputError
        If the profile has no such region.

    Examples
    --------
    >>> reference = np.zeros((1, 1, 9), np.uint8)
    >>> reference[..., :2], reference[..., 4] = 3, 3
    >>> prediction = np.roll(reference, 4, axis=2)
    >>> match_map(reference, prediction, "brats-mets-2026", "ET")[0, 0].tolist()
    [2, 2, 0, 0, 1, 1, 0, 0, 3]
    """
    chosen = profile_named(profile) if isinstance(profile, str) else profile
    if chosen.regions and region not in chosen.regions:
        raise InputError(f"{chosen.name} has no region {region}.", f"It has {', '.join(chosen.regions)}.")
    found = np.zeros(reference.shape, np.uint8)
    islands = find_islands(reference, prediction, max([chosen.dilations, *chosen.dilations_of.values()]))
    for island, one, other, matched in _matched(islands, chosen, region):
        own = _ids_in(one.ids, matched[:, 0])
        theirs = _ids_in(other.ids, matched[:, 1])
        block = np.zeros(one.ids.shape, np.uint8)
        block[other.ids > 0] = FALSE
        block[theirs] = FOUND
        block[one.ids > 0] = MISSED
        block[own] = FOUND
        found[island.box.slices] |= block
    return found


def _matched(islands: list[Island], profile: Profile, region: str) -> list[tuple[Island, Parts, Parts, npt.NDArray[np.int64]]]:
    """Return for each island the lesions of both sides and the (n, 2) pairs of numbers that match."""
    if profile.method == "lesion-wise":
        one, other = lesions_of_regions(islands, profile)[0][region]
        return [(island, a, b, pairs_of(a.halo, b.ids)[0]) for island, a, b in zip(islands, one, other, strict=True)]
    values = profile.regions.get(region) or (int(region),)
    found = []
    for island, pair in zip(islands, region_pairs(islands, {region: values})[region], strict=True):
        a, b = find_parts(pair.reference, 0), find_parts(pair.prediction, 0)
        if profile.method == "one-to-one":
            matches = np.array(list(match_lesions(a, b, profile.min_dice).items()), np.int64).reshape(-1, 2)
        else:
            matches = pairs_of(a.ids, b.ids)[0]
        found.append((island, a, b, matches))
    return found


def _ids_in(ids: npt.NDArray[Any], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    known = np.zeros(int(ids.max(initial=0)) + 1, bool)
    known[wanted[wanted < len(known)]] = True
    known[0] = False
    return np.asarray(known[ids])

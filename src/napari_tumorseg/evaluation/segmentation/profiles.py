"""Published definitions of scores, as named tables of constants.

A profile is never changed once it has been released; a new reading of a definition gets a new `version`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from napari_tumorseg.core.errors import InputError

__all__ = ["PROFILES", "UNPUBLISHED", "Profile", "profile_named"]

Method = Literal["lesion-wise", "one-to-one", "whole masks"]
Penalty = float | Literal["diagonal"] | None

_METS = {"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)}
_PAEDIATRIC = {"ET": (1,), "NETC": (2,), "CC": (3,), "ED": (4,), "TC": (1, 2, 3), "WT": (1, 2, 3, 4)}


@dataclass(frozen=True)
class Profile:
    """The constants of a definition.

    Attributes
    ----------
    name, version : str
        What it is called, and which reading of it this is.
    title, reference : str
        What it is for, and where it is defined.
    method : str
        "lesion-wise": reference lesions against the union of the predicted lesions that touch them, false
        positives in the denominator (2023, 2024). "one-to-one": matched pairs of lesions (2026). "whole
        masks": no lesions at all.
    regions : mapping of str to tuple of int
        Mask values of each region; empty where every value of the masks is a region of its own.
    dilations : int
        How often a lesion is dilated by the 18-neighbour element, to merge parts and to find what touches it.
    min_volume_mm3 : float
        Lesion-wise: reference lesions up to this volume are left out. One-to-one: smaller lesions are only detected.
    dilations_of, min_volume_of : mapping of str to number
        Regions with another value.
    hd95_penalty : float or "diagonal" or None
        HD95 of a missed or false lesion: millimetres, the diagonal of the array in voxels, or none.
    lesion_nsd_mm : tuple of float
        Tolerances of the lesion-wise NSD; empty where there is none. None stands for the smallest voxel spacing.
    merges_predictions : bool
        Whether predicted parts are merged by dilation as the reference's are, and predicted lesions of no more
        voxels than the region's `min_volume_mm3` deleted.
    merge_steps : tuple of (str, str)
        (A, B): lesions of A that touch the same lesion of B become one, step by step.
    min_dice : float
        One-to-one: Dice from which a pair may be matched.
    small_min_dice : float
        One-to-one: Dice from which a small lesion counts as detected.
    surface : str
        Surface of the whole-mask HD95 and NSD and of the one-to-one scores, see `surface`.
    nsd_mm : float or None
        Tolerance of the whole-mask NSD; None for the smallest voxel spacing.
    exchanges_spacing : bool
        One-to-one: whether the voxel sizes of x and z change places where distances between lesions are measured, as
        they do in the published scorer; of no consequence where they are equal.
    empty : str
        What two empty masks give, in words.
    missing : str
        What a case without a prediction gives, in words.
    """

    name: str
    title: str
    reference: str
    method: Method
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    version: str = "1"
    dilations: int = 0
    min_volume_mm3: float = 0.0
    dilations_of: Mapping[str, int] = field(default_factory=dict)
    min_volume_of: Mapping[str, float] = field(default_factory=dict)
    hd95_penalty: Penalty = None
    lesion_nsd_mm: tuple[float | None, ...] = ()
    merges_predictions: bool = False
    merge_steps: tuple[tuple[str, str], ...] = ()
    min_dice: float = 0.0
    small_min_dice: float = 0.0
    surface: Literal["elements", "voxels"] = "elements"
    nsd_surface: Literal["elements", "voxels"] = "elements"
    nsd_mm: float | None = 1.0
    exchanges_spacing: bool = False
    empty: str = "Dice 1, HD95 0, NSD 1"
    missing: str = "Dice 0, HD95 as the penalty, NSD 0 in every region"
    connectivity: int = 26

    @property
    def values(self) -> frozenset[int]:
        """Mask values that the profile knows; empty for all."""
        return frozenset(v for values in self.regions.values() for v in values)

    @property
    def helpers(self) -> tuple[str, ...]:
        """Names of regions that only decide which lesions of others are merged."""
        return tuple(name for name in dict.fromkeys(b for _, b in self.merge_steps) if name not in self.regions)

    def dilations_in(self, region: str) -> int:
        """Return how often lesions of a region are dilated."""
        return self.dilations_of.get(region, self.dilations)

    def min_volume_in(self, region: str) -> float:
        """Return the smallest volume that counts in a region, in mm³."""
        return self.min_volume_of.get(region, self.min_volume_mm3)

    def penalty_mm(self, shape: tuple[int, ...]) -> float | None:
        """Return the HD95 of a missed or false lesion in an array of `shape`."""
        if self.hd95_penalty == "diagonal":
            return float(sum(n * n for n in shape) ** 0.5)
        return self.hd95_penalty

    def constants(self) -> dict[str, Any]:
        """Return every constant as plain values, for printing with a result."""
        return {
            "version": self.version,
            "title": self.title,
            "reference": self.reference,
            "method": self.method,
            "regions": {name: list(values) for name, values in self.regions.items()},
            "connectivity": self.connectivity,
            "dilations_18_neighbour": self.dilations,
            "dilations_of": dict(self.dilations_of),
            "min_volume_mm3": self.min_volume_mm3,
            "min_volume_mm3_of": dict(self.min_volume_of),
            "hd95_penalty_mm": self.hd95_penalty,
            "lesionwise_nsd_tolerances_mm": ["smallest voxel spacing" if t is None else t for t in self.lesion_nsd_mm],
            "predictions_merged_and_small_ones_deleted": self.merges_predictions,
            "merge_steps": [list(step) for step in self.merge_steps],
            "min_dice_of_a_pair": self.min_dice,
            "min_dice_of_a_small_lesion": self.small_min_dice,
            "hd95_surface": self.surface,
            "nsd_surface": self.nsd_surface,
            "nsd_tolerance_mm": "smallest voxel spacing" if self.nsd_mm is None else self.nsd_mm,
            "lesion_distances_exchange_x_and_z_spacing": self.exchanges_spacing,
            "both_empty": self.empty,
            "missing_prediction": self.missing,
        }


_SALUJA_2023 = "BraTS 2023 lesion-wise metrics, rachitsaluja/BraTS-2023-Metrics"
_SALUJA_2024 = "BraTS 2024 lesion-wise metrics, rachitsaluja/BraTS-2024-Metrics"
_BY_GLI = (
    *(("NETC", "ET"), ("NETC", "RC"), ("ET", "NETC"), ("ET", "RC"), ("RC", "ET"), ("RC", "NETC")),
    *(("SNFH", "ET"), ("SNFH", "RC"), ("SNFH", "NETC")),
)


def _lesion_wise_2024(name: str, title: str, script: str, **constants: Any) -> Profile:
    return Profile(
        name,
        title,
        f"{_SALUJA_2024} ({script})",
        "lesion-wise",
        lesion_nsd_mm=(0.5, 1.0),
        nsd_surface="voxels",
        **constants,
    )


def _all() -> tuple[Profile, ...]:
    return (
        Profile(
            "brats-mets-2023",
            "Brain metastases, BraTS 2023",
            _SALUJA_2023,
            "lesion-wise",
            _METS,
            dilations=1,
            min_volume_mm3=2.0,
            hd95_penalty=374.0,
        ),
        _lesion_wise_2024(
            "brats-mets-2024",
            "Brain metastases, BraTS 2024",
            "metrics_MET.py",
            regions={**_METS, "RC": (4,)},
            dilations=1,
            min_volume_mm3=2.0,
            hd95_penalty="diagonal",
            merges_predictions=True,
            merge_steps=(("ET", "NETC"),),
        ),
        Profile(
            "brats-mets-2026",
            "Brain metastases, BraTS 2026",
            "BraTS/BraTS_evaluation at 791134c (mets); Sage-Bionetworks-Challenges/brats-infra at 3c04557; panoptica, arXiv:2312.02608",
            "one-to-one",
            {**_METS, "RC": (4,)},
            min_volume_mm3=27.0,
            hd95_penalty=373.0,
            lesion_nsd_mm=(None,),
            min_dice=1e-6,
            small_min_dice=0.2,
            surface="voxels",
            nsd_surface="voxels",
            nsd_mm=None,
            exchanges_spacing=True,
            empty="no score",
        ),
        Profile(
            "brats-gli-2023",
            "Adult glioma, BraTS 2023",
            _SALUJA_2023,
            "lesion-wise",
            _METS,
            dilations=3,
            min_volume_mm3=50.0,
            hd95_penalty=374.0,
        ),
        _lesion_wise_2024(
            "brats-gli-2024",
            "Adult glioma after treatment, BraTS 2024",
            "metrics_GLI.py",
            regions={"ET": (3,), "NETC": (1,), "SNFH": (2,), "TC": (1, 3), "WT": (1, 2, 3), "RC": (4,)},
            dilations=3,
            dilations_of={"NETC": 5, "RC": 5},
            min_volume_mm3=20.0,
            min_volume_of={"ET": 10.0},
            hd95_penalty=337.0,
            merges_predictions=True,
            merge_steps=_BY_GLI,
        ),
        _lesion_wise_2024(
            "brats-ped-2024",
            "Paediatric tumours, BraTS 2024",
            "metrics_PED.py",
            regions=_PAEDIATRIC,
            dilations=5,
            min_volume_mm3=10.0,
            hd95_penalty=374.0,
            merges_predictions=True,
        ),
        _lesion_wise_2024(
            "brats-men-2024",
            "Meningioma, BraTS 2024",
            "metrics_MEN.py",
            regions=_METS,
            dilations=1,
            min_volume_mm3=50.0,
            hd95_penalty=374.0,
        ),
        Profile(
            "plain",
            "Whole masks, one score for each mask value",
            "Dice; HD95 and NSD by google-deepmind/surface-distance, doi:10.2196/26151",
            "whole masks",
            empty="no score; an infinite HD95 is none",
            missing="left out of the means",
        ),
    )


#: Profiles by name.
PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _all()})

#: Challenges whose settings were never published, with the profile that is nearest.
UNPUBLISHED: Mapping[str, str] = MappingProxyType({"brats-mets-2025": "brats-mets-2026"})


def profile_named(name: str) -> Profile:
    """Return a profile of `PROFILES`.

    Raises
    ------
    InputError
        If there is none of that name, or its settings are unpublished.

    Examples
    --------
    >>> profile_named("brats-mets-2023").dilations
    1
    """
    if name in UNPUBLISHED:
        raise InputError(
            f"The configuration that {name} was scored with was mounted on the challenge's server and is unpublished.",
            f"The nearest published one is {UNPUBLISHED[name]}.",
        )
    if name not in PROFILES:
        raise InputError(f"There is no profile {name!r}.", f"Choose one of {', '.join(PROFILES)}.")
    return PROFILES[name]

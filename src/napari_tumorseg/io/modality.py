"""Which modality an image shows, and whether a file is a mask, from its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.names import stem_of, suffix_of

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["guess_modality", "guess_unit", "is_mask_name", "mask_name"]

_T1C = re.compile(r"(ce|gd)?t1w?(\+?c|ce|\+?gd|gado?|km|kh|post|contrast)|cet1w?")
_T1 = re.compile(r"t1|t1w|t1n|t1wn?|t1pre|t1native|mprage|t1mprage|mp2rage|spgr|fspgr|bravo")
_T2 = re.compile(r"t2|t2w|t2(tse|fse|tra|ax|axial|sag|cor)")
_FLAIR = re.compile(r"flair|t2f|t2flair|flairt2|t2wflair|tirm|darkfluid")
_CT = re.compile(r"ct|cct|ncct|cect|lowdosect")
_PET = re.compile(r"pet|suv|suvbw|fdg|fdgpet|petsuv")
_OTHER = {
    "ADC": re.compile(r"adc"),
    "DWI": re.compile(r"dwi|dti|trace|b\d{3,4}"),
    "SWI": re.compile(r"swi|swan"),
    "T2*": re.compile(r"t2s|t2star|t2\*|gre"),
}
_AGENT = re.compile(r"c|\+c|ce|gd|gad|gado|gadolinium|gadovist|dotarem|km|post|postcontrast|contrast|enhanced|postgd")
_NO_AGENT = re.compile(r"pre|native|nativ|precontrast|noncontrast|nocontrast|unenhanced|non|without")
# What follows says onto what the image was moved, not what it shows.
_ONTO = re.compile(r"on|onto|to|in|into|reg|registered|coreg|space")
_MASK = re.compile(
    r"seg|segs|segm|segmentation|segmentations|mask|masks|brainmask|label|labels|labelmap|gtv|gtvp|gtvn|ctv|ptv|roi|rois|annotation|annotations"
)
_AIR_HU = -200


def _tokens(name: str) -> list[str]:
    return [token for token in re.split(r"[^a-z0-9+*]+", name.lower()) if token]


def guess_modality(name: str, dataset: Dataset | None = None) -> str:
    """Return the modality that an image shows, "" when neither attributes nor name say it.

    Parameters
    ----------
    name : str
        File name, with or without suffix: BraTS names old and new ("…_t1ce", "…-t1c"), BIDS
        names, and the words in use elsewhere ("AX T1 +C", "mprage post Gd").
    dataset : pydicom.Dataset, optional
        Attributes of a DICOM image, which then decide alone.

    Returns
    -------
    str
        "T1", "T1c", "T2", "FLAIR", "CT", "PET", "ADC", "DWI", "SWI", "T2*" or "".

    Examples
    --------
    >>> [guess_modality(n) for n in ("BraTS-MET-00110-000-t1c.nii.gz", "CASE_t1ce.nii.gz", "t2f.nii.gz", "ct_on_pet.nii.gz")]
    ['T1c', 'T1c', 'FLAIR', 'CT']
    """
    if dataset is not None:
        from napari_tumorseg.io.dicom_modality import modality_of

        return modality_of(dataset)
    tokens = _tokens(stem_of(Path(name)))
    onto = next((i for i, token in enumerate(tokens) if i and _ONTO.fullmatch(token)), len(tokens))
    # Without anything known before it, the word is a part of the name ("in", "reg").
    return _of_tokens(tokens[:onto]) or _of_tokens(tokens)


def _of_tokens(tokens: list[str]) -> str:
    def has(pattern: re.Pattern[str]) -> bool:
        return any(pattern.fullmatch(token) for token in tokens)

    for modality, pattern in _OTHER.items():
        if has(pattern):
            return modality
    t1, enhanced = has(_T1) or has(_T1C), has(_T1C)
    # A T1-weighted inversion recovery is called "T1 FLAIR".
    if t1 and has(_T2):
        return ""
    if t1:
        return "T1c" if enhanced or (has(_AGENT) and not has(_NO_AGENT)) else "T1"
    if has(_FLAIR):
        return "FLAIR"
    if has(_T2):
        return "T2"
    if has(_CT) == has(_PET):
        return ""
    return "CT" if has(_CT) else "PET"


def guess_unit(name: str, volume: Volume) -> str:
    """Return the unit of an image whose format states none: "SUV" where the name of a PET image says so, "HU" for CT, else "".

    CT without a value below -200, which all air has in Hounsfield units, is stored in some other way.
    """
    if volume.modality == "PET" and any(token in ("suv", "suvbw", "petsuv") for token in _tokens(stem_of(Path(name)))):
        return "SUV"
    if volume.modality == "CT" and volume.data.min(initial=0) < _AIR_HU:
        return "HU"
    return ""


def is_mask_name(path: Path) -> bool:
    """Whether a file name says that it holds a mask ("…-seg.nii.gz", "mask.nii.gz", "….seg.nrrd")."""
    return suffix_of(path) in (".seg.nrrd", ".seg.nhdr") or any(_MASK.fullmatch(token) for token in _tokens(stem_of(path)))


def mask_name(path: Path, image_stems: Sequence[str] = ()) -> str:
    """Return the name of a mask in its case: "seg" where it is the segmentation of the case, else its stem.

    Parameters
    ----------
    path : Path
        The mask.
    image_stems : sequence of str
        Names of the images beside it, without suffix; "CASE-seg" is "seg" where one begins with "CASE".
    """
    stem = stem_of(path)
    found = re.fullmatch(r"(.*?)[-_. ]?seg", stem, re.IGNORECASE)
    return "seg" if found and (not found[1] or any(image.startswith(found[1]) for image in image_stems)) else stem

"""Which prediction belongs to which reference, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.modality import guess_modality, is_mask_name
from napari_tumorseg.io.names import natural_key, stem_of, suffix_of
from napari_tumorseg.io.registry import FORMATS

__all__ = ["CasePair", "masks_in", "pair_folders"]

# Words that say what a mask is to its case, not which case it is.
_ROLES = frozenset(
    [
        *("seg", "segmentation", "mask", "label", "labels", "gt", "groundtruth", "truth", "ref", "reference"),
        *("pred", "prediction", "predicted", "ai", "auto", "manual", "final"),
    ]
)


@dataclass(frozen=True)
class CasePair:
    """The masks of one case; no prediction where there is none."""

    case: str
    reference: Path
    prediction: Path | None


def pair_folders(references: Path, predictions: Path) -> tuple[list[CasePair], list[Path]]:
    """Pair the masks of two folders.

    Names are compared three times, each time among those that are left: as they are; without words such as "seg" or
    "pred"; and by the parts with a digit alone, which makes a pair of "BraTS-MET-00132-000-seg" and "00132-000".

    Returns
    -------
    pairs : list of CasePair
        One for each reference.
    extra : list of Path
        Predictions without a reference.

    Raises
    ------
    InputError
        If a folder holds no mask, names fit more than once, or none fits at all.
    """
    left, right = masks_in(references), masks_in(predictions)
    found: dict[Path, Path] = {}
    for key in (_whole, _without_roles, _numbers):
        open_left = [path for path in left if path not in found]
        open_right = [path for path in right if path not in found.values()]
        by_key = _by_key(open_right, key)
        for name, paths in _by_key(open_left, key).items():
            others = by_key.get(name, [])
            if len(paths) > 1 and others:
                raise _ambiguous(paths, others[0])
            if len(others) > 1:
                raise _ambiguous(others, paths[0])
            if others:
                found[paths[0]] = others[0]
    if not found:
        raise InputError(
            f"No file name in {predictions} fits one in {references} (e.g. {right[0].name} and {left[0].name}).",
            "Name the masks of a case alike, e.g. CASE.nii.gz or CASE-seg.nii.gz.",
        )
    return [CasePair(_case(path), path, found.get(path)) for path in left], [path for path in right if path not in found.values()]


def masks_in(folder: Path) -> list[Path]:
    """Return the masks in a folder, or in its folders where it holds none itself, in the order people count.

    Files whose names say that they are images ("…-t1c") are passed over where there are others.
    """
    own = _masks_of(folder)
    subfolders = sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural_key)
    found = own or [path for sub in subfolders for path in _masks_of(sub)]
    if not found:
        raise InputError(
            f"{folder} holds no mask.", "Choose a folder of masks (NIfTI, NRRD, MetaImage or TIFF), or of one folder per case."
        )
    return found


def _masks_of(folder: Path) -> list[Path]:
    suffixes = {suffix for form in FORMATS if form.writes_masks and form.by_suffix for suffix in form.suffixes}
    files = sorted(
        (p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".") and suffix_of(p) in suffixes), key=natural_key
    )
    return [path for path in files if is_mask_name(path) or not guess_modality(stem_of(path))] or files


def _case(path: Path) -> str:
    """Return the name of a case: that of its file without the words at its end, or of its folder where nothing is left."""
    stem = re.sub(rf"(?:[-_. ](?:{'|'.join(sorted(_ROLES))}))+$", "", stem_of(path), flags=re.IGNORECASE)
    return stem if _without_roles(path) and stem.lower() not in _ROLES else path.parent.name


def _tokens(path: Path) -> list[str]:
    return [token for token in re.split(r"[-_. ]+", stem_of(path).lower()) if token]


def _whole(path: Path) -> str:
    return stem_of(path)


def _without_roles(path: Path) -> str:
    return "-".join(token for token in _tokens(path) if token not in _ROLES) or path.parent.name.lower()


def _numbers(path: Path) -> str:
    return "-".join(token for token in _tokens(path) if any(c.isdigit() for c in token))


def _by_key(paths: Iterable[Path], key: Callable[[Path], str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in paths:
        if key(path):
            groups.setdefault(key(path), []).append(path)
    return groups


def _ambiguous(several: Sequence[Path], one: Path) -> InputError:
    names = " and ".join(f"{p.parent.name}/{p.name}" for p in several[:2])
    return InputError(f"{names} both fit {one.parent.name}/{one.name}.", "Give each case a name of its own.")

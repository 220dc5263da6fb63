"""The forms of what can be measured: frozen dataclasses, which the window shows as controls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_tumorseg.evaluation.segmentation.profiles import PROFILES

__all__ = [
    "MaskFiles",
    "MaskFolders",
    "ModelFolders",
    "OpenMasks",
    "OpenPet",
    "QuantityTable",
    "RaterFolder",
    "VisitFiles",
    "VisitFolder",
    "with_choices",
]

_PROFILES = {"choices": tuple(PROFILES), "label": "Profile"}
_FOLDER = {"mode": "d"}
_TABLES = {"mode": "r", "filter": "Tables (*.csv)"}
_PROFILE = "brats-mets-2024"


@dataclass(frozen=True)
class OpenMasks:
    """Two masks that are open.

    Attributes
    ----------
    reference : str
        Mask that the other is measured against.
    prediction : str
        Mask that is measured.
    profile : str
        Definition of the scores, with its constants.
    """

    reference: str = field(default="", metadata={"choices": ()})
    prediction: str = field(default="", metadata={"choices": (), "label": "Test"})
    profile: str = field(default=_PROFILE, metadata=_PROFILES)


@dataclass(frozen=True)
class OpenPet:
    """PET and mask that are open.

    Attributes
    ----------
    pet : str
        Image in SUV.
    mask : str
        Its lesions.
    """

    pet: str = field(default="", metadata={"choices": (), "label": "PET"})
    mask: str = field(default="", metadata={"choices": ()})


@dataclass(frozen=True)
class MaskFiles:
    """Two masks on disk.

    Attributes
    ----------
    reference : Path
        Mask that the other is measured against.
    prediction : Path
        Mask that is measured.
    profile : str
        Definition of the scores, with its constants.
    resample : bool
        Bring a mask on another grid to the reference's; it is refused otherwise.
    """

    reference: Path = Path()
    prediction: Path = field(default=Path(), metadata={"label": "Test"})
    profile: str = field(default=_PROFILE, metadata=_PROFILES)
    resample: bool = False


@dataclass(frozen=True)
class MaskFolders:
    """Two folders of masks whose names fit.

    Attributes
    ----------
    reference : Path
        Folder of reference masks.
    prediction : Path
        Folder of the masks that are measured; file names are paired by case.
    profile : str
        Definition of the scores, with its constants.
    resample : bool
        Bring masks on another grid to the reference's; they are refused otherwise.
    """

    reference: Path = field(default=Path(), metadata=_FOLDER)
    prediction: Path = field(default=Path(), metadata={**_FOLDER, "label": "Test"})
    profile: str = field(default=_PROFILE, metadata=_PROFILES)
    resample: bool = False


@dataclass(frozen=True)
class ModelFolders:
    """Folders of the masks of two or three models.

    Attributes
    ----------
    references : Path
        Folder of reference masks.
    model_a, model_b : Path
        Folder of the masks of a model.
    model_c : Path
        Folder of the masks of a third model; may stay empty.
    profile : str
        Definition of the scores, with its constants.
    """

    references: Path = field(default=Path(), metadata=_FOLDER)
    model_a: Path = field(default=Path(), metadata={**_FOLDER, "label": "Model A"})
    model_b: Path = field(default=Path(), metadata={**_FOLDER, "label": "Model B"})
    model_c: Path = field(default=Path(), metadata={**_FOLDER, "label": "Model C"})
    profile: str = field(default=_PROFILE, metadata=_PROFILES)


@dataclass(frozen=True)
class RaterFolder:
    """Masks of several raters.

    Attributes
    ----------
    source : Path
        Folder of masks named by case and rater.
    """

    source: Path = field(default=Path(), metadata={**_FOLDER, "label": "Folder"})


@dataclass(frozen=True)
class QuantityTable:
    """Two columns of a table.

    Attributes
    ----------
    table : Path
        CSV file with one row per measurement.
    reference : str
        Column of the reference.
    test : str
        Column of what is tested, in the same unit.
    patient : str
        Column that says whose row it is; several rows of a patient are averaged. May stay empty.
    """

    table: Path = field(default=Path(), metadata=_TABLES)
    reference: str = ""
    test: str = ""
    patient: str = ""


@dataclass(frozen=True)
class VisitFiles:
    """Masks of one patient in order of time.

    Attributes
    ----------
    baseline : Path
        Mask of the first scan.
    followup_1, followup_2, followup_3 : Path
        Masks of the scans after it; those that are not there stay empty.
    """

    baseline: Path = Path()
    followup_1: Path = field(default=Path(), metadata={"label": "Follow-up 1"})
    followup_2: Path = field(default=Path(), metadata={"label": "Follow-up 2"})
    followup_3: Path = field(default=Path(), metadata={"label": "Follow-up 3"})


@dataclass(frozen=True)
class VisitFolder:
    """A patient with several visits.

    Attributes
    ----------
    folder : Path
        With a sub-folder for each dated visit, images and masks in it; the visits are registered by their images.
    """

    folder: Path = field(default=Path(), metadata=_FOLDER)


def with_choices(
    value: OpenMasks | OpenPet, masks: tuple[str, ...], pets: tuple[str, ...]
) -> tuple[OpenMasks | OpenPet, dict[str, dict[str, tuple[str, ...]]], str]:
    """Return a form of what is open, with choices that are there.

    Parameters
    ----------
    value : OpenMasks or OpenPet
        As it was filled in before; choices that are there still are kept.
    masks, pets : tuple of str
        Names of the open masks, and of the open images in SUV.

    Returns
    -------
    form, choices, missing
        ``choices`` by field as options of the form; ``missing`` says what has to be opened first, empty where nothing is missing.

    Examples
    --------
    >>> form, choices, missing = with_choices(OpenMasks(), ("manual", "AI"), ())
    >>> form.reference, form.prediction, missing
    ('manual', 'AI', '')
    >>> with_choices(OpenMasks(), ("manual",), ())[2]
    'Open a case with two masks: a reference, and the mask that is measured.'
    """
    if isinstance(value, OpenMasks):
        if len(masks) < 2:
            return value, {}, "Open a case with two masks: a reference, and the mask that is measured."
        reference = value.reference if value.reference in masks else masks[0]
        prediction = value.prediction if value.prediction in masks and value.prediction != reference else ""
        prediction = prediction or next(name for name in masks if name != reference)
        options = {"reference": {"choices": masks}, "prediction": {"choices": masks}}
        return replace(value, reference=reference, prediction=prediction), options, ""
    if not pets or not masks:
        return value, {}, "Open a case with a PET in SUV and a mask of its lesions."
    pet = value.pet if value.pet in pets else pets[0]
    mask = value.mask if value.mask in masks else masks[0]
    return replace(value, pet=pet, mask=mask), {"pet": {"choices": pets}, "mask": {"choices": masks}}, ""

"""The contract that everything able to segment fulfils."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import LabelSchema

__all__ = ["Input", "Need", "Prediction", "Prompt", "PromptKind", "PromptLesion", "Segmenter", "SegmenterSpec", "WeightFile"]

PromptKind = str  # "point", "box", "scribble", "lasso" or "mask"
PromptLesion = Literal["either", "new", "same"]


@dataclass(frozen=True)
class Need:
    """One image that a model takes.

    Attributes
    ----------
    modality : str
        E.g. "T1c"; the key under which a case holds it.
    required : bool
        False when the model works without it.
    """

    modality: str
    required: bool = True


@dataclass(frozen=True)
class WeightFile:
    """A file of trained numbers, known by its content.

    Attributes
    ----------
    name : str
        File name, safetensors unless the backend says otherwise.
    sha256 : str
        Hash of the content, hex.
    url : str
        Where it can be downloaded; "" when it can not.
    how : str
        What to do when it is missing and cannot be downloaded, in the user's words.
    """

    name: str
    sha256: str
    url: str = ""
    how: str = ""


@dataclass(frozen=True)
class SegmenterSpec:
    """What a model is, needs and may be used for.

    Attributes
    ----------
    name : str
        Catalogue name, e.g. "brain-tumour-small".
    title : str
        One line for people.
    backend : str
        Which backend runs it, e.g. "network", "brats17-cascade".
    inputs : tuple of Need
        Images in the model's channel order.
    schema : LabelSchema
        Labels of the result.
    remap : mapping of int to int
        Replaces the model's own values by those of `schema`.
    regions : tuple of str
        Regions for which the model gives probabilities.
    spacing_mm : tuple of float, optional
        (z, y, x) that the model works at; None for any.
    orientation : str
        Where the (z, y, x) axes run to when the network sees them; "" for any.
    skull_stripped : bool
        Whether the images must show the brain alone.
    window : tuple of int
        Window in voxels (z, y, x).
    options : mapping
        Settings of the backend: network, configuration, overlap and the like.
    weights : tuple of WeightFile
        Files it needs.
    licence, licence_file : str
        Name of the licence of the weights, and the file with its text beside the card.
    commercial_use : bool
        Whether the licence of the weights allows commercial use.
    citation : str
        What to cite.
    trained_on : str
        Data and split.
    warnings : tuple of str
        Limits that the user is told wherever the model is chosen or its result is reported.
    prompts : tuple of str
        Kinds of spatial prompt it takes.
    sees_mm : float, optional
        How far from the prompts the images matter and the result may reach; None for the whole image.
    takes_text : bool
        Whether it takes a text prompt.
    needs_trust : bool
        Whether running it executes code that came with it.
    version : str
        Version of the model.
    """

    name: str
    title: str
    backend: str
    inputs: tuple[Need, ...]
    schema: LabelSchema
    remap: Mapping[int, int] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    spacing_mm: tuple[float, float, float] | None = None
    orientation: str = ""
    skull_stripped: bool = False
    window: tuple[int, int, int] = (96, 96, 96)
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[WeightFile, ...] = ()
    licence: str = ""
    licence_file: str = ""
    commercial_use: bool = False
    citation: str = ""
    trained_on: str = ""
    warnings: tuple[str, ...] = ()
    prompts: tuple[PromptKind, ...] = ()
    sees_mm: float | None = None
    takes_text: bool = False
    needs_trust: bool = False
    version: str = "1"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities in channel order."""
        return tuple(need.modality for need in self.inputs)


@dataclass(frozen=True, eq=False)
class Prompt:
    """A hint from the user about one structure.

    Attributes
    ----------
    kind : str
        "point", "box", "scribble", "lasso" or "mask".
    points_mm : numpy.ndarray
        Shape (n, 3), RAS millimetres: the point, two corners, or the line.
    include : bool
        Whether the place belongs to the structure.
    mask : numpy.ndarray, optional
        Boolean (z, y, x) on the grid of the input, for kind "mask".
    lesion : str
        For an include point outside of what is there already: "new" for a lesion of its own, "same" for a
        correction of the one beside it, "either" where the segmenter is to judge.
    """

    kind: PromptKind
    points_mm: npt.NDArray[np.float64]
    include: bool = True
    mask: npt.NDArray[np.bool_] | None = None
    lesion: PromptLesion = "either"


@dataclass(frozen=True, eq=False)
class Input:
    """What a segmenter is given.

    Attributes
    ----------
    images : mapping of str to numpy.ndarray
        By modality; each (z, y, x) float32 on `grid`, raw intensities. Optional ones may lack.
    grid : Grid
        Shared by all images.
    prompts : tuple of Prompt
        Spatial hints, oldest first.
    text : str
        Text prompt.
    previous : numpy.ndarray, optional
        Labels (z, y, x) to start from.
    """

    images: Mapping[str, npt.NDArray[np.float32]]
    grid: Grid
    prompts: tuple[Prompt, ...] = ()
    text: str = ""
    previous: npt.NDArray[np.unsignedinteger[Any]] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a segmenter answers, on the grid of its input.

    Attributes
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), uint8, values of the spec's schema.
    probabilities : mapping of str to numpy.ndarray
        By region: (z, y, x), float16, 0 to 1; empty unless asked for.
    uncertainty : numpy.ndarray, optional
        Shape (z, y, x), float16; larger is less sure.
    samples : tuple of numpy.ndarray
        Labels of single draws, for models that sample.
    device : str
        Where it ran.
    notes : tuple of str
        What the user should know, e.g. that it moved to the CPU.
    seconds : mapping of str to float
        Time by stage.
    """

    labels: npt.NDArray[np.uint8]
    probabilities: Mapping[str, npt.NDArray[np.float16]] = field(default_factory=dict)
    uncertainty: npt.NDArray[np.float16] | None = None
    samples: tuple[npt.NDArray[np.uint8], ...] = ()
    device: str = "cpu"
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Segmenter(Protocol):
    """Anything that turns images into labels."""

    @property
    def spec(self) -> SegmenterSpec:
        """What it is and needs."""
        ...

    def predict(
        self,
        given: Input,
        *,
        device: str = "auto",
        probabilities: bool = False,
        progress: Progress | None = None,
    ) -> Prediction:
        """Segment.

        Parameters
        ----------
        given : Input
            Images on one grid of any orientation and spacing, prompts, text.
        device : str
            "auto", "cpu" or "cuda".
        probabilities : bool
            Whether region probabilities are kept.
        progress : Progress, optional
            Told how far it is; asked whether to stop.

        Raises
        ------
        ModelError
            If weights are missing or the result is unusable.
        Cancelled
            If the user stopped it.
        """
        ...

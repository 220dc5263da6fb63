"""What a model's table says to the network backend, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.core.segmenter import SegmenterSpec

__all__ = ["NetworkOptions"]


@dataclass(frozen=True)
class NetworkOptions:
    """Options of a plain network.

    Attributes
    ----------
    network : str
        Name in `networks.zoo`.
    config : mapping
        Its configuration.
    normalise : str
        Name in `inference.normalise`.
    activation : str
        "sigmoid": one channel for each region, which may overlap. "softmax": the background's
        channel, then one for each region, which exclude each other.
    regions_to_labels : mapping of str to (str or int)
        In channel order: the label, by name or by the model's own value, of what belongs to the
        region and to none that comes later.
    threshold : float
        Probability above which a voxel belongs to a region; for "sigmoid".
    overlap : float
        Least share of a window's edge that neighbours have in common, 0 up to but not 1.
    nested : bool
        Whether each region lies inside the one before it; what sticks out is cut off.
    min_lesion_mm3 : float
        Connected parts (26 neighbours) of all labels together that are smaller are dropped.
    margin_mm : float
        Background kept around the brain.
    """

    network: str
    config: Mapping[str, Any] = field(default_factory=dict)
    normalise: str = "zscore-nonzero"
    activation: str = "sigmoid"
    regions_to_labels: Mapping[str, str | int] = field(default_factory=dict)
    threshold: float = 0.5
    overlap: float = 0.25
    nested: bool = False
    min_lesion_mm3: float = 0.0
    margin_mm: float = 2.0

    @classmethod
    def of(cls, spec: SegmenterSpec) -> NetworkOptions:
        """Return the options of a model; raise `ModelError` where one is missing, unknown or impossible."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(spec.options) - known)
        if unknown:
            raise ModelError(f"{spec.name} has the unknown option {', '.join(unknown)}.", f"The options are {', '.join(sorted(known))}.")
        if "network" not in spec.options:
            raise ModelError(f"{spec.name} does not say which network it is.", "Give the option 'network' in its table.")
        options = cls(**dict(spec.options))
        numbers = (options.threshold, options.overlap, options.min_lesion_mm3, options.margin_mm)
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise ModelError(f"{spec.name} has a word where an option is a number.", "Correct the model's table.")
        for wrong, what in (
            (options.activation not in ("sigmoid", "softmax"), f"the activation {options.activation!r}; it is 'sigmoid' or 'softmax'"),
            (not options.regions_to_labels, "no regions_to_labels, so its answer has no labels"),
            (not 0 <= options.overlap < 1, f"the overlap {options.overlap}; it is at least 0 and less than 1"),
            (not 0 <= options.threshold < 1, f"the threshold {options.threshold}; it is at least 0 and less than 1"),
            (options.nested and options.activation == "softmax", "nested regions of a softmax, which exclude each other"),
            (set(spec.regions) - set(options.regions_to_labels), "a region without a label in regions_to_labels"),
        ):
            if wrong:
                raise ModelError(f"{spec.name} has {what}.", "Correct the model's table.")
        return options

    def values(self, spec: SegmenterSpec) -> dict[str, int]:
        """Return the value of each region's label in the spec's schema, in channel order."""
        found = {}
        for region, label in self.regions_to_labels.items():
            own = label if isinstance(label, int) else spec.schema.label(label).value
            found[region] = spec.schema.label(spec.remap.get(own, own)).value
        return found

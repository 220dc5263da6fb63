"""Settings of the click segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from napari_tumorseg.core.errors import ModelError

__all__ = ["ClickOptions"]


@dataclass(frozen=True)
class ClickOptions:
    """How a lesion is found around a click; the values were chosen on the tuning cases of `docs/results/click.md`.

    Attributes
    ----------
    with_core : bool
        Whether a ring comes with what it encloses, and a click on a core with the ring around it.
    reach_mm : float
        How far from the prompts a lesion may go.
    smallest_share, largest_share : float
        The border lies where the contrast image has fallen from the level at the click to this share of
        the way above its surroundings; the sweep goes from the largest share down to the smallest.
    jump : float
        A region that grows by more than this factor from one step of the sweep to the next has leaked.
    neck_mm : float
        Half width of a neck that is cut: what hangs on a thinner one is a vessel or another structure.
    seed_mm : float
        Radius around the click whose values give the level.
    small_mm3 : float
        Below this volume the sweep is done again on the image's own voxels.
    enhancing : float
        From how many median deviations above its surroundings on T1c a click counts as one on enhancement.
    """

    with_core: bool = True
    reach_mm: float = 40.0
    smallest_share: float = 0.45
    largest_share: float = 0.7
    jump: float = 1.8
    neck_mm: float = 1.5
    seed_mm: float = 2.5
    small_mm3: float = 1500.0
    enhancing: float = 1.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ClickOptions:
        """Return the options of a model's table.

        Raises
        ------
        ModelError
            If an option is not known, of another type, or cannot be.
        """
        known = {field.name: field.default for field in fields(cls)}
        for name, value in options.items():
            if name not in known:
                raise ModelError(f"A click segmenter has no option {name!r}.", f"Its options are {', '.join(known)}.")
            if isinstance(value, bool) != isinstance(known[name], bool) or not isinstance(value, (bool, int, float)):
                raise ModelError(f"The option {name} cannot be {value!r}.", f"Give a value like {known[name]}.")
        made = replace(cls(), **options)
        if not 0 < made.smallest_share <= made.largest_share < 1 or made.jump <= 1 or min(made.reach_mm, made.seed_mm) <= 0:
            raise ModelError("The click segmenter's options contradict each other.", "0 < smallest_share <= largest_share < 1 < jump.")
        return made

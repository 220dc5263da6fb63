"""What a person decides about the lesions of a mask, as a step of the mask's own history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari_tumorseg.core.errors import InputError

__all__ = ["Decided", "Decision"]

Voxel = tuple[int, int, int]


class Decided(StrEnum):
    """What was decided; the value is the name in the record."""

    #: A lesion has another status.
    STATUS = "status"
    #: A lesion's voxels were taken out.
    REJECT = "reject"
    #: They were put back.
    BRING_BACK = "bring back"
    #: One connected part was cut into lesions.
    SPLIT = "split"
    #: Several lesions are one.
    JOIN = "join"
    #: What was joined is several again.
    SEPARATE = "separate"

    @property
    def tool(self) -> str:
        """The name of the step in the mask's history."""
        return {"status": "lesion status", "join": "join lesions"}.get(self.value, f"{self.value} lesion")


@dataclass(frozen=True)
class Decision:
    """One decision, with all that is needed to take it again on the same mask.

    Attributes
    ----------
    what : Decided
        Kind of decision.
    lesion : int
        Number of the lesion it is about.
    anchor : tuple of int
        A voxel (z, y, x) of it then.
    lesions : tuple of int
        For a join, all numbers.
    seeds : tuple of tuple of int
        For a split, the cut: one voxel (z, y, x) in each piece, from which the watershed of `evaluation.lesion_cut` starts.
    status : str
        For a status, the new one.

    Examples
    --------
    >>> cut = Decision(Decided.SPLIT, 2, (1, 4, 4), seeds=((1, 4, 4), (1, 4, 9)))
    >>> Decision.of(cut.facts()) == cut
    True
    """

    what: Decided
    lesion: int
    anchor: Voxel
    lesions: tuple[int, ...] = ()
    seeds: tuple[Voxel, ...] = ()
    status: str = ""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        facts: dict[str, Any] = {"what": self.what.value, "lesion": self.lesion, "anchor": list(self.anchor), "automatic": False}
        facts |= {"lesions": list(self.lesions)} if self.lesions else {}
        facts |= {"seeds": [list(seed) for seed in self.seeds]} if self.seeds else {}
        return facts | ({"after": self.status} if self.status else {})

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Decision:
        """Return the decision that `facts` describes.

        Raises
        ------
        InputError
            If it is none, or was recorded before decisions had an anchor.
        """
        try:
            what = Decided(facts["what"])
            status = str(facts["after"]) if what is Decided.STATUS else ""
            seeds = tuple(_voxel(seed) for seed in facts.get("seeds", ()))
            return cls(what, int(facts["lesion"]), _voxel(facts["anchor"]), tuple(int(n) for n in facts.get("lesions", ())), seeds, status)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("The record holds a decision that cannot be read.", "Look at the lesion again.") from error


def _voxel(values: Any) -> Voxel:
    z, y, x = (int(v) for v in values)
    return z, y, x

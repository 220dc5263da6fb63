"""Sums of target lesions and categories over a series of time points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.evaluation.response.criteria import Category, Criteria, Sums, overall, target_response, with_status
from napari_tumorseg.evaluation.response.tracks import Timeline

__all__ = ["Entered", "Measured", "assess", "choose_targets", "is_measurable"]

#: RECIST 1.1's example of a rise in volume that corresponds to 20 % of a diameter.
_NON_TARGET_RISE = 0.73
_THICK_MM = 5.0


@dataclass(frozen=True)
class Measured:
    """A lesion of a time point with what its measurability rests on.

    Attributes
    ----------
    lesion : Lesion
        Its row.
    slices : int
        Axial slices on which it is seen.
    slice_mm : float
        Distance of the slices.
    """

    lesion: Lesion
    slices: int
    slice_mm: float


@dataclass(frozen=True)
class Entered:
    """What a person says of a time point.

    Attributes
    ----------
    steroids, clinical : str
        See `criteria.with_status`; "" for not entered.
    non_target_progression : bool
        Unequivocal progression of the non-target lesions.
    """

    steroids: str = ""
    clinical: str = ""
    non_target_progression: bool = False


def is_measurable(one: Measured, criteria: Criteria) -> bool:
    """Whether a lesion at baseline is large enough for a target.

    Examples
    --------
    >>> from napari_tumorseg.core.lesion import Diameters
    >>> row = Lesion(1, "WT", (0, 0, 0), 900.0, 900, (0, 0, 0), (9, 9, 9), diameters=Diameters(12.0, 6.0))
    >>> from napari_tumorseg.evaluation.response.criteria import CRITERIA
    >>> [is_measurable(Measured(row, 2, mm), CRITERIA["rano-bm"]) for mm in (5.0, 6.5)]
    [True, False]
    """
    smallest = max(criteria.min_longest_mm, 2 * one.slice_mm if one.slice_mm > _THICK_MM else 0.0)
    sizes = one.lesion.diameters
    enough = sizes.longest_mm >= smallest - 1e-9 and sizes.perpendicular_mm >= criteria.min_perpendicular_mm - 1e-9
    return enough and one.slices >= criteria.min_slices


def choose_targets(baseline: Sequence[Measured], criteria: Criteria, chosen: Collection[int] = ()) -> list[int]:
    """Return the places of the target lesions in the baseline's list.

    Parameters
    ----------
    baseline : sequence of Measured
        Its lesions.
    criteria : Criteria
        Size and number.
    chosen : collection of int
        Ids that a person has chosen; the largest measurable ones by the criteria's measure otherwise.

    Raises
    ------
    InputError
        If a chosen lesion is not there or not measurable, or too many are chosen.
    """
    fit = [i for i, one in enumerate(baseline) if is_measurable(one, criteria)]
    if chosen:
        ids = [baseline[i].lesion.id for i in fit]
        wrong = sorted(set(chosen) - set(ids))
        if wrong:
            raise InputError(
                f"Lesion {wrong[0]} of the baseline is not there or too small for a target of {criteria.title}.",
                f"Choose among {', '.join(map(str, ids)) or 'none: no lesion is measurable'}.",
            )
        if len(set(chosen)) > criteria.max_targets:
            raise InputError(f"{criteria.title} has at most {criteria.max_targets} targets.", "Choose fewer.")
        return [i for i in fit if baseline[i].lesion.id in chosen]

    def size(i: int) -> tuple[float, ...]:
        row = baseline[i].lesion
        return (-_value(row, criteria), -row.volume_mm3, *row.centroid_mm)

    return sorted(sorted(fit, key=size)[: criteria.max_targets])


def assess(
    line: Timeline,
    visits: Sequence[Sequence[Measured] | None],
    criteria: Criteria,
    entered: Sequence[Entered],
    chosen: Collection[int] = (),
) -> dict[str, Any]:
    """Follow the target lesions and give each time point its category.

    Targets are followed by identity. Where a target splits, the diameters of its parts are added; where targets merge, the
    merged lesion counts once, with its own diameter (Eisenhauer 2009, appendix II). Measured values count however small they are.

    Parameters
    ----------
    line : Timeline
        From `tracks.follow`.
    visits : sequence of sequence of Measured
        The lesions of each time point in the order in which they were followed; None where it was not evaluated.
    criteria : Criteria
        Which.
    entered : sequence of Entered
        One for each time point; the baseline's is not looked at.
    chosen : collection of int
        Ids of targets that a person has chosen.

    Returns
    -------
    dict
        {"criteria", "title", "source", "targets", "timepoints"}: ids at baseline; for each time point "sum", "nadir",
        "change_from_baseline", "change_from_nadir" (shares), "target", "non_target", "new_lesions", "imaging", "category",
        "basis" and "notes".
    """
    first = visits[0]
    if first is None:
        raise InputError("The baseline was not evaluated.", "Start with the first scan that was.")
    places = choose_targets(first, criteria, chosen)
    targets = frozenset(t for i in places for t in line.found[0][i].tracks)
    others = frozenset(t for t, time in line.first.items() if time == 0) - targets
    follower = _Follower(line, visits, criteria, targets, others)
    return {
        "criteria": criteria.name,
        "title": criteria.title,
        "source": criteria.source,
        "unit": "mm" if criteria.measure == "longest" else "mm2",
        "targets": [first[i].lesion.id for i in places],
        "timepoints": [follower.step(time, entered[time]) for time in range(len(visits))],
    }


def _value(row: Lesion, criteria: Criteria) -> float:
    return row.diameters.longest_mm if criteria.measure == "longest" else row.diameters.product_mm2


class _Follower:
    """What has to be remembered from time point to time point."""

    def __init__(
        self,
        line: Timeline,
        visits: Sequence[Sequence[Measured] | None],
        criteria: Criteria,
        targets: frozenset[int],
        others: frozenset[int],
    ) -> None:
        self.line, self.visits, self.criteria, self.targets, self.others = line, visits, criteria, targets, others
        self.sums: dict[int, float] = {}
        self.was_clear = False

    def step(self, time: int, entered: Entered) -> dict[str, Any]:
        visit = self.visits[time]
        notes: list[str] = []
        if visit is None:
            category, basis = self._with_status("NE", entered)
            return self._row(time, None, None, None, [], category, basis, ["The scan was not evaluated."], "NE")
        total = self._sum(time)
        new = [visit[i].lesion.id for i, one in enumerate(self.line.found[time]) if time and self._is_new(one.tracks)]
        if time == 0:
            self.sums[0] = total
            return self._row(0, None, None, None, [], None, "baseline", notes)
        complete = not self.targets & self.line.outside[time]
        sums = self._compared(time, total, complete) if self.targets else None
        target = target_response(sums, self.criteria)
        non_target = self._non_target(time, entered, notes)
        # A new lesion that has merged with an old one since is still one that was not there at baseline.
        fresh = any(self.line.first[t] > 0 for one in self.line.found[time] for t in one.tracks)
        imaging = overall(target, non_target, fresh)
        notes += self._news(time, visit)
        if self.was_clear and visit and imaging != "PD":
            imaging = "PD"
            notes.append("A lesion is there again after complete response.")
        if not self.targets and not self.others and not fresh:
            notes.append("There was no lesion at baseline, so that nothing but a new lesion can be said.")
        if not complete:
            notes.append("A target's place is outside this scan, so that the sum lacks it.")
        notes += self._joined(time)
        category, basis = self._with_status(imaging, entered)
        row = self._row(time, total, target, non_target, new, category, basis, notes, imaging)
        if complete and self.targets:
            self.sums[time] = total
        self.was_clear = self.was_clear or imaging == "CR"
        return row

    def _row(
        self,
        time: int,
        total: float | None,
        target: Category | None,
        non_target: Category | None,
        new: list[int],
        category: Category | None,
        basis: str,
        notes: list[str],
        imaging: Category | None = None,
    ) -> dict[str, Any]:
        first = self.sums.get(0)
        nadir = min(self.sums.values(), default=None) if time else None
        value = first if time == 0 else total
        value = value if self.targets else None
        return {
            "sum": value,
            "nadir": nadir if self.targets else None,
            "change_from_baseline": None if time == 0 or value is None or not first else value / first - 1,
            "change_from_nadir": None if time == 0 or value is None or not nadir else value / nadir - 1,
            "target": target,
            "non_target": non_target,
            "new_lesions": new,
            "imaging": imaging if imaging is not None else category,
            "category": category,
            "basis": basis,
            "notes": notes,
        }

    def _with_status(self, imaging: Category, entered: Entered) -> tuple[Category, str]:
        return with_status(imaging, entered.steroids, entered.clinical) if self.criteria.needs_status else (imaging, "imaging")

    def _is_new(self, tracks: frozenset[int]) -> bool:
        return all(self.line.first[t] > 0 for t in tracks)

    def _places(self, time: int, tracks: frozenset[int]) -> list[int]:
        return [i for i, one in enumerate(self.line.found[time]) if one.tracks & tracks]

    def _sum(self, time: int, tracks: frozenset[int] | None = None, longest: bool = False) -> float:
        """Return the sum over the lesions that carry any of the tracks, each counted once."""
        visit = self.visits[time]
        assert visit is not None
        rows = [visit[i].lesion for i in self._places(time, self.targets if tracks is None else tracks)]
        return float(sum(row.diameters.longest_mm if longest else _value(row, self.criteria) for row in rows))

    def _compared(self, time: int, total: float, complete: bool) -> Sums:
        lowest = min(self.sums, key=lambda t: (self.sums[t], t))
        growth = max(self._sum(time, g, longest=True) - self._sum(lowest, g, longest=True) for g in self._groups(time, lowest))
        return Sums(self.sums[0], self.sums[lowest], total, growth, complete)

    def _groups(self, *times: int) -> list[frozenset[int]]:
        """Return the targets in groups that share a lesion at one of the times, so that each can be compared with itself."""
        groups = [frozenset({t}) for t in self.targets]
        for time in times:
            for one in self.line.found[time]:
                mine = [g for g in groups if g & one.tracks]
                if len(mine) > 1:
                    groups = [g for g in groups if g not in mine] + [frozenset().union(*mine)]
        return groups

    def _non_target(self, time: int, entered: Entered, notes: list[str]) -> Category | None:
        if not self.others:
            return None
        if entered.non_target_progression:
            return "PD"
        if not self._places(time, self.others):
            return "NE" if self.others & self.line.outside[time] else "CR"
        volumes = [
            sum(v[i].lesion.volume_mm3 for i in self._places(t, self.others - self.targets))
            for t, v in enumerate(self.visits[: time + 1])
            if v
        ]
        if volumes[-1] >= (1 + _NON_TARGET_RISE) * min(volumes[:-1]) > 0:
            rise = 100 * (volumes[-1] / min(volumes[:-1]) - 1)
            notes.append(f"Non-target lesions are {rise:.0f} % larger in volume than at their smallest; is this unequivocal progression?")
        return "Non-CR/Non-PD"

    def _news(self, time: int, visit: Sequence[Measured]) -> list[str]:
        new = [(min(one.tracks), visit[i]) for i, one in enumerate(self.line.found[time]) if self._is_new(one.tracks)]
        notes = [f"Not there at baseline: lesion {', '.join(str(track) for track, _ in sorted(new, key=lambda n: n[0]))}."] if new else []
        return notes + [f"Lesion {track} is seen on one slice only; look at it." for track, one in new if one.slices < 2]

    def _joined(self, time: int) -> list[str]:
        notes = []
        for one in self.line.found[time]:
            mine = sorted(one.tracks & self.targets)
            if len(one.tracks) > 1 and mine:
                more = " with a lesion that is no target" if set(one.tracks) - self.targets else ""
                notes.append(f"Target {', '.join(map(str, mine))} is part of a merged lesion{more}, which counts once.")
        parts = [t for t in sorted(self.targets) if len(self._places(time, frozenset({t}))) > 1]
        notes += [f"Target {t} has split; the diameters of its parts were added." for t in parts]
        return notes

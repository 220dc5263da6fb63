"""What a study's report is made of: one row for each finished reading, with everything that its journal and its answers tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import TumorSegError
from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["TIMES", "Gathered", "Row", "gather", "values_of"]

Row = dict[str, Any]

#: Times of a reading, seconds; see docs/study_statistics.md.
TIMES = (
    "primary_s",
    "active_s",
    "idle_s",
    "waiting_s",
    "wall_s",
    "paused_s",
    "unfocused_s",
    "replay_s",
    "asleep_s",
    "between_s",
    "beforehand_s",
)
_DESIGN = (
    *("task", "code", "case", "person", "expertise", "step", "round", "arm", "start", "start_version"),
    *("period", "repeat", "decision", "submitted_us", "version", "journal"),
)


@dataclass
class Gathered:
    """The rows of a study.

    Attributes
    ----------
    tasks : list of dict
        All tasks as the store gives them.
    readings : list of dict
        Submitted tasks that count: no practice, not excluded. ``rater`` is the person, ``order`` their place among all their submitted
        tasks without practice, from 1; times and coverage are None where no journal tells them.
    times_by : list of dict
        The primary time of each reading by lesion, tool and phase.
    notes : list of str
        What could not be read.
    """

    tasks: list[Row]
    readings: list[Row]
    times_by: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def excluded(self) -> list[Row]:
        """Tasks that were left out with a reason."""
        return [task for task in self.tasks if task["excluded"]]

    @property
    def practice(self) -> int:
        """Number of submitted practice tasks."""
        return sum(bool(task["practice"]) and task["state"] == "submitted" for task in self.tasks)


def gather(study: StudyStore, progress: Progress | None = None) -> Gathered:
    """Read tasks, answers and journals of a study.

    A journal that is missing or damaged is a note, not an error: the audit says so as well, and the report must show it.
    """
    progress = progress or Progress()
    tasks = study.rows("tasks")
    answers: dict[int, dict[str, int]] = {}
    for row in study.rows("ratings"):
        answers.setdefault(row["task"], {})[row["question"]] = row["value"]
    done = sorted(
        (t for t in tasks if t["state"] == "submitted" and not t["practice"]), key=lambda t: (t["submitted_us"] or 0, int(t["task"]))
    )
    order: dict[str, int] = {}
    found = Gathered(tasks, [])
    for number, task in enumerate(done):
        person = task["person"] or ""
        order[person] = order.get(person, 0) + 1
        if task["excluded"]:
            continue
        progress.update(number / len(done), f"Reading the record of task {task['code']}")
        said = answers.get(task["task"], {})
        row = {
            **{name: task[name] for name in _DESIGN},
            "rater": person,
            "order": order[person],
            **{question.name: said.get(question.name) for question in study.protocol.questions},
        }
        row |= _recorded(study, row, found)
        found.readings.append(row)
    return found


def _recorded(study: StudyStore, row: Row, found: Gathered) -> Row:
    """Return the columns that the journal tells."""
    from napari_tumorseg.annotation.timing import THRESHOLDS_S
    from napari_tumorseg.workflows.study_record import RecordRequest, study_record

    curve = [f"trimmed_{threshold:g}_s" for threshold in THRESHOLDS_S]
    names = (*TIMES, *curve, "openings", "broken_off", "unseen_share", "unseen_share_of_lesions", "acts", "undos")
    nothing: Row = dict.fromkeys(names)
    if not row["journal"]:
        found.notes.append(f"Task {row['code']} was done with another program: it has no times.")
        return nothing
    try:
        record = study_record(RecordRequest(study.journal_file(row["task"])))
    except TumorSegError as error:
        found.notes.append(f"Task {row['code']} has no times. {error}")
        return nothing
    timing, coverage, edits = record["timing"], record["coverage"], record["edits"]
    for ends in ("shown", "submitted"):
        if not timing[ends]:
            found.notes.append(f"Task {row['code']}: {_ENDS[ends]}")
    if timing["set_back_s"]:
        found.notes.append(f"Task {row['code']}: the clock was set back while it was worked on; the times do not depend on it.")
    design = {name: row[name] for name in ("task", "code", "case", "rater", "arm")}
    for kind in ("lesion", "tool", "phase"):
        found.times_by += [{**design, "by": kind, "name": key, **times} for key, times in timing[f"by_{kind}"].items()]
    return {
        **{name: timing[name] for name in TIMES},
        **{name: timing["trimmed_s"][name.split("_")[1]] for name in curve},
        "openings": timing["openings"],
        "broken_off": timing["broken_off"],
        "unseen_share": coverage["unseen_share"],
        "unseen_share_of_lesions": coverage["unseen_share_of_lesions"],
        "acts": sum(edits["acts_by_tool"].values()),
        "undos": edits["undos"],
    }


_ENDS: Mapping[str, str] = {
    "shown": "the first image shown was not recorded; its time begins with the first act.",
    "submitted": "submit was not recorded; its time ends with the last thing recorded.",
}


def values_of(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return the values of a column that are there."""
    return [float(row[name]) for row in rows if row.get(name) is not None]

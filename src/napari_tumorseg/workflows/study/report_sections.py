"""A study's report as the sections of a page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval, plain

__all__ = ["facts_of", "sections_of"]

Document = Mapping[str, Any]
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
#: Notes that are told one by one; the rest is counted.
_MOST_NOTES = 30


def sections_of(document: Document, tables: Rows) -> list[Section]:
    """Return the sections of a document of `report.study_report`, with the rows of its tables."""
    from napari_tumorseg.workflows.study.report_parts import comparison_sections, pipeline_sections

    middle = {
        "comparison": lambda: comparison_sections(document, tables),
        "pipeline": lambda: pipeline_sections(document),
        "progress": lambda: [_progress(document)],
    }[document["kind"]]()
    return [_head(document), *middle, _plan(document), _audit(document)]


def facts_of(document: Document) -> dict[str, Any]:
    """Return what one needs to make the report again: protocol, seed, hashes, constants, versions; no path, no patient."""
    study, plan, audit = document["study"], document["plan"], document["audit"]
    protocol = study["protocol"]
    return {
        "study": study["id"],
        "protocol": f"{protocol['name']}, version {protocol['version']}",
        "protocol, SHA-256": protocol["sha256"],
        "instances": protocol["instances"],
        "washout (days)": protocol["washout_days"],
        "planted errors": protocol["planted"],
        "label schema": study["schema"],
        "seed": _seed(study["seed"]),
        "plan, SHA-256": plan["sha256"] if plan else "no plan",
        "audit log": f"{audit['entries']} entries, last hash {audit['head']}",
        **{name.replace("_", " "): value for name, value in document["constants"].items()},
        "definitions": "docs/study_statistics.md",
        "versions": document["versions"],
    }


def when(at_us: int | None) -> str:
    """Return a time in UTC, "never" where there is none."""
    return f"{dt.datetime.fromtimestamp(at_us / 1e6, dt.UTC):%Y-%m-%d %H:%M} UTC" if at_us else "never"


def _seed(seed: int | None) -> str:
    return "not told until the data are locked" if seed is None else str(seed)


def _head(document: Document) -> Section:
    study, audit = document["study"], document["audit"]
    protocol = study["protocol"]
    people = [person for person in study["people"] if person["submitted"] or person["open"]]
    source = f" ({protocol['source']})" if protocol["source"] else ""
    text = [
        f"{protocol['title']}{source}.",
        f"{study['cases']} cases, {len(people)} people, {study['readings']} finished readings that count; left out: "
        f"{study['practice_readings']} for practice, {len(document.get('excluded', study.get('excluded', ())))} excluded.",
    ]
    tasks = ", ".join(f"{count} {state}" for state, count in study["tasks"].items())
    locked = f"The data were locked on {when(audit['locked_us'])}." if study["locked"] else "The data are not locked."
    text.append(f"Tasks: {tasks}. {locked}")
    severe = sum(problem["severe"] for problem in audit["problems"])
    if audit["ok"]:
        text.append(f"Audit: the study is as it was written ({audit['entries']} entries, masks and journals checked).")
    else:
        text.append(f"AUDIT FAILED: {severe} {'thing is' if severe == 1 else 'things are'} not as they were written; see Audit below.")
    rows = tuple((p["id"], p["expertise"] or None, p["submitted"], p["open"]) for p in people)
    notes = list(document["notes"][:_MOST_NOTES])
    if len(document["notes"]) > _MOST_NOTES:
        notes.append(f"and {len(document['notes']) - _MOST_NOTES} more of this kind")
    table = Table("People (pseudonyms)", ("person", "expertise", "submitted", "open"), rows)
    return Section("The study", tuple(text), (table,), notes=tuple(notes))


def _progress(document: Document) -> Section:
    def row(name: str, times: Mapping[str, Any]) -> tuple[Any, ...]:
        found = times["primary_s"]
        minutes = [None if found[key] is None else found[key] / 60 for key in ("median", "q1", "q3")]
        return (name, found["n"], minutes[0], interval(minutes[1:]), *(_minutes(times[key]["median"]) for key in ("active_s", "wall_s")))

    columns = ("person", "readings with a time", "median (min)", "quartiles", "active, median (min)", "wall, median (min)")
    rows = [row(person, times) for person, times in document["by_person"].items()] + [row("all", document["times"])]
    excluded = tuple((entry["code"], entry["reason"]) for entry in document["excluded"])
    text = "How far the study is, without arms: nothing here tells what is compared."
    seen = document["unseen_share"]["median"]
    more = f"Never displayed, median of the readings: {plain(None if seen is None else 100 * seen)} % of the image."
    return Section("Progress", (text, more), (Table("Times", columns, tuple(rows)), Table("Excluded", ("task", "reason"), excluded)))


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _plan(document: Document) -> Section:
    plan, study = document["plan"], document["study"]
    if plan is None:
        why = "The protocol asks for none." if document["kind"] == "pipeline" else "Everything here is exploratory."
        return Section("Plan and exclusions", (f"The study has no plan. {why}",), (_excluded(study),))
    before = plan["hashed_us"] and (not plan["first_case_us"] or plan["hashed_us"] <= plan["first_case_us"])
    text = [
        f"Hashed on {when(plan['hashed_us'])}, first case handed out on {when(plan['first_case_us'])}"
        f"{': before the data.' if before else ': NOT before the data.'}",
        f"SHA-256 {plan['sha256']}; seed {_seed(plan['seed'])}; level {plan['alpha']:g}, two-sided.",
    ]
    quality = plan["quality"]
    rows = [_endpoint("primary", plan["primary"]), _endpoint(f"non-inferior within {quality['margin']:g}", quality["endpoint"])]
    rows += [_endpoint("secondary, by Holm", endpoint) for endpoint in plan["secondary"]]
    columns = ("role", "endpoint", "measure", "contrast", "scale", "better")
    rules = Table("Rules of exclusion, as planned", ("rule",), tuple((rule,) for rule in plan["exclusions"]))
    return Section("Plan and exclusions", tuple(text), (Table("Endpoints", columns, tuple(rows)), rules, _excluded(study)))


def _endpoint(role: str, endpoint: Mapping[str, Any]) -> tuple[Any, ...]:
    contrast = " against ".join(endpoint["contrast"])
    return role, endpoint["name"], endpoint["measure"], contrast, endpoint["scale"], endpoint["better"]


def _excluded(study: Mapping[str, Any]) -> Table:
    rows = tuple((e["task"], e["code"], e["person"], e["arm"] or e["step"], e["excluded"]) for e in study.get("excluded", ()))
    return Table("Tasks that were left out", ("task", "code", "person", "arm or step", "reason"), rows)


def _audit(document: Document) -> Section:
    audit = document["audit"]
    text = (
        f"{audit['entries']} entries, last hash {audit['head']}. "
        "Compare it with the one that was noted down elsewhere: a log cannot show that its own end was cut off.",
        "Every row, mask and journal was compared with the hash that the log has of it."
        + ("" if audit["problems"] else " Nothing was altered, nothing is missing."),
    )
    rows = tuple(("altered or missing" if p["severe"] else "note", p["text"]) for p in audit["problems"])
    return Section("Audit", text, (Table("What is not as it was written", ("kind", "what"), rows),))

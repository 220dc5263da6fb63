"""What `workflows.response` found, as lines for people."""

from __future__ import annotations

from typing import Any

__all__ = ["as_text"]

_CHANGES = (("change_from_baseline", "baseline"), ("change_from_nadir", "smallest"))


def as_text(document: dict[str, Any]) -> str:
    """Return the document of `workflows.response.respond` as text."""
    lines = [f"Note: {warning}" for warning in document["warnings"]]
    for point in document["timepoints"]:
        when = f" {point['date']}" if point["date"] and point["date"] not in point["name"] else ""
        if not point["evaluated"]:
            lines.append(f"{point['timepoint']}: {point['name']}{when}: not evaluated")
            continue
        lines.append(f"{point['timepoint']}: {point['name']}{when}: {len(point['lesions'])} lesions, {point['total_volume_ml']:.2f} mL")
        for row in point["lesions"]:
            tracks = "+".join(map(str, row["tracks"]))
            sizes = f"{row['longest_mm']:.1f} x {row['perpendicular_mm']:.1f} mm, {row['volume_ml']:.2f} mL"
            lines.append(f"   lesion {tracks:<6} {row['status']:<10} {sizes}")
        lines += [f"   lesion {track:<6} gone" for track in point["gone"]]
        lines += [f"   lesion {track:<6} out of view" for track in point["out_of_view"]]
        if point["registration"]:
            lines += [f"   Note: {note}" for note in point["registration"]["notes"]]
    for found in document["criteria"].values():
        lines.append(f"{found['title']}: targets {', '.join(map(str, found['targets'])) or 'none'}")
        for time, step in enumerate(found["timepoints"]):
            total = "-" if step["sum"] is None else f"{step['sum']:.1f} {found['unit']}"
            changes = [f"{100 * step[k]:+.0f} % from {w}" for k, w in _CHANGES if step[k] is not None]
            category = "baseline" if time == 0 else f"{step['category']} ({step['basis']})"
            lines.append(f"   {time}: sum {total}{', ' if changes else ''}{', '.join(changes)}: {category}")
            lines += [f"      {note}" for note in step["notes"]]
    return "\n".join([*lines, document["notice"]])

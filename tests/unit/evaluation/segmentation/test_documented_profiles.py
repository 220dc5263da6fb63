"""The table of profiles in docs/measuring.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from napari_tumorseg.evaluation.segmentation.profiles import PROFILES, Profile

MEASURING = Path(__file__).parents[4] / "docs" / "measuring.md"


def cells(profile: Profile) -> list[str]:
    def varying(common: float, other: dict[str, float]) -> str:
        return f"{common:g}" + (f" ({', '.join(f'{name} {value:g}' for name, value in other.items())})" if other else "")

    lesions = profile.method != "whole masks"
    penalty = {"diagonal": "diagonal of the array in voxels", None: "-"}.get(profile.hd95_penalty) or f"{profile.hd95_penalty:g} mm"
    tolerances = ["smallest voxel spacing" if t is None else f"{t:g}" for t in profile.lesion_nsd_mm]
    return [
        f"`{profile.name}`",
        profile.version,
        profile.method,
        ", ".join(f"{name} {'+'.join(map(str, values))}" for name, values in profile.regions.items()) or "each value",
        varying(profile.dilations, dict(profile.dilations_of)) if lesions else "-",
        varying(profile.min_volume_mm3, dict(profile.min_volume_of)) if lesions else "-",
        penalty,
        ", ".join(tolerances) or "-",
        profile.reference,
    ]


def table() -> str:
    head = ["Profile", "Version", "Method", "Regions", "Dilations", "v, mm³", "HD95 penalty", "Lesion NSD, mm", "Reference"]
    rows = [head, ["---"] * len(head), *(cells(profile) for profile in PROFILES.values())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def test_the_table_of_the_documentation_is_that_of_the_code() -> None:
    assert table() in MEASURING.read_text(encoding="utf-8"), f"{MEASURING} should hold:\n{table()}"


def test_every_profile_and_key_is_documented() -> None:
    text = MEASURING.read_text(encoding="utf-8")
    for profile in PROFILES.values():
        for key in profile.constants():
            assert key in ("version", "title", "reference", "method", "regions") or f"`{key}`" in text, key

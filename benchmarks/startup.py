"""How long importing the package takes, beyond what napari takes itself, and what it drags in.

    python benchmarks/startup.py

Each import runs in a new process, after what a running napari has imported by then: for the package
and for the hooks that napari's plugin engine calls, napari itself; for the dock, napari's window too.
Processor seconds are judged, as on a busy machine the clock measures the other programs. Exit code 1
means that a step takes longer than its goal or imports a heavy library.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAVY = ("torch", "monai", "SimpleITK", "pydicom", "highdicom", "nibabel", "skimage", "cc3d")
NAPARI, WINDOW = ("napari",), ("napari", "napari.viewer", "napari._qt.qt_main_window")
#: What is imported, what a running napari has imported before, and the goal in processor seconds:
#: nobody asked for the first three, while the dock opens at the user's click.
STEPS = (
    ("napari_tumorseg", NAPARI, 0.1),
    ("napari_tumorseg._npe2", NAPARI, 0.1),
    ("napari_tumorseg.widgets", NAPARI, 0.1),
    ("napari_tumorseg.widgets.dock", WINDOW, 0.5),
)

CODE = """
import importlib, json, sys, time
for name in {first!r}:
    importlib.import_module(name)
before, wall, processor = set(sys.modules), time.perf_counter(), time.process_time()
importlib.import_module({module!r})
print(json.dumps([time.perf_counter() - wall, time.process_time() - processor, sorted(set(sys.modules) - before)]))
"""


def measure(module: str, first: tuple[str, ...], repeats: int) -> dict[str, Any]:
    """Return median seconds of importing `module` after `first`, and what it added."""
    rows = []
    for _ in range(repeats):
        run = subprocess.run([sys.executable, "-c", CODE.format(first=first, module=module)], check=True, capture_output=True, text=True)
        rows.append(json.loads(run.stdout.splitlines()[-1]))
    new = rows[0][2]
    return {
        "module": module,
        "seconds": round(statistics.median(row[0] for row in rows), 4),
        "processor_seconds": round(statistics.median(row[1] for row in rows), 4),
        "new_modules": len(new),
        "heavy": [name for name in HEAVY if name in new],
    }


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    napari = importlib.util.find_spec("napari") is not None
    if not napari:
        print("napari is not installed: only what needs no window is measured.")
    rows = [
        {**measure(module, first if napari else (), args.repeats), "goal_s": goal}
        for module, first, goal in STEPS
        if napari or first is NAPARI
    ]
    print(f"{'module':32} {'processor s':>12} {'goal':>5} {'clock s':>9} {'modules':>8}")
    for row in rows:
        row["ok"] = row["processor_seconds"] < row["goal_s"] and not row["heavy"]
        numbers = f"{row['processor_seconds']:12.3f} {row['goal_s']:5} {row['seconds']:9.3f} {row['new_modules']:8d}"
        verdict = "ok" if row["ok"] else " ".join(["too much", *row["heavy"]])
        print(f"{row['module']:32} {numbers}   {verdict}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Ship a trained `brain-tumour-small`: weights, hash and a model card with measured figures.

    python recipes/brain_tumour_small/export.py --run RUN_FOLDER --data BRATS2018_FOLDER

Without `--run` the shipped weights are kept and only the figures are measured again. Every figure
comes from the product's own path: case reader, catalogue, engine, label schema.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_tumorseg.core.case import Case, TimePoint
from napari_tumorseg.core.segmenter import Segmenter
from napari_tumorseg.io.cases import read_case
from napari_tumorseg.workflows.models import open_catalogue
from napari_tumorseg.workflows.segment import segment_case

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "src" / "napari_tumorseg" / "models" / "brain-tumour-small"
RECIPE = tomllib.loads(Path(__file__).with_name("recipe.toml").read_text())
REGIONS = ("WT", "TC", "ET")


def write_weights(run: Path) -> dict[str, object]:
    """Write the averaged weights as float16 safetensors, put their hash into the card; return facts of the run."""
    import torch
    from safetensors.torch import save_file

    state = torch.load(run / "last.pt", weights_only=True, map_location="cpu")
    tensors = {name: value.to(torch.float16).contiguous() for name, value in state["average"].items()}
    target = MODEL / "weights.safetensors"
    save_file(tensors, target)
    target.chmod(0o644)  # safetensors writes for the owner alone
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    card = MODEL / "model.toml"
    card.write_text(re.sub(r'sha256 = "[0-9a-f]{64}"', f'sha256 = "{digest}"', card.read_text()))
    with (run / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {"steps": state["step"], "hours": round(state["active_s"] / 3600, 1), "final_loss": float(rows[-1]["loss"])}


def dice_of(case: Case, model: Segmenter) -> tuple[dict[str, float], float]:
    """Return Dice by region against the case's reference mask, and the seconds of the whole job."""
    started = time.perf_counter()
    result = segment_case(case, model)
    seconds = time.perf_counter() - started
    reference = case.latest.masks["seg"][-1]
    scores = {}
    for region in REGIONS:
        a = model.spec.schema.region_mask(result.mask.labels, region)
        b = reference.schema.region_mask(reference.labels, region)
        total = int(a.sum()) + int(b.sum())
        scores[region] = 2 * int((a & b).sum()) / total if total else 1.0
    return scores, seconds


def without(case: Case, modality: str) -> Case:
    """Return the case without one sequence."""
    point = case.latest
    return replace(case, timepoints=(TimePoint({k: v for k, v in point.volumes.items() if k != modality}, point.masks),))


def table(rows: dict[str, dict[str, float]], first: str) -> list[str]:
    """Return Markdown rows of Dice by region with their mean."""
    lines = [f"| {first} | WT | TC | ET |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(f'{s[r]:.3f}' for r in REGIONS)} |" for name, s in rows.items()]
    mean = {r: float(np.mean([s[r] for s in rows.values()])) for r in REGIONS}
    return [*lines, f"| **mean** | {' | '.join(f'**{mean[r]:.3f}**' for r in REGIONS)} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    facts_file = Path(__file__).with_name("run.json")
    if args.run:
        facts_file.write_text(json.dumps(write_weights(args.run), indent=2) + "\n")
    facts = json.loads(facts_file.read_text())
    model = open_catalogue({}).load("brain-tumour-small")
    held_out = RECIPE["data"]["validation"]
    names = sorted(p.name for p in args.data.iterdir() if p.is_dir())
    cases = {n: read_case(args.data / n) for n in names}
    measured = {n: dice_of(c, model) for n, c in cases.items()}
    validation = {n: measured[n][0] for n in held_out}
    training = {n: measured[n][0] for n in names if n not in held_out}
    lacking = {
        f"without {m}": {r: float(np.mean([s[r] for s in rows])) for r in REGIONS}
        for m in model.spec.modalities
        for rows in [[dice_of(without(cases[n], m), model)[0] for n in held_out]]
    }
    seconds = [s for _, s in measured.values()]
    text = CARD.format(
        train=len(training),
        validation=", ".join(held_out),
        steps=facts["steps"],
        planned=RECIPE["training"]["steps"],
        hours=facts["hours"],
        held_out_table="\n".join(table(validation, "validation case")),
        lacking_table="\n".join(table(lacking, "validation cases, mean")[:-1]),
        training_table="\n".join(table(training, "training case")),
        median_s=float(np.median(seconds)),
        max_s=max(seconds),
        megabytes=(MODEL / "weights.safetensors").stat().st_size / 1e6,
    )
    (MODEL / "card.md").write_text(text)
    print(text)


CARD = """# brain-tumour-small

Research use only. Not a medical device; not for diagnosis, treatment or planning.

**What it does.** Finds the whole tumour (WT), the tumour core (TC) and the enhancing tumour (ET)
on skull-stripped T1, T1c, T2 and FLAIR, and writes NETC, SNFH and ET. A missing sequence is
allowed. It is the default of the demo because it is small ({megabytes:.1f} MB) and quick on a CPU.

**Network.** SubvoxelSegResNet: MONAI's SegResNet (Myronenko 2018) at half resolution between
folded 2 x 2 x 2 blocks of voxels; windows of 96 x 112 x 96 voxels at 1 mm.

**Trained on** {train} labelled glioma cases of the BraTS 2018 training set, {steps} of the recipe's {planned} steps of
two windows, {hours} hours on two shared CPU cores. At step 935 the run was taken up again from its averaged weights
in half precision, the optimiser's moments new.
Strong augmentation (zoom 0.7 to 1.4, rotation, bend, bias field, noise, resolution); each sequence
dropped at random in 12 % of the windows.
Recipe: `recipes/brain_tumour_small`. No phantoms were used.

**Validation cases**, chosen before the first run and never trained on: {validation}.
The averaged weights of the last step are shipped; the validation cases chose no step and no setting.

{held_out_table}

With one sequence missing, mean over the validation cases:

{lacking_table}

On its own training cases (says nothing about quality):

{training_table}

**Time** for a whole case on two CPU cores, reading not included: median {median_s:.1f} s, longest {max_s:.1f} s.

**Limits.** {train} training cases from one challenge: three validation cases give a rough figure with
wide uncertainty. Gliomas only: on metastases it misses small lesions, and it has seen no resection
cavity, no meningioma, no child and no lesion-free head. It needs images that are skull-stripped.
Every mask it makes is marked "AI, not reviewed" until a person accepts it.

**Licence.** See LICENSE.txt: research use, no commercial use. The scans are not distributed.

These figures are remade by `python recipes/brain_tumour_small/export.py --data BRATS2018_FOLDER`.
"""

if __name__ == "__main__":
    main()

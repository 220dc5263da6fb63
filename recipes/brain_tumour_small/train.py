"""Train `brain-tumour-small` on labelled cases in the BraTS 2018 layout.

    python recipes/brain_tumour_small/train.py --data BRATS2018_FOLDER --out RUN_FOLDER

The settings are those of `recipe.toml` beside this file. The run is resumed from its last
checkpoint when RUN_FOLDER holds one; the learning rate falls only over the last part of the
run, so that `--steps` may be changed while a run is under way.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import os
import time
import tomllib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, IterableDataset

from napari_tumorseg.inference.normalise import zscore_nonzero
from napari_tumorseg.networks.subvoxel_segresnet import SubvoxelSegResNet, SubvoxelSegResNetConfig

RECIPE = Path(__file__).with_name("recipe.toml")


def load_case(folder: Path, modalities: dict[str, str], regions: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Read a case as `image` (C, Z, Y, X) float32 and `target` (R, Z, Y, X) uint8.

    The files are brought to x left, y posterior, z superior by flips and permutations.
    """

    def read(suffix: str) -> np.ndarray:
        found = nib.load(folder / f"{suffix}.nii.gz")
        target = nib.orientations.axcodes2ornt(("L", "P", "S"))
        flip = nib.orientations.ornt_transform(nib.io_orientation(found.affine), target)
        return nib.orientations.apply_orientation(np.asanyarray(found.dataobj), flip).transpose(2, 1, 0)

    image = np.stack([zscore_nonzero(read(suffix)) for suffix in modalities.values()])
    labels = read("seg")
    target = np.stack([np.isin(labels, values) for values in regions.values()]).astype(np.uint8)
    return {"image": torch.from_numpy(image), "target": torch.from_numpy(target)}


def random_rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Return a rotation by up to `degrees` about each axis."""
    a, b, c = np.deg2rad(rng.uniform(-degrees, degrees, 3))
    about_z = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def smooth_field(rng: np.random.Generator, knots: int, shape: tuple[int, ...], channels: int = 1) -> torch.Tensor:
    """Return a smooth random field (channels, Z, Y, X) from normal values on coarse knots."""
    coarse = torch.from_numpy(rng.standard_normal((1, channels, knots, knots, knots)).astype(np.float32))
    return F.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)[0]


class Patches(IterableDataset):
    """An endless stream of augmented patches."""

    def __init__(self, cases: list[dict[str, torch.Tensor]], patch: tuple[int, ...], settings: dict[str, Any], seed: int):
        self.cases, self.patch, self.settings, self.seed = cases, patch, settings, seed

    def __iter__(self):
        torch.set_num_threads(1)
        os.nice(5)
        rng = np.random.default_rng([self.seed, int(time.time())])
        while True:
            yield self.sample(rng)

    def centre(self, case: dict[str, torch.Tensor], rng: np.random.Generator) -> np.ndarray:
        """Choose a patch centre: in a tumour region most of the time, else anywhere in the brain."""
        target = case["target"]
        if rng.random() < self.settings["tumour_centred"]:
            region = int(rng.integers(target.shape[0]))
            inside = target[region].nonzero()
            if len(inside):
                jitter = rng.uniform(-0.25, 0.25, 3) * np.array(self.patch)
                return inside[int(rng.integers(len(inside)))].numpy() + jitter
        inside = (case["image"][:, ::4, ::4, ::4] != 0).any(0).nonzero() * 4
        return inside[int(rng.integers(len(inside)))].numpy().astype(float)

    def sample(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one augmented patch: image (C, Z, Y, X) and regions (R, Z, Y, X), both float32."""
        s = self.settings
        case = self.cases[int(rng.integers(len(self.cases)))]
        size = np.array(case["image"].shape[1:])
        scale = np.exp(rng.uniform(*np.log(s["zoom"]))) * rng.uniform(0.92, 1.08, 3)
        matrix = random_rotation(rng, s["rotation_deg"]) @ np.diag(1 / scale)
        for axis, chance in enumerate(s["flip"]):
            if rng.random() < chance:
                matrix[:, axis] *= -1
        # The whole patch should look at the brain: pull the centre in from the border.
        half = np.array(self.patch) / 2 / scale * 0.7
        centre = self.centre(case, rng)
        centre = np.where(2 * half < size, np.clip(centre, half, size - half), size / 2)
        axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in self.patch]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        points = offsets @ torch.from_numpy(matrix.T.astype(np.float32)) + torch.from_numpy(centre.astype(np.float32))
        if rng.random() < 0.3:
            points = points + rng.uniform(1, 4) * smooth_field(rng, 5, self.patch, 3).permute(1, 2, 3, 0)
        grid = (points * 2 / torch.from_numpy(size - 1).float() - 1).flip(-1)[None]
        brain = (case["image"] != 0).any(0).float()
        stack = torch.cat([case["image"], case["target"].float(), brain[None]])[None]
        moved = F.grid_sample(stack, grid, mode="bilinear", align_corners=True)[0]
        channels = case["image"].shape[0]
        inside = (moved[-1:] > 0.5).float()
        image = self.intensities(moved[:channels], rng) * inside
        keep = rng.random(channels) >= s["drop_modality"]
        if not keep.any():
            keep[int(rng.integers(channels))] = True
        return image * torch.from_numpy(keep.astype(np.float32))[:, None, None, None], (moved[channels:-1] > 0.5).float()

    def intensities(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Change contrast, bias field, noise and sharpness of each channel on its own."""
        out = []
        for channel in image:
            x = channel * rng.uniform(0.75, 1.3) + rng.uniform(-0.3, 0.3)
            if rng.random() < 0.3:
                low, high = -5.0, 5.0
                x = ((x.clamp(low, high) - low) / (high - low)) ** float(np.exp(rng.uniform(-0.4, 0.4))) * (high - low) + low
                x = x - float(x.mean()) * 0.5
            if rng.random() < 0.3:
                x = x * torch.exp(0.25 * smooth_field(rng, 3, x.shape)[0]) + 0.15 * smooth_field(rng, 3, x.shape)[0]
            if rng.random() < 0.15:
                small = [max(8, round(n * rng.uniform(0.35, 0.9))) for n in x.shape]
                if rng.random() < 0.6:
                    small = [n if i else small[0] for i, n in enumerate(x.shape)]
                x = F.interpolate(F.interpolate(x[None, None], size=small, mode="trilinear"), size=x.shape, mode="trilinear")[0, 0]
            if rng.random() < 0.3:
                x = x + rng.uniform(0, 0.25) * torch.randn(x.shape)
            out.append(x)
        return torch.stack(out)


def loss_of(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return soft Dice over the batch plus binary cross-entropy, averaged over regions."""
    probability = logits.sigmoid()
    axes = (0, 2, 3, 4)
    overlap = (probability * target).sum(axes)
    total = probability.sum(axes) + target.sum(axes)
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return dice.mean() + F.binary_cross_entropy_with_logits(logits, target)


@torch.inference_mode()
def predict(net: torch.nn.Module, image: torch.Tensor, window: tuple[int, ...]) -> torch.Tensor:
    """Return region probabilities (R, Z, Y, X) of a whole case."""
    from monai.inferers import sliding_window_inference

    inside = (image != 0).any(0).nonzero()
    low, high = inside.min(0).values, inside.max(0).values + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    crop = image[(slice(None), *box)][None]
    logits = sliding_window_inference(crop, window, 1, net, overlap=0.25, mode="gaussian")
    whole = torch.zeros((logits.shape[1], *image.shape[1:]))
    whole[(slice(None), *box)] = logits[0].float().sigmoid()
    return whole


def dice(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return 2 |A and B| / (|A| + |B|), 1 when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a killed process leaves the old one whole."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    recipe = tomllib.loads(RECIPE.read_text())
    training, data = recipe["training"], recipe["data"]
    steps = args.steps or training["steps"]
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(training["seed"])

    names = sorted(p.name for p in args.data.iterdir() if p.is_dir())
    held_out = data["validation"]
    missing = set(held_out) - set(names)
    if missing:
        raise SystemExit(f"validation cases not found in {args.data}: {sorted(missing)}")
    load = {n: load_case(args.data / n, data["modalities"], data["regions"]) for n in names}
    train = [load[n] for n in names if n not in held_out]
    patch = tuple(training["patch"])

    # Channels last: on a CPU a step takes two thirds of the time.
    net = SubvoxelSegResNet(SubvoxelSegResNetConfig(**recipe["network"])).to(args.device, memory_format=torch.channels_last_3d)
    average = copy.deepcopy(net).eval()
    optimiser = torch.optim.AdamW(net.parameters(), training["learning_rate"], weight_decay=training["weight_decay"])
    step, active_s = 0, 0.0
    checkpoint = args.out / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=args.device)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, active_s = state["step"], state["active_s"]

    loader = iter(
        DataLoader(
            Patches(train, patch, recipe["augmentation"], training["seed"] + step),
            batch_size=training["batch"],
            num_workers=1,
            prefetch_factor=4,
        )
    )
    log = args.out / "log.csv"
    if not log.exists():
        log.write_text("step,active_s,learning_rate,loss\n")
    started, saved, losses = time.monotonic(), time.monotonic(), []
    while step < steps:
        step += 1
        decay_from = steps * (1 - training["decay_share"])
        factor = min(1.0, step / training["warmup"], max(0.0, (steps - step) / (steps - decay_from)))
        for group in optimiser.param_groups:
            group["lr"] = training["learning_rate"] * factor
        image, target = (t.to(args.device) for t in next(loader))
        loss = loss_of(net(image), target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        keep = min(training["average"], (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise SystemExit(f"the loss is not finite at step {step}")
        now = time.monotonic()
        if step % 25 == 0:
            with log.open("a") as f:
                csv.writer(f).writerow(
                    [step, round(active_s + now - started), f"{optimiser.param_groups[0]['lr']:.2e}", f"{np.mean(losses[-25:]):.4f}"]
                )
        if now - saved > 300 or step == steps:
            save_atomically(
                {
                    "net": net.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "active_s": active_s + now - started,
                },
                checkpoint,
            )
            saved = now
        if step % training["validate_every"] == 0 or step == steps:
            rows = {}
            for name in held_out:
                found = predict(average, load[name]["image"].to(args.device), patch).cpu() > 0.5
                rows[name] = {r: round(dice(found[i], load[name]["target"][i].bool()), 4) for i, r in enumerate(data["regions"])}
            with (args.out / "validation.jsonl").open("a") as f:
                f.write(json.dumps({"step": step, "dice": rows}) + "\n")


if __name__ == "__main__":
    main()

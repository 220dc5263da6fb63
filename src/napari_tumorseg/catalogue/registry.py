"""The catalogue: stores and finds models, and hands each to the backend that runs it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from napari_tumorseg.catalogue.backends import BACKENDS
from napari_tumorseg.catalogue.card import CARD_FILE, read_spec
from napari_tumorseg.catalogue.weights import fetch, find, sha256_of
from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import Segmenter, SegmenterSpec
from napari_tumorseg.core.settings import Settings

__all__ = ["Catalogue", "ModelState"]


@dataclass(frozen=True)
class ModelState:
    """Whether a model can run on this machine, and if not, why and what to do."""

    ready: bool
    reason: str = ""


class Catalogue:
    """All models that are shipped or that the user has added.

    A model is a folder ``NAME/`` with `model.toml`, `card.md`, its weights (safetensors) and the
    text of its licence. The user's folders are searched before the shipped one, so that a user
    may keep weights for a shipped card.

    Parameters
    ----------
    settings : Settings
        Names the user's model folders.

    Examples
    --------
    >>> from napari_tumorseg.workflows.environment import load_settings
    >>> "brain-tumour-small" in Catalogue(load_settings({})).names()
    True
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _roots(self) -> Iterator[Path]:
        yield from self._settings.model_dirs
        yield Path(str(files("napari_tumorseg"))) / "models"

    def _folders(self, name: str) -> tuple[Path, ...]:
        return tuple(root / name for root in self._roots() if (root / name).is_dir())

    def names(self) -> tuple[str, ...]:
        """Names of all models, sorted."""
        found: set[str] = set()
        for root in self._roots():
            if root.is_dir():
                found |= {p.name for p in root.iterdir() if (p / CARD_FILE).is_file()}
        return tuple(sorted(found))

    def _card_folder(self, name: str) -> Path:
        for folder in self._folders(name):
            if (folder / CARD_FILE).is_file():
                return folder
        raise InputError(f"There is no model {name!r}.", f"Choose one of: {', '.join(self.names()) or 'none installed'}.")

    def spec(self, name: str) -> SegmenterSpec:
        """Return what a model is and needs; raise `InputError` when there is none of that name."""
        folder = self._card_folder(name)
        spec = read_spec(folder)
        if spec.name != name:
            raise InputError(f"{folder}/{CARD_FILE} calls the model {spec.name!r}.", "Folder and model bear the same name.")
        return spec

    def card(self, name: str) -> str:
        """Return the model card as Markdown; an empty string when the model has none."""
        path = self._card_folder(name) / "card.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def state(self, name: str) -> ModelState:
        """Say whether a model can run here, without reading its weights."""
        try:
            spec = self.spec(name)
        except InputError as error:
            return ModelState(False, str(error))
        if spec.backend not in BACKENDS:
            return ModelState(False, f"Its backend {spec.backend!r} is not part of this version.")
        for weight in spec.weights:
            if find(weight, self._folders(name)) is None and not weight.url:
                return ModelState(False, f"Its weights are not installed. {weight.how}".strip())
        missing = [w.name for w in spec.weights if find(w, self._folders(name)) is None]
        return ModelState(True, "Its weights will be downloaded on first use." if missing else "")

    def load(self, name: str, progress: Progress | None = None) -> Segmenter:
        """Return a model ready to run.

        Raises
        ------
        ModelError
            If weights are missing, wrong or need trust that was not given.
        """
        spec = self.spec(name)
        if spec.backend not in BACKENDS:
            raise ModelError(f"{name} needs the backend {spec.backend!r}.", f"This version has {', '.join(sorted(BACKENDS))}.")
        if spec.needs_trust:
            raise ModelError(f"{name} brings code of its own.", "This version runs no code from a model.")
        target = self._settings.model_dirs[0] / name
        weights = {w.name: fetch(spec, w, self._folders(name), target, progress) for w in spec.weights}
        return BACKENDS[spec.backend](spec, weights, self._settings)

    def check(self, name: str) -> list[str]:
        """Return what is wrong with a model, one line each; reads and hashes its weights."""
        try:
            spec = self.spec(name)
        except InputError as error:
            return [str(error)]
        problems = [] if spec.backend in BACKENDS else [f"{name}: the backend {spec.backend!r} is not known."]
        for weight in spec.weights:
            found = find(weight, self._folders(name))
            if found is None:
                if not weight.url:
                    problems.append(f"{name}: {weight.name} is missing. {weight.how}".strip())
            elif sha256_of(found) != weight.sha256:
                problems.append(f"{name}: {found} is not the file that the card names. Remove it and get it again.")
        if spec.licence_file and not any((f / spec.licence_file).is_file() for f in self._folders(name)):
            problems.append(f"{name}: the licence file {spec.licence_file} is missing.")
        return problems

    def add(self, path: Path) -> str:
        """Copy a model into the user's folder and return its name; nothing of it is executed or unpickled.

        Parameters
        ----------
        path : Path
            A model folder (`model.toml` with its weights), or a folder of files that a backend
            knows how to import (e.g. the published arrays of `brats17-cascade`).

        Raises
        ------
        InputError
            If the folder is neither.
        """
        from napari_tumorseg.catalogue.importers import importer_for
        from napari_tumorseg.io.atomic import atomic_folder, make_folder

        if not path.is_dir():
            raise InputError(f"{path} is not a folder.", "A model is a folder with model.toml and its weights.")
        if not (path / CARD_FILE).is_file():
            importer = importer_for(path)
            if importer is None:
                raise InputError(f"{path.name} holds neither a model.toml nor weights that are known here.", "See `tumorseg models list`.")
            return importer(path, self._settings.model_dirs[0])
        spec = read_spec(path)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", spec.name):
            raise InputError(f"{spec.name!r} cannot be the name of a model.", "Use letters, digits, '-', '_' and '.'.")
        for weight in spec.weights:
            file = path / weight.name
            if file.is_file() and sha256_of(file) != weight.sha256:
                raise InputError(f"{file.name} is not the file that model.toml names.", "Correct the hash or get the file again.")
        target = self._settings.model_dirs[0] / spec.name
        if target.exists():
            raise InputError(f"A model {spec.name} is already in {target.parent}.", "Remove that folder first, or rename the new model.")
        wanted = {CARD_FILE, "card.md", spec.licence_file, *(w.name for w in spec.weights)} - {""}
        make_folder(target.parent)
        with atomic_folder(target) as temporary:
            for name in sorted(wanted):
                source = path / Path(name).name
                if source.is_file() and not source.is_symlink():
                    shutil.copyfile(source, temporary / source.name)
        return spec.name

"""Finding, checking and downloading the files of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from napari_tumorseg.core.errors import ModelError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import SegmenterSpec, WeightFile

__all__ = ["fetch", "find", "sha256_of"]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find(weight: WeightFile, folders: Iterable[Path]) -> Path | None:
    """Return the first file of that name in `folders`, None when there is none; content is not checked."""
    return next((folder / weight.name for folder in folders if (folder / weight.name).is_file()), None)


def fetch(spec: SegmenterSpec, weight: WeightFile, folders: tuple[Path, ...], target: Path, progress: Progress | None = None) -> Path:
    """Return the checked path of a weight file, downloading it when it is not there.

    Parameters
    ----------
    spec : SegmenterSpec
        The model, for messages.
    weight : WeightFile
        Name, hash and address.
    folders : tuple of Path
        Searched first, in order.
    target : Path
        Folder that a download is written to.
    progress : Progress, optional
        Told how far a download is.

    Raises
    ------
    ModelError
        If the file is not there and cannot be downloaded, or its content is not what the card says.
    """
    progress = progress or Progress()
    found = find(weight, folders)
    if found is None:
        if not weight.url:
            where = folders[0] if folders else target
            raise ModelError(f"The weights {weight.name} of {spec.name} are not in {where}.", weight.how or "Put the file there.")
        found = _download(spec, weight, target, progress)
    actual = sha256_of(found)
    if actual != weight.sha256:
        raise ModelError(
            f"{found} is not the file that the card of {spec.name} names (SHA-256 {actual[:12]}, expected {weight.sha256[:12]}).",
            "Remove it and get it again.",
        )
    return found


class _Bar:
    """Pooch's progress bar protocol over `Progress`; raises `Cancelled` out of the download."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress
        self._name = name

    def update(self, size: int) -> None:
        self._done += size
        share = self._done / self.total if self.total else 0.0
        self._progress.update(share, f"Downloading {self._name}: {self._done / 1e6:.0f} of {self.total / 1e6:.0f} MB")

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing to close: the caller owns the progress."""


def _download(spec: SegmenterSpec, weight: WeightFile, target: Path, progress: Progress) -> Path:
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(progressbar=_Bar(progress, weight.name), timeout=30)
    try:
        target.mkdir(parents=True, exist_ok=True)
        got = pooch.retrieve(weight.url, f"sha256:{weight.sha256}", fname=weight.name, path=target, downloader=downloader)
    except requests.exceptions.RequestException:
        raise ModelError(
            f"The weights {weight.name} of {spec.name} are not on this machine and {weight.url} cannot be reached.",
            f"Go online once, or put the file into {target}.",
        ) from None
    except ValueError:
        raise ModelError(f"{weight.url} sent something else than {weight.name} of {spec.name}.", "Tell who keeps the model.") from None
    except OSError as error:
        raise ModelError(
            f"{weight.name} cannot be written to {target}: {error.strerror}.", "Free some space or choose another folder."
        ) from None
    return Path(got)

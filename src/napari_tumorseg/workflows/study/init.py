"""``tumorseg study init``: make a study from a protocol and cases, or its offline part from a package."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

__all__ = ["InitRequest", "init_study"]


@dataclass(frozen=True)
class InitRequest:
    """What a study is made of.

    Attributes
    ----------
    folder : Path
        New folder of the study.
    protocol : str
        Name of a shipped protocol, or a TOML file.
    cases : Path, optional
        Folder with one folder for each case; of a package that holds no images, where they are here.
    practice : tuple of str
        Names of the folders that are for practice; drawn from the seed by default, as many as the protocol says.
    seed : int
        Of every draw; drawn itself where it is negative.
    plan : Path, optional
        TOML file of the analysis plan; the protocol's own by default.
    title : str
        For reports.
    database : str
        URL of an empty PostgreSQL database; a file in the folder by default.
    files : Path, optional
        Folder of journals, from which the cases' folders are counted, where it is not the study's folder: one that the team shares.
    package : Path, optional
        A package of tasks, of which the offline part is made; then only `folder` and `cases` count.
    """

    folder: Path
    protocol: str = ""
    cases: Path | None = None
    practice: tuple[str, ...] = ()
    seed: int = -1
    plan: Path | None = None
    title: str = ""
    database: str = ""
    files: Path | None = None
    package: Path | None = None


def init_study(request: InitRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Make a study.

    Returns
    -------
    dict
        ``study`` (id), ``folder``, ``protocol``, ``seed``, ``cases``, ``practice``, ``plan_sha256``.

    Raises
    ------
    InputError
        If the folder is not empty, or protocol, plan or cases cannot be used. Then nothing is left behind.
    """
    progress = progress or Progress()
    existed = request.folder.exists()
    if existed and (not request.folder.is_dir() or any(request.folder.iterdir())):
        raise InputError(f"The folder {request.folder} is not empty.", "Choose a new folder for the study.")
    try:
        return _from_package(request, progress) if request.package is not None else _new(request, progress)
    except BaseException:
        # Half a study would be taken for a whole one.
        if request.folder.is_dir():
            for entry in request.folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            if not existed:
                request.folder.rmdir()
        raise


def _new(request: InitRequest, progress: Progress) -> dict[str, Any]:
    from napari_tumorseg.annotation.study.folder import relative_location
    from napari_tumorseg.annotation.study.plan import check_arms, read_plan
    from napari_tumorseg.annotation.study.protocol_file import load_protocol
    from napari_tumorseg.annotation.study.records import NewCase
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.workflows.queue import find_cases
    from napari_tumorseg.workflows.study.images import case_fingerprint

    if request.cases is None or not request.protocol:
        raise InputError("A study needs a protocol and cases.", "Give --protocol NAME and --cases FOLDER.")
    protocol = load_protocol(request.protocol)
    plan = read_plan(request.plan) if request.plan is not None else protocol.plan
    if plan is not None and protocol.is_comparison:
        check_arms(plan, tuple(arm.name for arm in protocol.arms))
    seed = request.seed if request.seed >= 0 else random.SystemRandom().randrange(1 << 31)
    folders = find_cases(request.cases)
    practice = _practice([folder.name for folder in folders], request.practice, protocol.practice_cases, seed)
    files = request.files if request.files is not None else request.folder
    cases = []
    for number, folder in enumerate(folders):
        progress.update(number / len(folders), f"Reading case {number + 1} of {len(folders)}")
        cases.append(NewCase(relative_location(folder, files), case_fingerprint(folder), folder.name in practice))
    if len({case.fingerprint for case in cases}) != len(cases):
        # Before anything is made: a database would keep half a study.
        raise InputError("Two cases hold the same images.", "Take one of them out; a case is repeated by the protocol.")
    where = "." if request.files is None else request.files.resolve().as_posix()
    with StudyStore.create(request.folder, protocol, seed=seed, title=request.title, database=request.database, files=where) as study:
        study.add_cases(cases)
        digest = study.set_plan(plan) if plan is not None else ""
        return {
            "study": study.uid,
            "folder": str(request.folder),
            "protocol": protocol.name,
            "seed": seed,
            "cases": len(cases) - len(practice),
            "practice": len(practice),
            "plan_sha256": digest or None,
        }


def _practice(names: list[str], chosen: tuple[str, ...], count: int, seed: int) -> set[str]:
    missing = sorted(set(chosen) - set(names))
    if missing:
        raise InputError(f"There is no case {missing[0]!r} for practice.", "Name folders of cases.")
    if chosen:
        return set(chosen)
    if count >= len(names):
        raise InputError(f"The protocol wants {count} cases for practice, and there are {len(names)}.", "Add cases.")
    return set(random.Random(f"practice {seed}").sample(sorted(names), count))


def _from_package(request: InitRequest, progress: Progress) -> dict[str, Any]:
    from napari_tumorseg.annotation.study.merge import open_package
    from napari_tumorseg.workflows.study.images import find_again

    assert request.package is not None
    with open_package(request.package, request.folder) as study:
        if request.cases is not None:
            find_again(study, request.cases, progress)
        status = study.status()
        return {
            "study": study.uid,
            "folder": str(request.folder),
            "protocol": study.protocol.name,
            "package": study.package,
            "cases": status["cases"],
            "practice": status["practice_cases"],
            "plan_sha256": status["plan_sha256"],
        }

"""Cases that a model has seen in training, among those it is tested on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.names import stem_of

__all__ = ["cases_of_card", "cases_of_file", "training_cases", "training_overlap"]


def cases_of_file(path: Path) -> list[str]:
    """Return the training cases that a file lists: a JSON list, a CSV table with the column case, or one name per line.

    Raises
    ------
    InputError
        If it cannot be read or lists none.
    """
    from napari_tumorseg.io.table import read_table

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read as text.", "Give a list of training cases, one per line.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if path.suffix.lower() == ".json":
        try:
            cases = json.loads(text)
        except ValueError:
            cases = None
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise InputError(f"{path} is no JSON list of names.", 'Write e.g. ["case1", "case2"].')
    elif path.suffix.lower() in (".csv", ".tsv") and "case" in re.split(r"[,;\t]", lines[0] if lines else ""):
        cases = [row.values["case"] for row in read_table(path).rows]
    else:
        cases = lines
    cases = [case for case in cases if _key(case)]
    if not cases:
        raise InputError(f"{path} lists no training cases.", "Give one name per line.")
    return cases


def cases_of_card(card: str) -> list[str]:
    r"""Return the training cases that a model card states: the first column of tables headed "training case".

    Examples
    --------
    >>> cases_of_card("| training case | WT |\n|---|---|\n| p1 | 0.9 |\n| **mean** | 0.9 |\n\n| validation case |\n|---|\n| p2 |")
    ['p1']
    """
    cases, inside = [], False
    for line in card.splitlines():
        if not line.strip().startswith("|"):
            inside = False
            continue
        first = line.strip().strip("|").split("|")[0].strip()
        if first.lower() in ("training case", "training cases"):
            inside = True
        elif inside and first.strip("-: ") and not first.startswith("**"):
            cases.append(first)
    return cases


Known = dict[str, list[tuple[str, list[str]]]]


def training_cases(models: Mapping[str, Path], given: Sequence[str], catalogue: Catalogue) -> Known:
    """Return what is known of the training cases of models.

    Parameters
    ----------
    models : mapping of str to Path
        Name and folder of the predictions of each.
    given : sequence of str
        Files of training cases: "FILE" for all models, "NAME=FILE" for one.
    catalogue : Catalogue
        Whose cards are read, for models whose folder has the name of one of it, or holds reports of one.

    Returns
    -------
    dict
        By model: source and cases of each list.

    Raises
    ------
    InputError
        If a file cannot be read, or names a model that is not compared.
    """
    known: Known = {name: [] for name in models}
    for item in given:
        name, found, file = item.partition("=")
        if found and name not in models:
            raise InputError(f"--training-cases {item} names a model that is not compared.", f"Compared are {', '.join(models)}.")
        path = Path(file if found else item)
        cases = cases_of_file(path)
        for model in [name] if found else models:
            known[model].append((str(path), cases))
    for model, folder in models.items():
        for name in _catalogue_names(folder, catalogue):
            cases = cases_of_card(catalogue.card(name))
            if cases:
                known[model].append((f"card of {name}", cases))
    return known


def training_overlap(known: Known, tested: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Say which tested cases were in the training of a model.

    Parameters
    ----------
    known : dict
        What `training_cases` returns.
    tested : sequence of str
        Names of the test cases.

    Returns
    -------
    overlap : list of dict
        ``model``, ``source`` (file or card), ``training_cases`` (their number), ``cases`` (tested ones among them).
    unknown : list of str
        Models of which no training cases are known.

    Examples
    --------
    >>> training_overlap({"a": [("list.txt", ["p1", "p2"])], "b": []}, ["P1", "p3"])
    ([{'model': 'a', 'source': 'list.txt', 'training_cases': 2, 'cases': ['P1']}], ['b'])
    """
    overlap = []
    for model, sources in known.items():
        for source, cases in sources:
            seen = {_key(case) for case in cases}
            both = [case for case in tested if _key(case) in seen]
            overlap.append({"model": model, "source": source, "training_cases": len(cases), "cases": both})
    return overlap, [model for model, sources in known.items() if not sources]


def _key(name: str) -> tuple[str, ...]:
    """Return a name of a case, or of its file, without case, separators and what says that it is a segmentation."""
    return tuple(part for part in re.split(r"[-_. ]+", stem_of(Path(name)).lower()) if part and part != "seg")


def _catalogue_names(folder: Path, catalogue: Catalogue) -> list[str]:
    """Return the models of the catalogue that the predictions in a folder are of."""
    known, names = set(catalogue.names()), {folder.resolve().name}
    for report in sorted(folder.rglob("*-report.json")):
        # A report that is none says nothing of the model.
        with suppress(OSError, ValueError, AttributeError):
            names.add(str(json.loads(report.read_text(encoding="utf-8")).get("model", "")))
    return sorted(known & names)

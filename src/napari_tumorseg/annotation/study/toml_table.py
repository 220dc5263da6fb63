"""Reading tables of a TOML file with errors that say file, key and what to write."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_tumorseg.core.errors import InputError

__all__ = ["TomlTable", "parse_toml", "read_toml"]

_REQUIRED = object()


class TomlTable:
    """A table whose keys are taken one by one; `done` refuses those that nobody took.

    Parameters
    ----------
    values : mapping
        The table.
    file : str
        Name of the file, for errors.
    path : str
        Where in the file the table is, e.g. "steps[2]"; "" for the file itself.

    Examples
    --------
    >>> table = TomlTable({"people": "two"}, "my.toml", "steps[2]")
    >>> table.whole("people", 1)
    Traceback (most recent call last):
    ...
    napari_tumorseg.core.errors.InputError: my.toml: steps[2].people is 'two'. Write a whole number.
    """

    def __init__(self, values: Mapping[str, Any], file: str, path: str = "") -> None:
        self._values = dict(values)
        self.file = file
        self.path = path
        self._taken: set[str] = set()

    def wrong(self, key: str, what: str, hint: str) -> InputError:
        """Return the error for a key."""
        return InputError(f"{self.file}: {self._named(key)} {what}.", hint)

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """Return a text."""
        value = self._take(key, default, f'a text, e.g. {key} = "..."')
        if not isinstance(value, str):
            raise self.wrong(key, f"is {value!r}", 'Write a text in "quotes".')
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: Any = _REQUIRED) -> str:
        """Return one of some words."""
        value = self._take(key, default, f"one of {', '.join(allowed)}")
        if value not in allowed:
            raise self.wrong(key, f"is {value!r}", f"Write one of {', '.join(allowed)}.")
        return str(value)

    def whole(self, key: str, default: Any = _REQUIRED, *, least: int = 0) -> int:
        """Return a whole number that is not less than `least`."""
        value = self._take(key, default, "a whole number")
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, f"is {value!r}", "Write a whole number.")
        if value < least:
            raise self.wrong(key, f"is {value}", f"Write {least} or more.")
        return value

    def number(self, key: str, default: Any = _REQUIRED, *, least: float | None = None, most: float | None = None) -> float:
        """Return a number within bounds."""
        value = self._take(key, default, "a number")
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise self.wrong(key, f"is {value!r}", "Write a number.")
        if (least is not None and value < least) or (most is not None and value > most):
            raise self.wrong(
                key, f"is {value}", f"Write a number from {least} to {most}." if most is not None else f"Write {least} or more."
            )
        return float(value)

    def flag(self, key: str, default: Any = _REQUIRED) -> bool:
        """Return true or false."""
        value = self._take(key, default, "true or false")
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {value!r}", "Write true or false.")
        return value

    def texts(self, key: str, default: Any = _REQUIRED) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._take(key, default, f'a list of texts, e.g. {key} = ["..."]')
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise self.wrong(key, f"is {value!r}", 'Write a list of texts, e.g. ["a", "b"].')
        return tuple(value)

    def table(self, key: str, default: Any = _REQUIRED) -> TomlTable:
        """Return a table inside this one; an empty one where it may be left out and is."""
        value = self._take(key, default, f"a table [{self._named(key)}]")
        if not isinstance(value, dict):
            raise self.wrong(key, f"is {value!r}", f"Write it as a table, [{self._named(key)}].")
        return TomlTable(value, self.file, self._named(key))

    def tables(self, key: str, default: Any = _REQUIRED) -> list[TomlTable]:
        """Return a list of tables."""
        value = self._take(key, default, f"at least one table [[{self._named(key)}]]")
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.wrong(key, "is no list of tables", f"Write each as [[{self._named(key)}]].")
        return [TomlTable(v, self.file, f"{self._named(key)}[{i}]") for i, v in enumerate(value, 1)]

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def done(self) -> None:
        """Raise `InputError` for a key that nobody has taken."""
        unknown = sorted(set(self._values) - self._taken)
        if unknown:
            known = ", ".join(sorted(self._taken))
            raise self.wrong(unknown[0], "is not known", f"Check its spelling; there are {known}.")

    def _named(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _take(self, key: str, default: Any, wanted: str) -> Any:
        self._taken.add(key)
        if key in self._values:
            return self._values[key]
        if default is _REQUIRED:
            raise self.wrong(key, "is missing", f"Add {wanted}.")
        return default


def read_toml(path: Path) -> TomlTable:
    """Return the table of a TOML file; raise `InputError` where it cannot be read."""
    try:
        return parse_toml(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not written in UTF-8.", "Save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the permissions.") from None


def parse_toml(text: str, name: str) -> TomlTable:
    """Return the table of a TOML text; raise `InputError` where it is none."""
    try:
        return TomlTable(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML: {error}.", "Correct that line.") from None

"""Settings, fixed when the program starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["RESEARCH_USE_ONLY", "Settings"]

#: Said once on the first run, in About, and on everything that leaves the program.
RESEARCH_USE_ONLY = "Research use only. Not a medical device; not for diagnosis, treatment or planning."


@dataclass(frozen=True)
class Settings:
    """Where things live and how much of the machine may be used.

    Attributes
    ----------
    model_dirs : tuple of Path
        Folders searched for models and weights, first match wins; the first is written to.
    cache_dir : Path
        Files that can be made again.
    log_dir : Path
        Log files.
    state_dir : Path
        Small facts remembered between runs (first run done, trusted hashes).
    person : str
        Who is working; a pseudonym is fine.
    memory_share : float
        Share of the free memory that inference may plan with, 0 to 1.
    """

    model_dirs: tuple[Path, ...]
    cache_dir: Path
    log_dir: Path
    state_dir: Path
    person: str = ""
    memory_share: float = 0.5

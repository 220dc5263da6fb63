"""Where this user's models, caches and logs live."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from napari_tumorseg.core.settings import Settings

__all__ = ["load_settings"]


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this machine and user.

    Parameters
    ----------
    env : mapping, optional
        Environment variables; the process's own by default. ``TUMORSEG_MODELS`` names model
        folders (separated like PATH), ``TUMORSEG_HOME`` one folder for everything else,
        ``TUMORSEG_PERSON`` who is working.
    """
    import platformdirs

    env = os.environ if env is None else env
    home = Path(env["TUMORSEG_HOME"]).expanduser() if env.get("TUMORSEG_HOME") else None
    dirs = platformdirs.PlatformDirs("napari-tumorseg", appauthor=False)
    named = tuple(Path(p).expanduser() for p in env.get("TUMORSEG_MODELS", "").split(os.pathsep) if p)
    return Settings(
        model_dirs=named or ((home or dirs.user_data_path) / "models",),
        cache_dir=home / "cache" if home else dirs.user_cache_path,
        log_dir=home / "log" if home else dirs.user_log_path,
        state_dir=home / "state" if home else dirs.user_state_path,
        person=env.get("TUMORSEG_PERSON", ""),
    )

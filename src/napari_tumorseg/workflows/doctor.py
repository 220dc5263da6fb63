"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_tumorseg import __version__
from napari_tumorseg.core.errors import InputError

__all__ = ["as_text", "diagnose", "has_display"]

_PACKAGES = (
    "torch",
    "monai",
    "napari",
    "magicgui",
    "qtpy",
    "PyQt6",
    "PySide6",
    "numpy",
    "nibabel",
    "SimpleITK",
    "pydicom",
    "highdicom",
    "tifffile",
)

#: Shared libraries that Qt and OpenGL load on Linux, with the Debian package of each.
_LIBRARIES = (
    ("libEGL.so.1", "libegl1"),
    ("libGL.so.1", "libgl1"),
    ("libxcb-cursor.so.0", "libxcb-cursor0"),
    ("libxcb-icccm.so.4", "libxcb-icccm4"),
    ("libxcb-image.so.0", "libxcb-image0"),
    ("libxcb-keysyms.so.1", "libxcb-keysyms1"),
    ("libxcb-randr.so.0", "libxcb-randr0"),
    ("libxcb-render-util.so.0", "libxcb-render-util0"),
    ("libxcb-shape.so.0", "libxcb-shape0"),
    ("libxcb-sync.so.1", "libxcb-sync1"),
    ("libxcb-xfixes.so.0", "libxcb-xfixes0"),
    ("libxcb-xkb.so.1", "libxcb-xkb1"),
    ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
    ("libX11-xcb.so.1", "libx11-xcb1"),
    ("libdbus-1.so.3", "libdbus-1-3"),
    ("libfontconfig.so.1", "libfontconfig1"),
    ("libglib-2.0.so.0", "libglib2.0-0"),
)


def diagnose(env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Examine the machine.

    Parameters
    ----------
    env : mapping, optional
        Environment variables; the process's own by default.

    Returns
    -------
    dict
        Keys "versions", "gpu", "display", "opengl", "folders", "models" and "problems"; a problem
        is {"what", "do"}. Nothing is changed on the machine.
    """
    from napari_tumorseg.workflows.environment import load_settings
    from napari_tumorseg.workflows.models import describe_all

    env = os.environ if env is None else env
    problems: list[dict[str, str]] = []
    versions = {"napari-tumorseg": __version__, "python": platform.python_version(), "system": platform.platform()}
    versions |= {name: found for name in _PACKAGES if (found := _version(name))}
    if "napari" not in versions:
        problems.append({"what": "napari is not installed; only the command line works.", "do": "pip install 'napari-tumorseg[all]'"})
    elif "PyQt6" not in versions and "PySide6" not in versions:
        problems.append({"what": "No Qt binding is installed; napari cannot open a window.", "do": "pip install 'napari-tumorseg[pyqt6]'"})
    missing = _missing_libraries()
    if missing:
        line = f"sudo apt-get install -y --no-install-recommends {' '.join(missing)}"
        problems.append({"what": f"System libraries are missing: {', '.join(missing)}.", "do": f"On Debian or Ubuntu: {line}"})
    display = has_display(env)
    if not display and shutil.which("Xvfb") is None:
        problems.append(
            {
                "what": "There is no display, and Xvfb for a virtual one is missing.",
                "do": "On Debian or Ubuntu: sudo apt-get install -y xvfb xauth",
            }
        )
    opengl = _opengl() if display and not missing and "napari" in versions else {"checked": False}
    if opengl["checked"] and not opengl.get("renderer"):
        problems.append(
            {"what": f"OpenGL does not start: {opengl.get('error', '')}", "do": "Install the graphics driver, or Mesa (libgl1-mesa-dri)."}
        )
    settings = load_settings(env)
    return {
        "versions": versions,
        "gpu": _gpu(problems),
        "display": {
            "present": display,
            "name": env.get("DISPLAY") or env.get("WAYLAND_DISPLAY") or "",
            "virtual": shutil.which("Xvfb") or "",
        },
        "opengl": opengl,
        "folders": {"models": [str(p) for p in settings.model_dirs], "cache": str(settings.cache_dir), "logs": str(settings.log_dir)},
        "models": describe_all(),
        "problems": problems,
    }


def has_display(env: Mapping[str, str] | None = None) -> bool:
    """Whether windows can be shown: always outside Linux, else when a display is named."""
    env = os.environ if env is None else env
    return not sys.platform.startswith("linux") or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _missing_libraries() -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    missing = []
    for library, package in _LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def _gpu(problems: list[dict[str, str]]) -> dict[str, Any]:
    if importlib.util.find_spec("torch") is None:
        problems.append({"what": "PyTorch is not installed; no model can run.", "do": "pip install 'torch>=2.6,<2.14'"})
        return {"cuda": False, "devices": []}
    import torch

    devices = [
        {"name": torch.cuda.get_device_name(i), "memory_gb": round(torch.cuda.get_device_properties(i).total_memory / 1e9, 1)}
        for i in range(torch.cuda.device_count())
    ]
    if not devices and shutil.which("nvidia-smi"):
        what = f"An NVIDIA driver is installed, but this PyTorch ({torch.__version__}) finds no GPU."
        problems.append({"what": what, "do": "Install the CUDA build of PyTorch, or update the driver."})
    return {"cuda": torch.cuda.is_available(), "devices": devices, "cpu_threads": torch.get_num_threads()}


def _opengl() -> dict[str, Any]:
    # A failing Qt platform plugin aborts its process, so the question is put in one of its own.
    command = [sys.executable, "-m", "napari_tumorseg.widgets.gl_probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return {"checked": True, **json.loads(done.stdout.strip().splitlines()[-1])}
    except (subprocess.TimeoutExpired, OSError, IndexError, json.JSONDecodeError):
        return {"checked": True, "renderer": "", "error": "Qt could not open a window."}


def as_text(document: Mapping[str, Any]) -> str:
    """Return the findings for people."""
    gpu = document["gpu"]["devices"]
    display = document["display"]
    lines = [f"{name} {found}" for name, found in document["versions"].items()]
    lines.append("GPU: " + (", ".join(f"{d['name']} ({d['memory_gb']} GB)" for d in gpu) if gpu else "none; models run on the CPU"))
    lines.append(
        "Display: " + (display["name"] or "yes" if display["present"] else f"none; virtual: {display['virtual'] or 'not installed'}")
    )
    if document["opengl"]["checked"]:
        lines.append(f"OpenGL: {document['opengl'].get('renderer') or 'does not start'}")
    lines.append("Model folders: " + ", ".join(document["folders"]["models"]))
    lines += [f"Model {row['name']}: {'ready' if row['ready'] else 'not ready'}. {row['reason']}".rstrip() for row in document["models"]]
    lines += [f"Problem: {p['what']} {p['do']}" for p in document["problems"]]
    return "\n".join([*lines, "No problems found." if not document["problems"] else ""]).rstrip()


def require_window(env: Mapping[str, str] | None = None) -> None:
    """Raise `InputError` with what to do when napari cannot open a window here."""
    if _version("napari") == "":
        raise InputError("napari is not installed.", "Type: pip install 'napari-tumorseg[all]'")
    if missing := _missing_libraries():
        raise InputError(
            f"System libraries for windows are missing: {', '.join(missing)}.",
            f"On Debian or Ubuntu type: sudo apt-get install -y --no-install-recommends {' '.join(missing)}",
        )
    if not has_display(env) and shutil.which("Xvfb") is None:
        raise InputError(
            "There is no display, and Xvfb for a virtual one is missing.", "On Debian or Ubuntu type: sudo apt-get install -y xvfb xauth"
        )

"""Print the OpenGL renderer that napari would use, as one JSON line; run as a module of its own."""

from __future__ import annotations

import json
import sys


def probe() -> dict[str, str]:
    """Open an invisible OpenGL context through vispy and name its renderer."""
    from qtpy.QtWidgets import QApplication
    from vispy import app, gloo

    application = QApplication.instance() or QApplication([])
    canvas = app.Canvas(show=False, size=(8, 8), app="pyqt6" if "PyQt6" in sys.modules else "pyside6")
    try:
        canvas.set_current()
        found = {"renderer": str(gloo.gl.glGetParameter(gloo.gl.GL_RENDERER)), "version": str(gloo.gl.glGetParameter(gloo.gl.GL_VERSION))}
    finally:
        canvas.close()
    application.processEvents()
    return found


if __name__ == "__main__":
    try:
        answer = probe()
    except Exception as error:
        answer = {"renderer": "", "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")

"""Labels to look at only: an array on the mask's grid as a layer that no brush can change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.widgets.linked_views import LinkedViews
from napari_tumorseg.workflows.scene import PLANES

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ReadOnlyLabels", "schema_colours"]


def schema_colours(schema: LabelSchema) -> dict[int, str]:
    """Return the colour of each label of a schema, as "#rrggbb".

    Examples
    --------
    >>> from napari_tumorseg.core.labels import preset
    >>> schema_colours(preset("lesion"))
    {1: '#D55E00'}
    """
    return {label.value: label.colour for label in schema.labels}


class ReadOnlyLabels:
    """A layer over all others that shows an array without copying it, on the axes of the session's scene.

    The layer that was active stays so: adding this one takes no tool away.

    Parameters
    ----------
    session : Session
        With a scene.
    array : numpy.ndarray
        Whole numbers, shape (z, y, x) of the reference grid. It may change; `redraw` shows that.
    name : str
        Of the layer.
    colours : mapping
        Colour ("#rrggbb") by value; other values, 0 among them, are transparent.
    opacity : float
        Of the layer, 0 to 1.
    gone : callable
        Called when somebody else takes the layer out of the viewer.

    Attributes
    ----------
    layer : napari.layers.Labels
        The layer in napari's own view.
    """

    def __init__(
        self,
        session: Session,
        array: npt.NDArray[Any],
        name: str,
        colours: Mapping[int, str],
        *,
        opacity: float,
        gone: Callable[[], None],
    ) -> None:
        scene = session.view.scene
        if scene is None:
            raise RuntimeError("There is no scene to show labels on.")
        self._session = session
        self._scene = scene
        self._gone = gone
        clear = (0.0, 0.0, 0.0, 0.0)
        table: dict[int | None, Any] = {None: clear, 0: clear, **{value: _rgba(colour) for value, colour in colours.items()}}
        self.layer = Labels(
            scene.to_scene(array),
            name=name,
            scale=scene.scale_mm,
            translate=scene.translate_mm,
            units="mm",
            colormap=DirectLabelColormap(color_dict=table),
            opacity=opacity,
        )
        self.layer.editable = False
        layers = session.viewer.layers
        active = layers.selection.active
        session.viewer.add_layer(self.layer)
        layers.selection.active = active
        layers.events.removed.connect(self._on_removed)

    @property
    def there(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer in self._session.viewer.layers

    def redraw(self, box: Box) -> None:
        """Draw a box of the reference grid anew in every view whose plane passes through it."""
        there = self._scene.box_to_scene(box)
        world = np.array(self._session.view.crosshair.point_mm)
        index = np.rint((world - np.array(self._scene.translate_mm)) / np.array(self._scene.scale_mm)).astype(int)
        for plane, layer in self._shown():
            axis = PLANES[plane][0] if plane in PLANES else None
            if axis is None or there.start[axis] <= index[axis] < there.stop[axis]:
                layer.refresh(extent=False, highlight=False)

    def remove(self) -> None:
        """Take the layer out of the viewer, without a call of `gone`."""
        layers = self._session.viewer.layers
        layers.events.removed.disconnect(self._on_removed)
        if self.there:
            layers.remove(self.layer)

    def _shown(self) -> Iterator[tuple[str, Labels]]:
        """Yield the layer's counterpart in every view, with the view's plane."""
        linked = self._session.findChild(LinkedViews)
        yield self._session.view.plane, self.layer
        for view in linked.views[1:] if linked is not None else ():
            side = linked.counterpart(self.layer, view.plane)
            if side is not None and side is not self.layer:
                yield view.plane, side

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self._session.viewer.layers.events.removed.disconnect(self._on_removed)
            self._gone()


def _rgba(colour: str) -> tuple[float, float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, 1.0

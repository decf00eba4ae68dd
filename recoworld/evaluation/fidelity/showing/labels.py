"""Names beside the points of a scatter plot, none upon another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

_WAYS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (2, 0), (-2, 0), (0, 1.5), (0, -1.5))
_PLACES = [(far * dx, far * dy) for far in (4, 8, 14, 22) for dx, dy in _WAYS]
"""Offsets in points, tried in turn."""


def label(axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], *, size: float = 8) -> None:
    """Write each name where it meets no other name and no point, as near to its own point as can be."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    canvas: Any = FigureCanvasAgg(axes.get_figure(root=True))
    canvas.draw()  # places depend on the layout
    renderer, inside = canvas.get_renderer(), axes.get_window_extent()
    taken = [Bbox.from_extents(px - 4, py - 4, px + 4, py + 4) for px, py in axes.transData.transform(list(zip(x, y, strict=True)))]
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    for px, py, name in sorted(zip(x, y, names, strict=True), key=lambda point: -point[1]):
        written = axes.annotate(name, (px, py), (0, 0), textcoords="offset points", fontsize=size, color="#333333")
        written.set_path_effects([withStroke(linewidth=2, foreground="white")])
        tried = []
        for place in _PLACES:
            box = _moved(written, place).get_window_extent(renderer)
            out = (box.x0 < inside.x0) + (box.x1 > inside.x1) + (box.y0 < inside.y0) + (box.y1 > inside.y1)
            tried.append((sum(box.overlaps(other) for other in taken) + 2 * out, place, box))
            if not tried[-1][0]:
                break
        _, place, box = min(tried, key=lambda one: one[0])
        _moved(written, place)
        taken.append(box)
        if max(map(abs, place)) > 10:
            line = {"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 0.6}
            axes.annotate("", (px, py), place, textcoords="offset points", arrowprops=line)


def _moved(written: Annotation, place: tuple[float, float]) -> Annotation:
    dx, dy = place
    written.set(ha="left" if dx > 0 else "right" if dx < 0 else "center", va="bottom" if dy > 0 else "top" if dy < 0 else "center")
    written.xyann = place
    return written

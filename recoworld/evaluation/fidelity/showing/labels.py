"""Names beside the points of a scatter plot, none upon another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

_WAYS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (2, 0), (-2, 0), (0, 1.5), (0, -1.5))
_PLACES = [(far * dx, far * dy) for far in (4, 8, 14, 22, 32) for dx, dy in _WAYS]
"""Offsets in points, tried in turn."""
_DOT = 4
"""Pixels from the middle of a point to its edge."""
_TOUCHES = 6
"""Pixels from a point's edge within which a name is seen to be its own; farther off it gets a line."""


def label(axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], *, size: float = 8) -> None:
    """Write each name where it meets no other name and no point, near to its own point and nearer to it than to any other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    canvas: Any = FigureCanvasAgg(axes.get_figure(root=True))
    canvas.draw()  # places depend on the layout
    renderer, inside = canvas.get_renderer(), axes.get_window_extent()
    points = [(float(px), float(py)) for px, py in axes.transData.transform(list(zip(x, y, strict=True)))]
    taken = [Bbox.from_extents(px - _DOT, py - _DOT, px + _DOT, py + _DOT) for px, py in points]
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    for own in sorted(range(len(points)), key=lambda place: -y[place]):
        others = points[:own] + points[own + 1 :]
        written = axes.annotate(names[own], (x[own], y[own]), (0, 0), textcoords="offset points", fontsize=size, color="#333333")
        written.set_path_effects([withStroke(linewidth=2, foreground="white")])
        tried = []
        for place in _PLACES:
            box = _moved(written, place).get_window_extent(renderer)
            out = (box.x0 < inside.x0) + (box.x1 > inside.x1) + (box.y0 < inside.y0) + (box.y1 > inside.y1)
            near = _distance(points[own], box)
            strange = any(_distance(other, box) <= near + 1 for other in others) * (0.5 if near > _DOT + _TOUCHES else 1)
            tried.append((sum(box.overlaps(other) for other in taken) + 2 * out + strange, place, box, near))
            if not tried[-1][0]:
                break
        _, place, box, near = min(tried, key=lambda one: one[0])
        _moved(written, place)
        taken.append(box)
        if near > _DOT + _TOUCHES:
            line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x[own], y[own]), place, textcoords="offset points", arrowprops=line)


def _distance(point: tuple[float, float], box: Any) -> float:
    """From a point to the nearest of a box, 0 inside; in pixels."""
    return math.hypot(max(box.x0 - point[0], 0, point[0] - box.x1), max(box.y0 - point[1], 0, point[1] - box.y1))


def _moved(written: Annotation, place: tuple[float, float]) -> Annotation:
    dx, dy = place
    written.set(ha="left" if dx > 0 else "right" if dx < 0 else "center", va="bottom" if dy > 0 else "top" if dy < 0 else "center")
    written.xyann = place
    return written

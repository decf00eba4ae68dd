"""Names beside the points of a scatter plot, none upon another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_PLACES = [(dx, dy) for far in (6, 13, 22, 34) for dx, dy in ((far, 0), (-far, 0), (far, far), (-far, -far), (-far, far), (far, -far), (0, far), (0, -far))]
"""Offsets in points, tried in turn."""


def label(axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], *, size: float = 8) -> None:
    """Write each name where it meets no other name and no point, as near to its own point as can be."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()  # places depend on the layout
    renderer, inside = canvas.get_renderer(), axes.get_window_extent()
    taken = [Bbox.from_extents(px - 4, py - 4, px + 4, py + 4) for px, py in axes.transData.transform(list(zip(x, y, strict=True)))]
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    for px, py, name in sorted(zip(x, y, names, strict=True), key=lambda point: -point[1]):
        written = axes.annotate(name, (px, py), textcoords="offset points", fontsize=size, color="#333333")
        best: tuple[float, tuple[float, float], Bbox] | None = None
        for dx, dy in _PLACES:
            written.set(ha="left" if dx > 0 else "right" if dx < 0 else "center", va="bottom" if dy > 0 else "top" if dy < 0 else "center")
            written.xyann = (dx, dy)
            box = written.get_window_extent(renderer)
            out = (box.x0 < inside.x0) + (box.x1 > inside.x1) + (box.y0 < inside.y0) + (box.y1 > inside.y1)
            clashes = sum(box.overlaps(other) for other in taken) + 2 * out
            if best is None or clashes < best[0]:
                best = (clashes, (dx, dy), box)
            if not clashes:
                break
        assert best is not None  # there are places to try
        dx, dy = best[1]
        written.set(ha="left" if dx > 0 else "right" if dx < 0 else "center", va="bottom" if dy > 0 else "top" if dy < 0 else "center")
        written.xyann = (dx, dy)
        taken.append(best[2])
        if max(abs(dx), abs(dy)) > 10:
            axes.annotate("", (px, py), (dx, dy), textcoords="offset points", arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 0.6})

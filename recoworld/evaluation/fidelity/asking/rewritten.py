"""Catalogues that say the same in other words, or less: what a simulator that reads is tested with."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import numpy as np

from recoworld.catalog import Catalog
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.users import Dataset

DECADES_ON = 1
"""By how much dates are shifted: by whole decades, so that what was of one decade still is, and only memory can tell."""
_LEADING = re.compile(r"^(The|A|An|La|Le|Les|El|Los|Las|Il|Der|Die|Das|Un|Une) (.+)$")
_TRAILING = re.compile(r"^(.+), (The|A|An|La|Le|Les|El|Los|Las|Il|Der|Die|Das|Un|Une)$")
_YEAR = re.compile(r"\s*[(\[](\d{4})[)\]]\s*$")
_SECONDS_A_YEAR = 31_556_952


class _Reordered(Catalog):
    """A catalogue that names an item's genres last to first."""

    def genres_of(self, item: int) -> tuple[str, ...]:
        """Names of the item's genres."""
        return super().genres_of(item)[::-1]


def reworded(title: str) -> str:
    """The same title written otherwise: article moved, year in other brackets, in quotation marks.

    >>> reworded("Matrix, The (1999)"), reworded("The Matrix")
    ('“The Matrix” [1999]', '“Matrix, The”')
    """
    year = _YEAR.search(title)
    name = title[: year.start()] if year else title
    moved = _TRAILING.sub(r"\2 \1", name)
    if moved == name:
        moved = _LEADING.sub(r"\2, \1", name)
    return f"“{moved}”" + (f" [{year[1]}]" if year else "")


def retold(text: str) -> str:
    """The same description with its sentences, or the parts of a list, last to first; one sentence gets an opening."""
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part.strip()]
    if len(sentences) > 1:
        return " ".join(sentences[::-1])
    if text.strip() and text.strip()[-1] not in ".!?" and "," in text:
        return ", ".join(part.strip() for part in text.split(",")[::-1])
    return f"In short: {text.strip()}" if text.strip() else ""


def paraphrased(known: Dataset) -> Dataset:
    """Titles reworded, genres named in another order, descriptions retold. No number changes."""
    catalog = known.catalog
    texts = {"titles": [reworded(t) for t in catalog.titles.tolist()], "texts": [retold(t) for t in catalog.texts.tolist()]}
    other: dict[str, Any] = {field.name: getattr(catalog, field.name) for field in fields(catalog)}
    return replace(known, catalog=_Reordered(**other | {name: np.array(column, np.str_) for name, column in texts.items()}))


def masked(known: Dataset) -> Dataset:
    """Titles "Item 123", no people, no descriptions: genres, years and who took what are left."""
    catalog, n = known.catalog, len(known.catalog)
    titles = np.array([f"Item {i + 1}" for i in range(n)], np.str_)
    nobody = np.full((n, 0), -1, np.int32)
    return replace(known, catalog=replace(catalog, titles=titles, texts=np.full(n, "", np.str_), people=nobody, people_names=()))


def shifted(known: Dataset) -> Dataset:
    """Years of release, those in titles too, and times of interactions `DECADES_ON` later."""
    catalog, years = known.catalog, 10 * DECADES_ON

    def later(title: str) -> str:
        return _YEAR.sub(lambda match: match[0].replace(match[1], str(int(match[1]) + years)), title)

    moved = np.where(catalog.years > 0, catalog.years + years, 0).astype(catalog.years.dtype)
    times = known.interactions.times
    if len(times) and times.max() > _SECONDS_A_YEAR:  # else they are positions in the log
        times = times + years * _SECONDS_A_YEAR
    titles = np.array([later(title) for title in catalog.titles.tolist()], np.str_)
    return replace(known, catalog=replace(catalog, years=moved, titles=titles), interactions=replace(known.interactions, times=times))


def panel_of(panel: Panel, known: Dataset) -> Panel:
    """The same people asked in front of another catalogue."""
    return replace(panel, known=known, _fitted={}, _worlds=[])

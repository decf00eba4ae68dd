"""Items in the words of a prompt: quoted titles, genres, a line of description, how well known they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

from recoworld.catalog import NO_GENRE, Catalog
from recoworld.errors import ConfigError
from recoworld.instructions import WELL_KNOWN
from recoworld.llm.words import LINE, NAME
from recoworld.registry import Registry
from recoworld.text import clean, quoted

Representation = Literal["text", "images", "semantic_ids"]
_HIT, _OBSCURE = 0.97, 0.3  # popularity ranks beside WELL_KNOWN
_HOOKS = Registry("image hook", {})


class ItemWords:
    """The items of a catalogue, each described once."""

    def __init__(self, catalog: Catalog, representation: Representation = "text", images: str | None = None) -> None:
        """Raises ConfigError where the catalogue lacks what the representation needs."""
        self.catalog = catalog
        self._codes = getattr(catalog, "semantic_ids", None)
        self._by_code = representation == "semantic_ids"
        if self._by_code and self._codes is None:
            raise ConfigError(
                f"representation='semantic_ids': the catalogue {catalog.name!r} has no semantic ids; expected an array of codes a row in "
                "Catalog.semantic_ids, or representation='text'"
            )
        hook: Callable[[int], str | None] | None = None if images is None else _HOOKS[images]
        if hook is not None and not callable(hook):
            raise ConfigError(f"images: {images!r} is a {type(hook).__name__}; expected a function: item index -> URL, caption or None")
        self._hook = hook
        self.title, self.line, self.image = cache(self._title), cache(self._line), cache(self._image)

    def genres(self, item: int) -> str:
        """Its genres' names, at most four."""
        return ", ".join(clean(name, NAME) for name in self.catalog.genres_of(item)[:4] if name != NO_GENRE)

    def _title(self, item: int) -> str:
        """What an item is called in the memory and in the profile."""
        if self._by_code:
            return f"code {'-'.join(str(int(code)) for code in self._codes[item])}"  # type: ignore[index]  # the constructor has looked
        return quoted(self.catalog.titles[item])

    def _line(self, item: int) -> str:
        """All that a list says of an item; the same for every user."""
        catalog, year, rank = self.catalog, int(self.catalog.years[item]), float(self.catalog.popularity_rank[item])
        parts = [self.title(item) + (f" ({year})" if year else ""), self.genres(item)]
        if catalog.texts[item] and not self._by_code:
            parts.append(quoted(catalog.texts[item], LINE))
        seen = self._shown(item)
        if seen and not _is_url(seen):
            parts.append(f"looks like {quoted(seen, LINE)}")
        parts.append("a hit" if rank >= _HIT else "well known" if rank >= WELL_KNOWN else "little known" if rank < _OBSCURE else "")
        return "; ".join(part for part in parts if part)

    def _image(self, item: int) -> str | None:
        """The URL of its image, where there is one."""
        seen = self._shown(item)
        return seen if seen and _is_url(seen) else None

    def _shown(self, item: int) -> str | None:
        return None if self._hook is None else self._hook(item)


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://", "data:image/"))

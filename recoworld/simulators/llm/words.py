"""Items and numbers in the words of a prompt.

Texts of a data set, and of a model, are untrusted: they are cleaned, cut and written as JSON strings, so that none can end its line,
close its quotation marks, or be taken by a tokenizer for a mark between messages (``<|im_end|>``, ``[INST]``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from recoworld.catalog import NO_GENRE, Catalog
from recoworld.errors import ConfigError
from recoworld.instructions import WELL_KNOWN
from recoworld.registry import Registry
from recoworld.simulators.llm.config import Representation
from recoworld.text import plain
from recoworld.types import LEVELS

TITLE, LINE, NAME = 60, 90, 30
"""Characters of a title, of a line of description, and of a genre's name, at most."""
_MARKS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "＜": "‹", "＞": "›", "［": "(", "］": ")"})
_HIT, _OBSCURE = 0.97, 0.3  # popularity ranks beside WELL_KNOWN
_FEELINGS = {
    "satisfaction": ("unhappy", "so-so", "happy"),
    "boredom": ("not bored", "a little bored", "bored"),
    "fatigue": ("fresh", "a little tired", "tired"),
    "patience": ("impatient", "patient enough", "patient"),
    "trust": ("distrustful", "half trusting", "trusting"),
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PARTS = ((5, "night"), (11, "morning"), (14, "midday"), (18, "afternoon"), (23, "evening"), (24, "night"))
_HOOKS = Registry("image hook", {})


def clean(text: object, limit: int) -> str:
    """One line of printable characters without brackets that part messages, at most `limit` of them."""
    return plain(text, limit).translate(_MARKS)


def quoted(text: object, limit: int = TITLE) -> str:
    """The same as a JSON string, quotation marks included."""
    return json.dumps(clean(text, limit), ensure_ascii=False)


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


def feelings(levels: list[float]) -> str:
    """The five `LEVELS` in words and numbers from 0 to 10."""
    said = []
    for name, level in zip(LEVELS, levels, strict=True):
        said.append(f"{name} {round(level * 10)} ({_FEELINGS[name][min(int(level * 3), 2)]})")
    return ", ".join(said)


def moment(minutes: int) -> str:
    """A minute of the week, 0 for Monday's midnight: "Friday evening, 21:05"."""
    day, minute = divmod(minutes % (7 * 1440), 1440)
    hour = minute // 60
    part = next(name for end, name in _PARTS if hour < end)
    return f"{_DAYS[day]} {part}, {hour}:{minute % 60:02d}"


def heard(followed: float) -> str:
    """How well a slate did what had been asked for."""
    return "does not follow it" if followed < 0.25 else "follows it in part" if followed < 0.75 else "follows it"

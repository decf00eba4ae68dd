"""Which column is which, by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from recoworld.datasets.tables import read_header
from recoworld.errors import ConfigError
from recoworld.text import plain

USUAL = {
    "user": "user userid uid users username customer customerid reviewerid visitorid memberid accountid",
    "item": "item itemid iid movie movieid film filmid product productid parentasin asin book bookid isbn song songid track trackid "
    "artistid video videoid article articleid game gameid businessid restaurantid sku",
    "rating": "rating ratings stars star score overall userrating bookrating",
    "time": "timestamp time datetime date ts unixreviewtime unixtime createdat when",
    "title": "title itemtitle movietitle booktitle producttitle productname itemname trackname",
    "genres": "genres genre categories category",
    "year": "year releaseyear releasedate yearofpublication",
}
"""What a column is for -> its usual names, the likeliest first, in small letters without marks."""
Named = dict[str, str | None]


def guessed(columns: list[str], wanted: list[str]) -> Named:
    """For each of `wanted` (keys of `USUAL`) the column that has the likeliest of its names; those without one are left out.

    Case, marks and RecBole's types do not count: ``User-ID``, ``userId`` and ``user_id:token`` are all the user.
    """
    usual = {re.sub(r"[^a-z0-9]", "", column.partition(":")[0].lower()): column for column in reversed(columns)}
    found: Named = {}
    for role in wanted:
        name = next((name for name in USUAL[role].split() if name in usual), None)
        if name is not None:
            found[role] = usual[name]
    return found


def columns_of(log: Path, given: Mapping[str, str | None], *, items: Path | None = None, encoding: str = "utf-8") -> tuple[Named, Named]:
    """A column or None for each key of `USUAL`, and which of them were guessed. Of `given`, None is guessed and "" is none.

    items: the table that titles, genres and years are sought in; else the log. Raises ConfigError where no column of users or items is
    found, DataMissing, DataCorrupt, MissingExtra.
    """
    header = read_header(log, encoding=encoding)
    about = header if items is None else read_header(items, encoding=encoding)
    taken = set(given.values())
    found: Named = {}
    for names, roles in ((header, ("user", "item", "rating", "time")), (about, ("title", "genres", "year"))):
        found |= guessed([name for name in names if name not in taken], [role for role in roles if given.get(role) is None])
    named = {role: found.get(role, given.get(role)) or None for role in USUAL}
    for role in ("user", "item"):
        if named[role] is None:
            there = ", ".join(plain(column, 40) for column in header[:40])
            raise ConfigError(f"{log}: no column has a usual name for {role} ids; columns found: {there}; say which with {role}=")
    return named, found

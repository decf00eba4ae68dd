"""Which column is which, by the names that people give them."""

from __future__ import annotations

import re

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


def guessed(columns: list[str], wanted: list[str]) -> dict[str, str]:
    """For each of `wanted` (keys of `USUAL`) the column that has the likeliest of its names; those without one are left out.

    Case, marks and RecBole's types do not count: ``User-ID``, ``userId`` and ``user_id:token`` are all the user.
    """
    plain = {re.sub(r"[^a-z0-9]", "", column.partition(":")[0].lower()): column for column in reversed(columns)}
    found = {}
    for role in wanted:
        name = next((name for name in USUAL[role].split() if name in plain), None)
        if name is not None:
            found[role] = plain[name]
    return found

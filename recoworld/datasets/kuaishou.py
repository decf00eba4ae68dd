"""What KuaiRec and KuaiRand have in common: the published facts about users, and lists of tags.

Columns as https://kuairec.com and https://kuairand.com describe them. The encrypted ``onehot_feat0`` to ``17`` are not read: nobody could
say what they mean.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import NO_GENRE
from recoworld.datasets.columns import ID, Column, Columns, read_columns
from recoworld.datasets.files import bad_line
from recoworld.users import Users

_COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
_FLAGS = ("is_lowactive_period", "is_live_streamer", "is_video_author")
_RANGES = {"follow_user_num_range": "follows", "fans_user_num_range": "fans", "friend_user_num_range": "friends"}
_ANY = -(2**31)
_TAGS = re.compile(r"\[?\s*(?:-?[0-9]{1,9}(?:\s*,\s*-?[0-9]{1,9})*)?\s*\]?")


def read_users(path: Path, advice: str) -> tuple[NDArray[np.int64], Users]:
    """Ids ``[n]`` and facts of a file ``user_features``: counts as ``log(1 + count)`` over the largest, flags, degree of activity.

    Counts and flags below 0, which stand for unknown there, are 0. Raises DataMissing or DataCorrupt.
    """
    number = Column(kind="f8", low=_ANY, high=2**53, empty=0)
    words = ("user_active_degree", *_RANGES, "register_days_range")
    wanted = {"user_id": ID, **dict.fromkeys(_COUNTS + _FLAGS, number), **dict.fromkeys(words, Column(kind="words"))}
    table = read_columns(path, wanted, advice)
    ids = table["user_id"].astype(np.int64)
    table.unique("user_id", advice)
    counts = np.log1p(np.maximum(np.stack([table[name] for name in _COUNTS], axis=1), 0))
    flags = np.stack([table[name] for name in _FLAGS], axis=1) == 1
    degrees = sorted(table.words["user_active_degree"])
    degree = np.array(table.texts("user_active_degree"))[:, None] == np.array(degrees)[None, :]
    scaled = counts / np.maximum(counts.max(axis=0), 1e-9)
    columns = {name: table.texts(name) for name in words}
    descriptions = [
        ", ".join(
            [
                columns["user_active_degree"][i] or "activity unknown",
                *(f"{word} {columns[name][i]}" for name, word in _RANGES.items()),
                f"registered {columns['register_days_range'][i]} days",
            ]
        )
        for i in range(len(ids))
    ]
    return ids, Users(
        ids=ids.astype(np.str_),
        features=np.concatenate([scaled, flags, degree], axis=1).astype(np.float32),
        feature_names=(*_COUNTS, *_FLAGS, *degrees),
        descriptions=np.array(descriptions, dtype=np.str_),
    )


def tagged(table: Columns, name: str, advice: str) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Genres of items ``[n_items, n_genres]`` and their names, "tag 8" for tag 8, from cells such as ``[27, 9]`` or ``12,65``.

    Raises DataCorrupt.
    """
    codes, cells = table[name], table.words[name]
    lists = []
    for code, cell in enumerate(cells):
        if not _TAGS.fullmatch(cell):
            raise bad_line(table.path, int(np.argmax(codes == code)) + 2, cell, f"tags as numbers with commas in column {name!r}", advice)
        lists.append([int(tag) for tag in re.findall("-?[0-9]+", cell)])
    tags = sorted({tag for cell in lists for tag in cell})
    rows = np.zeros((len(cells) + 1, len(tags) + 1), dtype=np.bool_)  # the last row for empty cells, the last column for NO_GENRE
    for row, numbers in zip(rows, lists, strict=False):
        row[np.searchsorted(tags, numbers)] = True
    rows[~rows.any(axis=1), -1] = True
    genres, names = rows[codes], (*(f"tag {tag}" for tag in tags), NO_GENRE)
    return (genres, names) if genres[:, -1].any() else (genres[:, :-1], names[:-1])


def durations(items: NDArray[np.int32], milliseconds: NDArray[np.int32], n_items: int) -> NDArray[np.float32]:
    """Seconds of each item, as its last row above 0 has them ``[n_items]``; the median of all where no row says."""
    out = np.zeros(n_items, dtype=np.float32)
    said = milliseconds > 0
    out[items[said]] = milliseconds[said] / 1000
    known = out > 0
    out[~known] = np.median(out[known]) if known.any() else 1
    return out

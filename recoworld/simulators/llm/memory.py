"""What the user remembers of a session: the mindset, and its two memories in words.

The *interaction-wise* memory has a line for each of the last slates, with what was done and thought; the *session-wise* one is a
summary of them all, counted from the replies (no call of its own). Together they keep to a budget: the summary stays, the oldest
lines go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.llm.items import ItemWords
from recoworld.llm.words import NAME
from recoworld.simulators.llm.reply import Reply
from recoworld.text import clean, quoted
from recoworld.types import Bools, Feedback, Floats, Mindset, Slates

CHARACTERS = 4
"""Of a token, roughly."""
SLATES, EXAMINED, CLICKED, LIKED, SECONDS, ASKED = range(6)
"""Columns of `LLMMindset.tally`."""
_NAMED = 3  # titles passed over that a line names
_PER_ITEM = 15  # seconds that looking at an item takes


@dataclass(frozen=True, kw_only=True, eq=False)
class LLMMindset(Mindset):
    """A `Mindset` with everything that a language-model user remembers of its session."""

    wants: NDArray[np.object_]
    """What interests the user now, in words ``[n]`` of str; likewise what it is after."""
    after: NDArray[np.object_]
    recent: NDArray[np.object_]
    """The last slates ``[n]`` of str: a line each, the latest last."""
    tally: NDArray[np.int64]
    """Slates seen, items examined, clicked, liked, seconds watched, wishes told ``[n, 6]``."""
    taken: NDArray[np.int64]
    """Clicks on each genre ``[n, n_genres]``, and items of it that were passed over."""
    passed: NDArray[np.int64]
    first: Floats
    """Satisfaction when the session began ``[n]``."""
    clock: NDArray[np.int64]
    """Minute of the week when it began ``[n]``, 0 for Monday's midnight."""
    gone: Bools
    """Who has left ``[n]``: such a user is not asked any more, and looks at one item without a thought."""


def now(mindset: LLMMindset, row: int) -> int:
    """The minute of the week."""
    return int(mindset.clock[row] + (mindset.tally[row, SECONDS] + _PER_ITEM * mindset.tally[row, EXAMINED]) // 60)


def counted(mindset: LLMMindset, catalog: Catalog, feedback: Feedback, slates: Slates) -> LLMMindset:
    """The mindset with its tallies after one more slate; in integers, sums that no order changes."""
    genres = catalog.genres[slates]  # [n, k, n_genres]
    seen = (feedback.examined, feedback.clicked, feedback.liked, np.rint(feedback.watch).astype(np.int64))
    sums = [np.ones(len(slates), np.int64), *(column.sum(axis=1, dtype=np.int64) for column in seen), feedback.instruction.given]
    return replace(
        mindset,
        tally=mindset.tally + np.stack(sums, axis=1, dtype=np.int64),
        taken=mindset.taken + (genres & feedback.clicked[:, :, None]).sum(axis=1, dtype=np.int64),
        passed=mindset.passed + (genres & feedback.skipped[:, :, None]).sum(axis=1, dtype=np.int64),
    )


def summary(mindset: LLMMindset, row: int, catalog: Catalog) -> str:
    """The session in a line, "" before the first slate."""
    slates, examined, clicked, liked, seconds, asked = mindset.tally[row].tolist()
    if not slates:
        return ""
    said = [f"{slates} {'list' if slates == 1 else 'lists'}, {examined} items looked at, {clicked} clicked"]
    for lead, counts in (("most of ", mindset.taken[row]), ("passed over most: ", mindset.passed[row])):
        if names := _most(counts, catalog):
            said.append(lead + names)
    said += [f"{liked} liked"] * (liked > 0) + [f"{seconds // 60} min {seconds % 60} s watched"] * (seconds > 0)
    said += [f"told what you want {asked} {'time' if asked == 1 else 'times'}"] * (asked > 0)
    first, last = (round(float(level) * 10) for level in (mindset.first[row], mindset.levels[row, 0]))
    return "; ".join([*said, f"satisfaction {first} at first, {last} now"])


def _most(counts: NDArray[np.int64], catalog: Catalog) -> str:
    order = [genre for genre in np.argsort(-counts, kind="stable")[:2].tolist() if counts[genre]]
    return ", ".join(clean(catalog.genre_names[genre], NAME) for genre in order)


def line(number: int, slate: list[int], items: ItemWords, reply: Reply, examined: Bools, clicked: Bools, said: str) -> str:
    """What was done with one slate; examined and clicked ``[k]``, number from 1."""
    done, passed = [], []
    for slot, item in enumerate(slate):
        if clicked[slot]:
            more = "" if reply.deeds[slot] == "click" else f"{reply.deeds[slot]}, "
            thought = f": {quoted(reply.thoughts[slot])}" if reply.thoughts[slot] else ""
            done.append(f"{items.title(item)} ({more}{reply.watch[slot]} %{thought})")
        elif examined[slot]:
            passed.append(items.title(item))
    parts = ["clicked " + ", ".join(done) if done else "clicked nothing"]
    if passed:
        rest = len(passed) - _NAMED
        parts.append("passed over " + ", ".join(passed[:_NAMED]) + (f" and {rest} more" if rest > 0 else ""))
    parts += [f"said {quoted(said, 100)}"] * bool(said)
    return f"list {number}: " + "; ".join(parts)


def within(story: str, lines: str, tokens: int) -> tuple[str, str]:
    """The summary, and the latest of the lines that fit into the budget beside it; what does not fit alone is cut."""
    room = tokens * CHARACTERS
    story = _cut(story, room)
    room -= len(story)
    kept: list[str] = []
    for one in reversed(lines.split("\n")):
        if kept and len(one) > room:
            break
        kept.append(_cut(one, room))
        room -= len(kept[-1]) + 1
    return story, "\n".join(reversed(kept))


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…" if room > 0 else ""

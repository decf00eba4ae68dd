"""What a user who thinks in words thought of each item of a slate, taken out of the rationale that `recoworld.simulators.llm` writes."""

from __future__ import annotations

from dataclasses import dataclass

from recoworld.session import SessionTurn

_SAYS = " | says: "


@dataclass(frozen=True, kw_only=True)
class Thoughts:
    """Untrusted words, as they were written."""

    items: tuple[str, ...]
    """One a slot ``[k]``, "" for none."""
    said: str
    """What was said to the recommender and is no instruction, "" for nothing."""


def thoughts_of(turn: SessionTurn) -> Thoughts | None:
    """The thoughts of a turn; None where the rationale has another form, as that of other simulators.

    The form is ``1 skip: not drama again | 2 like: my kind of thing | says: bye``: the slots that were examined, in order, each with what
    was done there. As that is known of the turn, so is each mark between two thoughts, and " | " or "3 like: " within one parts nothing.
    """
    items, rest = [""] * len(turn.items), turn.rationale
    before = -1
    for slot in (slot for slot, seen in enumerate(turn.examined) if seen):
        found = [(place, mark) for mark in _marks(turn, slot, first=before < 0) if (place := rest.find(mark)) >= 0]
        place, mark = min(found, default=(-1, ""))
        if not mark or (before < 0 and place):
            return None
        if before >= 0:
            items[before] = rest[:place]
        before, rest = slot, rest[place + len(mark) :]
    if before < 0:
        return None
    items[before], _, said = rest.partition(_SAYS)
    return Thoughts(items=tuple(items), said=said)


def _marks(turn: SessionTurn, slot: int, *, first: bool) -> list[str]:
    """How the thought on a slot may begin; none where more was done than one word says."""
    more = [deed for deed, done in (("like", turn.liked), ("comment", turn.commented), ("share", turn.shared)) if done[slot]]
    deeds = more or (["click"] if turn.clicked[slot] else ["skip", "unseen"])  # the first item is looked at whatever is said of it
    return [] if len(more) > 1 else [f"{'' if first else ' | '}{slot + 1} {deed}: " for deed in deeds]

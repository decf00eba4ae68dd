"""Sessions as a person reads them: live turns and stored ones through the same few functions, all of them at 80 columns.

Item texts are untrusted: they are cleaned (`recoworld.text.plain`) and never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from recoworld.catalog import Catalog
from recoworld.session import Mind, SessionTurn, mind_of, recorded
from recoworld.text import plain
from recoworld.types import LEVELS, Turn
from recoworld.world import World

WIDTH = 80
CLICK, LIKE, COMMENT, SHARE = "▶", "♥", "✎", "↗"
LEGEND = f"{CLICK} clicked   {LIKE} liked   {COMMENT} commented   {SHARE} shared   bar: how much of it was watched"
HIDDEN = "hidden from the policy"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_WANTED = {"satisfaction", "patience", "trust"}  # the levels of which more is better
_DRIFT = 0.005  # smaller changes of a level are shown as none


def opening(world: World, user: str) -> str:
    """Who the user is, in plain text: id, description, a few visible favourites, and the hidden mindset, marked as such."""
    return as_text(profile_view(world, world.dataset.users.index(user), mind=_present(world, user)))


def turn_text(world: World, turn: Turn | SessionTurn, row: int = 0, *, before: Mind | None = None) -> str:
    """A turn in plain text; before: the mindset at its start, where it is known. `row` is that of a live turn."""
    return as_text(_turn_of(world, turn, row, before))


def printed(world: World, turn: Turn | SessionTurn | None, user: str, *, before: Mind | None = None, console: Console | None = None) -> None:
    """Print the turn, or the opening where there has been none."""
    console = console or Console(highlight=False)
    if turn is None:
        console.print(profile_view(world, world.dataset.users.index(user), mind=_present(world, user)))
    else:
        console.print(_turn_of(world, turn, 0, before))


def as_text(view: RenderableType, width: int = WIDTH) -> str:
    """What a view looks like without colour, no line longer than `width` cells."""
    console = Console(file=StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False, highlight=False)
    with console.capture() as capture:
        console.print(view)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def profile_view(world: World, user: int, *, mind: Mind | None = None, title: str = "User", favourites: int = 5) -> RenderableType:
    """What is visible of a user (an index), and the mindset if it is given."""
    dataset = world.dataset
    log, start, end = dataset.interactions, dataset.interactions.indptr[user], world.split.visible_end[user]
    liked = np.flatnonzero(dataset.liked[start:end]) + start
    best = liked[np.lexsort((-liked, -log.ratings[liked]))][:favourites]
    about = plain(dataset.users.descriptions[user], 60)
    name = f"{title} {plain(dataset.users.ids[user], 30)} of {plain(dataset.name, 30)}"
    lines: list[RenderableType] = [Text(f"{name}: {about}" if about else name, style="bold")]
    lines.append(Text(f"has rated or watched {end - start} items, liked {len(liked)}" + (", best of all" if len(best) else ""), style="dim"))
    lines += [Text.assemble("  ", (plain(dataset.catalog.label(int(item)), 74), "")) for item in log.items[best]]
    if mind is not None:
        lines += [Text(), _mindset(mind, None)]
    return Group(*lines)


def turn_view(
    turn: SessionTurn,
    catalog: Catalog | None,
    *,
    heading: str = "",
    before: Mind | None = None,
    hidden: bool = True,
) -> RenderableType:
    """A turn: the slate with what the user did, what it said, the reward, and if `hidden` what only the reader of a simulation may know.

    catalog: None where the data set is not at hand; then ids and titles alone are shown.
    """
    blocks: list[RenderableType] = [slate_view(turn.items, turn.titles, catalog, turn, heading=heading), Text()]
    reward = _reward(turn)
    if hidden and turn.mindset is not None:
        both = Table.grid(padding=(0, 4))
        both.add_row(_mindset(turn.mindset, before), reward)
        blocks.append(both)
    else:
        blocks.append(reward)
    if turn.told or turn.followed:
        blocks += [Text(f"What was asked for was followed to {turn.followed:.0%}.")]
    if turn.instruction is not None:
        about = f"{turn.instruction.kind}, {turn.instruction.aspect}" if turn.instruction.aspect != "none" else turn.instruction.kind
        blocks += [Text(), Text.assemble("The user says: ", (f"“{plain(turn.instruction.text, 400)}”", "bold cyan"), (f"  ({about})", "dim"))]
    for words, what in ((turn.rationale, "The user thinks"), (turn.mindset.text if turn.mindset else "", "The user feels")):
        if hidden and words:
            blocks.append(Text.assemble(f"{what} ({HIDDEN}): ", (plain(words, 400), "italic")))
    if turn.left:
        blocks += [Text(), Text("The user leaves.", style="bold red")]
    return Group(*blocks)


def slate_view(
    items: Sequence[int], titles: Sequence[str], catalog: Catalog | None, turn: SessionTurn | None = None, *, heading: str = ""
) -> RenderableType:
    """A numbered list of items ``[k]``, with what became of each where `turn` is the reply to them."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False, title=Text(heading, style="bold") if heading else None)
    table.title_justify = "left"
    table.add_column(justify="right", style="dim", width=3)
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=24, max_width=None if catalog is None else 32)
    if catalog is not None:
        table.add_column(width=4)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", max_width=20 if turn else 34)
    if turn is not None:
        table.add_column(width=4, style="bold")
        table.add_column(no_wrap=True, width=12)
    for slot, item in enumerate(items):
        row = [Text(str(slot + 1)), Text(plain(titles[slot], 70))]
        if catalog is not None:
            year = int(catalog.years[item])
            row += [Text(str(year) if year else ""), Text(plain(", ".join(catalog.genres_of(item)), 60))]
        if turn is not None:
            row += _deeds(turn, slot, None if catalog is None else float(catalog.durations[item]))
        table.add_row(*row, style="dim" if turn is not None and not turn.examined[slot] else None)
    return table


def bar(share: float, width: int) -> str:
    """A bar of `width` cells, filled to `share` in [0, 1]."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _deeds(turn: SessionTurn, slot: int, duration: float | None) -> list[Text]:
    """What the user did with a slot: symbols, and how long it watched."""
    if not turn.examined[slot]:
        return [Text(), Text("not looked at")]
    if not turn.clicked[slot]:
        return [Text(), Text("passed over", style="dim")]
    acts = ((turn.clicked, CLICK), (turn.liked, LIKE), (turn.commented, COMMENT), (turn.shared, SHARE))
    seconds = turn.watch[slot]
    watched = bar(seconds / duration, 6) if duration else " " * 6
    return [Text("".join(sign if did[slot] else " " for did, sign in acts), style="green"), Text(f"{watched}{_seconds(seconds):>6}")]


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 999.5 else f"{min(seconds / 3600, 9999):.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} m"


def _mindset(mind: Mind, before: Mind | None) -> RenderableType:
    """The five levels as bars, with what has changed."""
    grid = Table.grid(padding=(0, 1))
    for level in LEVELS:
        now = mind.levels[level]
        change = now - before.levels[level] if before is not None else 0.0
        sign = "▲" if change > _DRIFT else "▼" if change < -_DRIFT else " "
        colour = "green" if (change > 0) == (level in _WANTED) else "red"
        told = Text(f"{sign} {change:+.2f}" if sign != " " else "", style=colour)
        grid.add_row(Text(f"  {level}"), Text.assemble((bar(now, 12), colour if sign != " " else ""), ("▏", "dim")), Text(f"{now:.2f}"), told)
    purpose = f"came for {plain(mind.intent, 30)}" if mind.intent else "came to browse"
    return Group(Text.assemble(("Mindset", "bold"), (f", {HIDDEN}; {purpose}", "dim")), grid)


def _reward(turn: SessionTurn) -> RenderableType:
    """The reward and its parts before weighting."""
    grid = Table.grid(padding=(0, 1))
    for name, value in turn.parts.items():
        grid.add_row(Text(f"  {plain(name, 16)}"), Text(f"{value:.4g}", justify="right"))
    return Group(Text.assemble(("Reward ", "bold"), (f"{turn.reward:.4g}", "bold"), (" of", "dim")), grid)


def _turn_of(world: World, turn: Turn | SessionTurn, row: int, before: Mind | None) -> RenderableType:
    if isinstance(turn, SessionTurn):
        return turn_view(turn, world.catalog, before=before)
    number = int(world.state.history.turn[row]) if row < len(world.state.keys) else 0
    return turn_view(recorded(world, turn, row), world.catalog, heading=f"Turn {number} of {world.max_turns}", before=before)


def _present(world: World, user: str) -> Mind | None:
    """The mindset of the user whose session stands open, if it is the first of them."""
    state = world.state
    return mind_of(world.catalog, state.mindset) if int(state.history.users[0]) == world.dataset.users.index(user) else None

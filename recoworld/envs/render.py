"""Sessions as a person reads them: live turns and stored ones through the same few functions, all of them at 80 columns.

Item texts are untrusted: they are cleaned (`recoworld.text.plain`) and never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recoworld.catalog import Catalog
from recoworld.envs.thoughts import Thoughts, thoughts_of
from recoworld.session import Mind, Session, SessionTurn
from recoworld.session_log import mind_of, recorded
from recoworld.text import plain
from recoworld.types import LEVELS, Turn
from recoworld.world import World

WIDTH = 80
CLICK, LIKE, COMMENT, SHARE = "▶", "♥", "✎", "↗"
LEGEND = f"{CLICK} clicked   {LIKE} liked   {COMMENT} commented   {SHARE} shared   bar: how much of it was watched"
HIDDEN = "hidden from the policy"
_WANTED = {"satisfaction", "patience", "trust"}  # the levels of which more is better
_DRIFT = 0.005  # smaller changes of a level are shown as none
_THOUGHT = 1000  # characters of a thought, as many as `LLMUserConfig.thought_length` allows
_REASONING = 4000  # characters of a recommender's reasoning


def opening(world: World, user: str) -> str:
    """Who the user is, in plain text: id, description, a few visible favourites, and the hidden mindset, marked as such."""
    return as_text(profile_view(world, world.dataset.users.index(user), mind=_present(world, user)))


def turn_text(world: World, turn: Turn | SessionTurn, row: int = 0, *, before: Mind | None = None, heading: str = "") -> str:
    """A turn in plain text; before: the mindset at its start, where it is known; row: that of a live turn, which needs no heading."""
    return as_text(_turn_of(world, turn, row, before, heading))


def printed(
    world: World, turn: Turn | SessionTurn | None, user: str, *, before: Mind | None = None, console: Console | None = None
) -> None:
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
    lines.append(Text(f"has met {end - start} items and liked {len(liked)}" + (", these best of all:" if len(best) else ""), style="dim"))
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
    thoughts = thoughts_of(turn) if hidden else None
    words = turn.mindset.text if hidden and turn.mindset is not None else ""
    blocks: list[RenderableType] = [slate_view(turn.items, turn.titles, catalog, turn, heading=heading, thoughts=thoughts), Text()]
    if turn.reasoning:
        first, *further = plain(turn.reasoning, _REASONING).split(" | ")
        blocks += [Text.assemble("The recommender thinks: ", (first, "italic"))]
        blocks += [*(Text.assemble("  then: ", (step, "italic")) for step in further), Text()]
    if hidden and turn.mindset is not None:
        both = Table.grid(padding=(0, 4))
        both.add_row(_mindset(turn.mindset, before), _reward(turn))
        blocks.append(both)
    else:
        parts = ", ".join(f"{plain(name, 16)} {_number(value)}" for name, value in turn.parts.items())
        blocks.append(Text.assemble((f"Reward {_number(turn.reward)}", "bold"), (f": {parts}", "dim")))
    if thoughts is not None and words:
        blocks.append(_words(words))
    if turn.told or turn.followed:
        blocks.append(Text(f"The slate did {turn.followed:.0%} of what the user had asked for."))
    said: list[RenderableType] = []
    if turn.instruction is not None:
        about = f"{turn.instruction.kind}, {turn.instruction.aspect}"
        said.append(Text.assemble("The user says: ", (_quoted(turn.instruction.text, 400), "bold cyan"), (f" ({about})", "dim")))
    if thoughts is not None:
        said += _unheard(thoughts)
    elif hidden:
        for text, what in ((turn.rationale, "thinks"), (words, "feels")):
            if text:
                said.append(Text.assemble(f"The user {what} ({HIDDEN}): ", (plain(text, 400), "italic")))
    if turn.left:
        said.append(Text("The user leaves.", style="bold red"))
    return Group(*blocks, *([Text(), *said] if said else []))


def slate_view(
    items: Sequence[int],
    titles: Sequence[str],
    catalog: Catalog | None,
    turn: SessionTurn | None = None,
    *,
    heading: str = "",
    thoughts: Thoughts | None = None,
) -> RenderableType:
    """A numbered list of items ``[k]``, with what became of each where `turn` is the reply to them, and below each what was thought."""
    blocks: list[RenderableType] = [Text(heading, style="bold")] if heading else []
    if thoughts is not None:
        blocks = [Text.assemble((heading, "bold"), (f"{', with' if heading else 'With'} the user’s thoughts, {HIDDEN}", "dim"))]
    table = _slots(catalog, turn)
    for slot, item in enumerate(items):
        row = [Text(str(slot + 1)), Text(plain(titles[slot], 70))]
        if catalog is not None:
            year = int(catalog.years[item])
            row += [Text(str(year) if year else ""), Text(plain(", ".join(catalog.genres_of(item)), 60))]
        if turn is not None:
            row += _deeds(turn, slot, None if catalog is None else float(catalog.durations[item]))
        table.add_row(*row, style="dim" if turn is not None and not turn.examined[slot] else None)
        if thoughts is not None and thoughts.items[slot]:  # as wide as the page: the next slots are a table of their own
            blocks += [table, Padding(Text(_quoted(thoughts.items[slot], _THOUGHT), style="italic"), (0, 0, 0, 4))]
            table = _slots(catalog, turn)
    return Group(*blocks, *([table] if table.row_count else []))


def _slots(catalog: Catalog | None, turn: SessionTurn | None) -> Table:
    """An empty table of slots; all columns are as wide as they are, whatever comes in."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(justify="right", style="dim", width=3, min_width=3)
    table.add_column(no_wrap=True, overflow="ellipsis", width=54 if catalog is None else 30 if turn is not None else 40)
    if catalog is not None:
        table.add_column(width=4)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", width=20 if turn is not None else 29)
    if turn is not None:
        table.add_column(width=4, min_width=4, style="bold")
        table.add_column(no_wrap=True, width=13, min_width=13)
    return table


def thoughts_view(session: Session, catalog: Catalog | None) -> RenderableType | None:
    """What the user thought of each item, turn by turn, and how it felt in its own words; None of users who do not think in words."""
    blocks: list[RenderableType] = []
    for number, turn in enumerate(session.turns, 1):
        thoughts = thoughts_of(turn)
        if thoughts is None:
            continue
        blocks.append(slate_view(turn.items, turn.titles, catalog, turn, heading=f"Turn {number}", thoughts=thoughts))
        blocks += [_words(turn.mindset.text)] if turn.mindset is not None and turn.mindset.text else []
        blocks += [*_unheard(thoughts), Text()]
    return Group(*blocks[:-1]) if blocks else None


def course_view(session: Session) -> RenderableType:
    """The mindset over the whole session: why the user did what it did."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", title=Text(f"Mindset over the session, {HIDDEN}", style="bold"))
    table.title_justify = "left"
    for name in ("turn", *LEVELS, "reward"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=22)
    before = session.opening
    if before is not None:
        table.add_row("0", *(Text(f"{before.levels[level]:.2f}") for level in LEVELS), "", Text(_purpose(before)))
    for number, turn in enumerate(session.turns, 1):
        cells = [Text("?") for _ in LEVELS]
        if turn.mindset is not None:
            cells = [Text(f"{turn.mindset.levels[level]:.2f}", style=_change(level, turn.mindset, before)[1]) for level in LEVELS]
        words = "leaves" if turn.left else _quoted(turn.instruction.text, 60) if turn.instruction is not None else ""
        table.add_row(str(number), *cells, _number(turn.reward), Text(words))
        before = turn.mindset
    return table


def bar(share: float, width: int, colour: str = "") -> Text:
    """A line of `width` cells, thick up to `share` in [0, 1]."""
    full, half = divmod(round(min(max(share, 0.0), 1.0) * width * 2), 2)
    return Text.assemble(("━" * full + "╸" * half, colour), ("─" * (width - full - half), "dim"))


def _deeds(turn: SessionTurn, slot: int, duration: float | None) -> list[Text]:
    """What the user did with a slot: symbols, and how long it watched."""
    if not turn.examined[slot]:
        return [Text(), Text("not looked at")]
    if not turn.clicked[slot]:
        return [Text(), Text("passed over", style="dim")]
    acts = ((turn.clicked, CLICK), (turn.liked, LIKE), (turn.commented, COMMENT), (turn.shared, SHARE))
    seconds = turn.watch[slot]
    watched = bar(seconds / duration, 6, "green") if duration else Text()
    return [Text("".join(sign if did[slot] else " " for did, sign in acts), style="green"), watched + Text(f"{_seconds(seconds):>6}")]


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 999.5 else f"{min(seconds / 3600, 9999):.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} m"


def _mindset(mind: Mind, before: Mind | None) -> RenderableType:
    """The five levels as bars, with what has changed."""
    grid = Table.grid(padding=(0, 1))
    for level in LEVELS:
        now = mind.levels[level]
        change, colour = _change(level, mind, before)
        grid.add_row(Text(f"  {level}"), bar(now, 12, colour), Text(f"{now:.2f}"), Text(change, style=colour))
    return Group(Text.assemble(("Mindset", "bold"), (f", {HIDDEN}; {_purpose(mind)}", "dim")), grid)


def _words(text: str) -> RenderableType:
    """The mindset in words, below its levels."""
    return Padding(Text(plain(text, 600), style="italic"), (0, 0, 0, 2))


def _unheard(thoughts: Thoughts) -> list[RenderableType]:
    """What was said and is no instruction."""
    if not thoughts.said:
        return []
    return [Text.assemble(f"The user says, and is not understood ({HIDDEN}): ", (_quoted(thoughts.said, 400), "italic"))]


def _purpose(mind: Mind) -> str:
    return f"came for {plain(mind.intent, 30)}" if mind.intent else "came to browse"


def _change(level: str, now: Mind, before: Mind | None) -> tuple[str, str]:
    """How a level has changed, in words and as a colour; empty where it has not."""
    change = now.levels[level] - before.levels[level] if before is not None else 0.0
    if abs(change) <= _DRIFT:
        return "", ""
    return f"{'▲' if change > 0 else '▼'} {change:+.2f}", "green" if (change > 0) == (level in _WANTED) else "red"


def _reward(turn: SessionTurn) -> RenderableType:
    """The reward and its parts before weighting."""
    grid = Table.grid(padding=(0, 1))
    for name, value in turn.parts.items():
        grid.add_row(Text(f"  {plain(name, 16)}"), Text(_number(value), justify="right"))
    return Group(Text.assemble((f"Reward {_number(turn.reward)}", "bold"), (", out of", "dim")), grid)


def _quoted(text: str, limit: int) -> str:
    """The text in quotation marks, those within it made single ones."""
    return f"“{plain(text, limit).replace('“', '‘').replace('”', '’')}”"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e4 else f"{value:.2g}"


def _turn_of(world: World, turn: Turn | SessionTurn, row: int, before: Mind | None, heading: str = "") -> RenderableType:
    if isinstance(turn, SessionTurn):
        return turn_view(turn, world.catalog, heading=heading, before=before)
    number = int(world.state.history.turn[row]) if row < len(world.state.keys) else 0
    return turn_view(recorded(world, turn, row), world.catalog, heading=f"Turn {number} of {world.max_turns}", before=before)


def _present(world: World, user: str) -> Mind | None:
    """The mindset of the user whose session stands open, if it is the first of them."""
    state = world.state
    return mind_of(world.catalog, state.mindset) if int(state.history.users[0]) == world.dataset.users.index(user) else None

"""``recoworld replay``: stored sessions, turn by turn."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from recoworld.catalog import Catalog
from recoworld.cli.errors import told_plainly
from recoworld.cli.seats import Quit, Terminal
from recoworld.datasets import load_dataset
from recoworld.envs.render import LEGEND, course_view, turn_view
from recoworld.errors import ConfigError, RecoWorldError
from recoworld.session import Session
from recoworld.session_io import read_sessions
from recoworld.text import plain

_STEP_HELP = "  Enter goes on to the next turn, quit ends."


@told_plainly()
def replay(
    path: Annotated[str, typer.Argument(help="Sessions in JSONL or Parquet.", show_default=False)],
    session: Annotated[int, typer.Option(help="Which session, from 0.")] = 0,
    turn: Annotated[int | None, typer.Option(help="Only this turn, from 1.", show_default=False)] = None,
    step: Annotated[bool, typer.Option("--step", help="Wait for Enter after each turn.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the sessions of the file.")] = False,
    data_dir: Annotated[str | None, typer.Option(help="Folder of a local copy of the data.", show_default=False)] = None,
) -> None:
    """Show stored sessions, turn by turn."""
    replayed(path, session=session, turn=turn, step=step, listing=list_, data_dir=data_dir)


def replayed(
    path: str,
    *,
    session: int = 0,
    turn: int | None = None,
    step: bool = False,
    listing: bool = False,
    data_dir: str | None = None,
    terminal: Terminal | None = None,
) -> None:
    """Print one session of a file, or one turn of it, or the list of all. Raises DataMissing, DataCorrupt, ConfigError, MissingExtra."""
    terminal = terminal or Terminal()
    sessions = read_sessions(path)
    if listing:
        terminal.console.print(_listing(sessions))
        return
    if not 0 <= session < len(sessions):
        raise ConfigError(f"session: got {session}; expected 0 to {len(sessions) - 1}, see --list")
    one = sessions[session]
    if turn is not None and not 1 <= turn <= one.n_turns:
        raise ConfigError(f"turn: got {turn}; expected 1 to {one.n_turns}, the turns of session {session}")
    catalog = _catalog(one, data_dir)
    terminal.say(f"Session {session}: {_facts(one)}", "bold")
    terminal.say(f"{LEGEND}\n", "dim")
    if catalog is None:
        terminal.say(f"The data set {plain(one.dataset, 60)} is not at hand, so years and genres are left out.\n", "dim")
    numbers = range(1, one.n_turns + 1) if turn is None else [turn]
    for number in numbers:
        before = one.opening if number == 1 else one.turns[number - 2].mindset
        view = turn_view(one.turns[number - 1], catalog, heading=f"Turn {number} of {one.n_turns}", before=before)
        terminal.console.print(view, Text(), sep="\n")
        if step and number != numbers[-1]:
            try:
                terminal.ask("Enter", _STEP_HELP)
            except Quit:
                return
    if turn is None and any(kept.mindset for kept in one.turns):
        terminal.console.print(course_view(one))


def _facts(one: Session) -> str:
    end = "the user left" if one.left else "the user stayed"
    names = f"user {plain(one.user, 30)} of {plain(one.dataset, 30)}, {plain(one.policy, 30)} against {plain(one.simulator, 30)}"
    return f"{names}, seed {one.seed}; {one.n_turns} turns, return {one.return_:.2f}, {end}."


def _listing(sessions: list[Session]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("session", "user", "data set", "policy", "simulator"):
        table.add_column(name, justify="right" if name == "session" else "left", no_wrap=True, overflow="ellipsis", max_width=16)
    for name in ("turns", "return", "said", "left"):
        table.add_column(name, justify="right")
    for number, one in enumerate(sessions):
        said = sum(turn.instruction is not None for turn in one.turns)
        names = (Text(plain(name, 30)) for name in (one.user, one.dataset, one.policy, one.simulator))
        table.add_row(str(number), *names, str(one.n_turns), f"{one.return_:.4g}", str(said or ""), "yes" if one.left else "")
    return table


def _catalog(one: Session, data_dir: str | None) -> Catalog | None:
    """The catalogue of the session's data set, if it can be had and is the one that the session is of."""
    try:
        catalog = load_dataset(one.dataset, data_dir=data_dir).catalog
    except RecoWorldError:
        return None
    pairs = {pair for turn in one.turns for pair in zip(turn.items, turn.slate, strict=True)}
    return catalog if all(item < len(catalog) and catalog.ids[item] == name for item, name in pairs) else None

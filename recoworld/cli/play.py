"""``recoworld play``: a person takes a seat in the world, as the recommender or as the user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.text import Text

from recoworld.cli.errors import told_plainly
from recoworld.cli.seats import Quit, RecommenderSeat, Terminal, UserSeat
from recoworld.cli.settings import environment
from recoworld.cli.users import SILENT, check_model, close_at_exit, with_users
from recoworld.configs import WorldConfig
from recoworld.envs.render import LEGEND, course_view, profile_view, thoughts_view, turn_view
from recoworld.envs.sessions import PENALTY, make_rules, next_sessions
from recoworld.errors import CacheUnwritable, ConfigError, LanguageModelError, UnknownName
from recoworld.evaluation import rollout
from recoworld.policies import make_policy
from recoworld.session import Session
from recoworld.session_io import read_jsonl, write_jsonl
from recoworld.session_log import SessionLog, reasons_of
from recoworld.types import Recommender
from recoworld.world import World

_AFTER_HELP = "  why     the user's mindset over the session, and its thoughts where it has any\n  quit    or just Enter: the end"
SEATS = ("recommender", "user")


@told_plainly()
def play(
    env: Annotated[str, typer.Argument(help="An environment's id, or a data set's name.")] = "RecoWorld-Mini-v0",
    as_: Annotated[str, typer.Option("--as", help="Your seat: recommender or user.")] = "recommender",
    policy: Annotated[str, typer.Option(help="Who recommends to you, or helps you to recommend.")] = "popularity",
    seed: Annotated[int, typer.Option(help="Chooses the user and its luck.")] = 0,
    slate_size: Annotated[int, typer.Option(help="Slots of a slate.")] = 5,
    data_dir: Annotated[str | None, typer.Option(help="Folder of a local copy of the data.", show_default=False)] = None,
    out: Annotated[str | None, typer.Option(help="JSONL file to which the session is added.", show_default=False)] = None,
    simulator: Annotated[
        str | None, typer.Option(help="Who the user is: behavioral, hybrid, llm, ...: see `recoworld list`.", show_default=False)
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="The user's language model: local, openai:MODEL, scripted, ...", show_default=False)
    ] = None,
    record: Annotated[str | None, typer.Option(help="File that keeps every reply of the model.", show_default=False)] = None,
) -> None:
    """Take a seat: recommend to a simulated user, or be the user."""
    played(
        env,
        as_=as_,
        policy=policy,
        seed=seed,
        slate_size=slate_size,
        data_dir=data_dir,
        out=out,
        simulator=simulator,
        llm=llm,
        record=record,
    )


def played(
    env: str = "RecoWorld-Mini-v0",
    *,
    as_: str = "recommender",
    policy: str = "popularity",
    seed: int = 0,
    slate_size: int = 5,
    data_dir: str | None = None,
    out: str | None = None,
    simulator: str | None = None,
    llm: str | None = None,
    record: str | None = None,
    terminal: Terminal | None = None,
) -> Session | None:
    """One session with a person in the seat `as_`; None if it ended before the first turn.

    The user and the luck are those of the environment's first episode after ``reset(seed=seed)``. What was played is added to `out`
    however it ends. simulator, llm, record: who the user is where the person recommends, see `recoworld.cli.users.with_users`.
    Raises UnknownName, ConfigError, DatasetError, LanguageModelError.
    """
    terminal = terminal or Terminal()
    if as_ not in SEATS:
        raise UnknownName("seat", as_, SEATS)
    for option, value in (("simulator", simulator), ("llm", llm), ("record", record)):
        if as_ == "user" and value is not None:
            raise ConfigError(f"--{option} {value}: the user is you; leave it out, or recommend to a simulated user: --as recommender")
    _, settings = environment(env, data_dir)
    settings = with_users(settings, {}, simulator=simulator, llm=llm, record=record)
    check_model(WorldConfig.of(**settings))
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed: got {seed}; expected an integer from 0 to 2**63 - 1")
    earlier = _earlier(Path(out)) if out else []
    rules = make_rules(None, "raise", PENALTY, {**settings, "data_dir": data_dir, "slate_size": slate_size})
    world, users_seat = rules.world, as_ == "user"
    asks = settings.get("simulator", "behavioral") not in SILENT
    if asks:
        close_at_exit(world.simulator)
    recommender: Recommender = make_policy(policy)
    if users_seat:
        world.simulator = UserSeat(world.catalog, terminal)  # of a world made for this session alone
    rollout.attach(recommender, world)
    if not users_seat:
        recommender = RecommenderSeat(world.catalog, recommender, terminal, farewell="The user looks at it ..." if asks else "")
    recommender.fit(world.dataset, world.split)
    users, seeds = next_sessions(rules.group, np.array([seed]), np.array([0]))
    world.reset(users, seeds)
    log = SessionLog(world, seeds, policy=recommender.name)
    terminal.console.print(profile_view(world, int(users[0]), title="You are user" if users_seat else "Your user is"))
    terminal.say(f"\n{LEGEND}\n`help` tells what you can do, `quit` ends the session.\n", "dim")
    try:
        for _, turn, _ in rollout.play(world, recommender, users, seeds):
            log.add(None, turn, reasons=reasons_of(recommender))
            _show(log.sessions()[0], world, terminal)
    except (Quit, KeyboardInterrupt):
        terminal.say("\nThe session is broken off.")
    except LanguageModelError as error:
        turns = sum(session.n_turns for session in log.sessions())
        saved = f"; its {turns} turns are in {out}" if out and turns else ""
        raise LanguageModelError(f"{error}\nThe session is broken off{saved}.") from error
    finally:
        sessions = log.sessions()
        if out and sessions:
            write_jsonl(out, [*earlier, *sessions])
    if not sessions:
        return None
    session = sessions[0]
    terminal.say(f"{session.n_turns} turns, return {session.return_:.2f}." + (f" Saved to {out}." if out else ""), "bold")
    if not users_seat:
        _afterwards(session, world, terminal)
    return session


def _show(session: Session, world: World, terminal: Terminal) -> None:
    """The last turn, without what is hidden from a policy."""
    heading = f"Turn {session.n_turns} of {world.max_turns}"
    terminal.console.print(Text(), turn_view(session.turns[-1], world.catalog, heading=heading, hidden=False), Text(), sep="\n")
    if session.left or world.cut[0]:
        terminal.say("The session is over." if session.left else f"The session is over after {world.max_turns} turns; nobody left.")


def _earlier(out: Path) -> list[Session]:
    """The sessions that `out` holds already. Raises what would keep the new one from being added, before it is played."""
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise CacheUnwritable(f"cannot write {out}: {folder} may not be written to; expected a folder with free space, open to you")
    return read_jsonl(out) if out.exists() else []


def _afterwards(session: Session, world: World, terminal: Terminal) -> None:
    """What may be asked when it is over."""
    thoughts = thoughts_view(session, world.catalog)
    try:
        while (line := terminal.ask("why, or quit", _AFTER_HELP)) != "":
            if line.lower() == "why":
                terminal.console.print(*([] if thoughts is None else [thoughts, Text()]), course_view(session), sep="\n")
            else:
                terminal.say(_AFTER_HELP)
    except Quit:
        return

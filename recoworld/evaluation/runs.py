"""Evaluate policies side by side: the same users, the same luck, one policy after another; what is finished is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError, LanguageModelError, MissingExtra, RecoWorldError
from recoworld.evaluation.asked import Asked
from recoworld.evaluation.leaderboard import Leaderboard, measured, ranked
from recoworld.evaluation.plan import Plan, plan
from recoworld.evaluation.ranking import opening_world, rank
from recoworld.evaluation.record import Saved, stored
from recoworld.evaluation.rollout import rollout
from recoworld.evaluation.store import Folder, Result
from recoworld.policies import make_policy
from recoworld.registry import POLICIES, SLOW
from recoworld.types import Recommender
from recoworld.world import World

Stage = Literal["kept", "skipped", "fit", "run", "rank", "done"]
Progress = Callable[[str, Stage, int, int], None]
"""Called with a policy's name, what happens to it, how many of its sessions have just ended, and how many there are."""


def evaluate(
    config: WorldConfig,
    policies: Sequence[str] = ("all",),
    *,
    users: int | None = None,
    seeds: int = 1,
    seed: int = 0,
    group: str = "test",
    out: str | Path | None = None,
    fresh: bool = False,
    save_sessions: int = 0,
    env: str | None = None,
    progress: Progress | None = None,
) -> Leaderboard:
    """Policies on simulated sessions, and on held-out ranking beside them.

    Args:
        config: The world; its `users` is not read, see `group`.
        policies: Names as for `recoworld.policies.make_policy`, or "all" (but for `recoworld.registry.SLOW`), of which those that cannot
            run here are skipped with a note.
        users: How many, drawn from the group; None for all of it. Where the group has fewer, others join it, with a note.
        seeds: Sessions a user: under the seeds `seed`, `seed` + 1, ...
        seed: Also of the drawing of users, of the policies' luck and of the bootstrap.
        group: "test" (policies have not learned from their logs), "validation", "train" or "all".
        out: Folder for leaderboard.json, leaderboard.csv and results/POLICY.npz, brought up to date after each policy. If it holds
            results of the same settings, they are kept and not computed again; if of others, ConfigError.
        fresh: Compute everything again and replace what is there.
        save_sessions: Also write the first so many sessions of each policy to sessions/POLICY.jsonl; needs `out`.
        env: Noted in the leaderboard.
        progress: See `Progress`.

    Ctrl-C ends the evaluation: the finished policies are returned, and `Leaderboard.interrupted` is set. A language model that is gone ends
    it, too: LanguageModelError, which has the same in its `board`. What is in `out` need not be computed, nor paid for, again.
    Raises ConfigError, UnknownName, DatasetError, MissingExtra, LanguageModelError.
    """
    if isinstance(save_sessions, bool) or not isinstance(save_sessions, int) or save_sessions < 0:
        raise ConfigError(f"save_sessions: got {save_sessions!r}; expected a number of sessions, from 0 on")
    if save_sessions and out is None:
        raise ConfigError(f"save_sessions: got {save_sessions}; say in which folder to save them: out='DIR'")
    waiting: dict[str, Recommender] = {}
    missing = []
    for name in _names(policies):
        try:
            waiting[name] = make_policy(name)
        except MissingExtra as error:
            if "all" not in policies:
                raise
            missing.append(f"{name} is left out: {error}")
    world = make_world(config)
    todo = plan(config, world, users=users, seeds=seeds, seed=seed, group=group)
    opening = opening_world(world, todo.unseen)
    folder = None if out is None else Folder(Path(out).expanduser(), todo.settings, fresh=fresh)
    measure = partial(measured, parts=world.reward.names, max_turns=world.max_turns, seed=seed)
    finished = {name: measure(result) for name, result in folder.results().items()} if folder is not None else {}
    asked = Asked(config, world.simulator, folder)
    notes, new = [*todo.notes, *missing], list[str]()
    total = len(todo.users) * seeds

    def tell(name: str, stage: Stage, ended: int = 0) -> None:
        if progress is not None:
            progress(name, stage, ended, total)

    def board(interrupted: bool) -> Leaderboard:
        made = Leaderboard(
            rows=ranked(finished.values()),
            settings=todo.settings,
            env=env,
            notes=tuple(notes),
            interrupted=interrupted,
            simulator_report=asked.report(new),
            earlier_simulator_reports=asked.earlier,
        )
        if folder is not None and (finished or not interrupted):
            folder.publish(made.files())
        return made

    try:
        for name in list(waiting):
            policy, log = waiting[name], folder.log(name) if folder is not None and save_sessions else None
            if name in finished and (log is None or stored(log) >= min(save_sessions, total)):
                tell(name, "kept")
                del waiting[name]
                continue
            saved = None if log is None else Saved(save_sessions, policy=name)
            try:
                result = _served(name, policy, world, opening, todo, saved, partial(tell, name))
            except (MissingExtra, ConfigError) as error:  # anything else is a bug of the policy
                if "all" not in policies:
                    raise
                notes.append(f"{name} is left out: {error}")
                tell(name, "skipped")
                del waiting[name]
                continue
            if folder is not None:
                folder.keep(result)
            if log is not None and saved is not None:
                saved.write(log)
            finished[name] = measure(result)
            new.append(name)
            del waiting[name]
            board(bool(waiting))
            tell(name, "done")
    except KeyboardInterrupt:
        return board(bool(waiting))
    except LanguageModelError as error:
        with suppress(RecoWorldError, OSError):  # the model's is the error to tell
            error.board = board(True)
        raise
    return board(False)


def _names(policies: Sequence[str]) -> list[str]:
    everyone = [name for name in POLICIES if name not in SLOW]
    names = [name for spec in policies for name in (everyone if spec == "all" else (spec,))]
    if not names:
        raise ConfigError(f"policies: got none; expected 'all' or some of {', '.join(POLICIES)}")
    return list(dict.fromkeys(names))


def _served(
    name: str, policy: Recommender, world: World, opening: World, todo: Plan, saved: Saved | None, tell: Callable[..., None]
) -> Result:
    """Fit one policy, play its sessions, rank the held-out items."""
    tell("fit")
    start = time.perf_counter()
    policy.fit(world.dataset, world.split)
    fitted = time.perf_counter()
    tell("run")
    table = rollout(world, policy, *todo.sessions, policy_seed=todo.seed, saved=saved, progress=lambda ended: tell("run", ended))
    tell("rank")
    ranking = rank(opening, policy, todo.unseen, policy_seed=todo.seed)
    return Result(
        policy=name,
        privileged=bool(getattr(policy, "privileged", False)),
        fit_seconds=fitted - start,
        run_seconds=time.perf_counter() - fitted,
        table=table,
        ranking=ranking,
    )

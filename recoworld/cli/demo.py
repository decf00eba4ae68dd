"""``recoworld demo``: the main job on built-in data, without network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recoworld.cli.errors import told_plainly

if TYPE_CHECKING:
    from rich.console import Console

    from recoworld.world import World

ENV = "RecoWorld-Mini-v0"
POLICIES = ["random", "popularity", "genre", "item-knn", "ease", "ease+instruct", "oracle"]
READ = "ease+instruct"
INTRODUCTION = """\
Simulated users of a small film catalogue meet seven recommenders. Each turn a user is shown ten films, clicks, watches and likes some of
them, grows content or bored, and leaves, or says what it wants instead. Every recommender gets the same users and the same luck."""
NEXT = """\
Next:
  recoworld play                                    be the recommender, or the user
  recoworld list                                    environments, data sets, policies, presets
  recoworld evaluate --policies ease,als+instruct   your own choice; --out DIR keeps the results
  recoworld evaluate --env RecoWorld-ML1M-v0 --users 500   on MovieLens-1M (6 MB, downloaded on first use)"""


@told_plainly()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to save the leaderboard to.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of users, sessions and luck.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace results that are in the folder already.")] = False,
) -> None:
    """Compare seven recommenders on built-in data and read one session. No network, under a minute."""
    from rich.console import Console

    from recoworld.assembly import make_world
    from recoworld.cli.evaluate import farewell, report
    from recoworld.cli.progress import shown
    from recoworld.configs import WorldConfig
    from recoworld.evaluation import evaluate

    console = Console()
    console.print(INTRODUCTION + "\n", highlight=False)
    config = WorldConfig.of(dataset="mini")
    with shown() as (progress, _):
        board = evaluate(config, POLICIES, seeds=2, seed=seed, out=out, fresh=fresh, env=ENV, progress=progress)
    report(board, console)
    if board.interrupted:
        farewell(board, out)
    _read(make_world(config), seed, console)
    console.print("\n" + NEXT, highlight=False, markup=False)
    if out is not None:
        console.print(f"\nWritten to {out}: leaderboard.json, leaderboard.csv, results/", soft_wrap=True, highlight=False)


def _read(world: World, seed: int, console: Console) -> None:
    """One session in which the user said something and that is short enough to read."""
    import numpy as np
    from rich.text import Text

    from recoworld.envs.render import opening, turn_text
    from recoworld.evaluation.rollout import rollout, sessions
    from recoworld.policies import make_policy

    policy = make_policy(READ)
    policy.fit(world.dataset, world.split)
    users = world.split.test
    seeds = np.full(len(users), seed)
    table = rollout(world, policy, users, seeds, policy_seed=seed)
    likely = (table.instructions > 0) & (table.clicks > 1) & (table.turns >= 3)
    chosen = int(np.argmin(np.where(likely, table.turns, np.iinfo(np.int64).max)))
    user = users[chosen : chosen + 1]
    console.rule(f"one session of {READ}, turn by turn")
    for i, (_, turn, _) in enumerate(sessions(world, policy, user, seeds[:1], policy_seed=seed)):
        if i == 0:
            console.print(Text.from_ansi(opening(world, str(world.dataset.users.ids[user[0]]))))
        console.print(Text.from_ansi(turn_text(world, turn)))

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
Simulated users of a small film catalogue meet seven recommenders. Each turn a
user is shown ten films, clicks, watches and likes some of them, grows content
or bored, and leaves, or says what it wants instead. Every recommender gets the
same users and the same luck.
"""
NEXT = """\
Next:
  recoworld play       be the recommender, or the user
  recoworld list       environments, data sets, policies, presets
  recoworld evaluate --policies ease,ease+instruct --out results
                       your own choice of policies, kept in a folder
  recoworld evaluate --simulator llm --policies random,ease --users 4
                       users played by a language model (needs the extra llm)
  recoworld evaluate --env RecoWorld-ML1M-v0 --users 500
                       on MovieLens-1M (6 MB, downloaded on first use)"""


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
    console.print(INTRODUCTION, highlight=False)
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
    """One session in which the user said something and was heard, short enough to read."""
    import numpy as np

    from recoworld.envs.render import printed
    from recoworld.evaluation.rollout import play, rollout
    from recoworld.policies import make_policy
    from recoworld.session_log import mind_of

    policy = make_policy(READ)
    policy.fit(world.dataset, world.split)
    users = world.split.test
    seeds = np.full(len(users), seed)
    table = rollout(world, policy, users, seeds, policy_seed=seed)
    readable = (table.answered >= 2) & (table.turns <= 6)
    chosen = int(np.argmax(np.where(readable, table.clicks, -1)))
    one, name = slice(chosen, chosen + 1), str(world.dataset.users.ids[users[chosen]])
    world.reset(users[one], seeds[one])
    before = mind_of(world.catalog, world.state.mindset)
    console.rule(f"one session of {READ}, turn by turn")
    printed(world, None, name, console=console)
    for _, turn, _ in play(world, policy, users[one], seeds[one], policy_seed=seed):
        console.print()
        printed(world, turn, name, before=before, console=console)
        before = mind_of(world.catalog, turn.mindset)

"""What the evidence needs beyond the runs' own evaluations: lines for the curves, networks before training, and changed worlds.

Every evaluation is kept in a work folder and not made again; a policy stands there under the hash of its weights, so that a run that was
trained anew is judged anew.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from learning_runs import Run, closed, entry, less

from recoworld.configs import WorldConfig
from recoworld.configs.training import TrainConfig
from recoworld.evaluation import evaluate
from recoworld.evaluation.agreement import kendall_tau, kendall_tau_rows, tau_interval
from recoworld.evaluation.intervals import Draws, resample
from recoworld.evaluation.store import Folder, Result
from recoworld.files import replacing
from recoworld.training.records import Record

Progress = Callable[[str, str], None]
"""Called with what is evaluated and the policy that has just been done."""

WORLDS: dict[str, tuple[str, str | dict[str, Any]]] = {
    "quiet": ("users hardly ever say what they want", "quiet"),
    "impatient": ("users leave twice as readily and give up sooner on a slate", "impatient"),
    "novelty": ("users tire of sameness fast", "novelty"),
    "by trust": (
        "users leave for want of trust, half as much of satisfaction, and whatever their patience",
        {"leave_trust": 3.6, "leave_satisfaction": 1.1, "leave_patience": 0.0},
    ),
    "by fatigue": (
        "users leave when they are tired and for no other reason: no recommender can keep them by pleasing them",
        {"leave_base": -2.5, "leave_satisfaction": 0.0, "leave_boredom": 0.0, "leave_patience": 0.0, "leave_trust": 0.0},
    ),
}
"""Name -> what is different, and how: a preset that ships with the package, or coefficients of the behavioural users."""


def changed(world: WorldConfig, change: str | Mapping[str, Any]) -> WorldConfig:
    """The same world with other coefficients: a preset's, or these."""
    coefficients = WorldConfig.of(change).simulator_config if isinstance(change, str) else dict(change)
    return world.model_copy(update={"simulator_config": {**world.simulator_config, **coefficients}})


def results_of(
    world: WorldConfig,
    policies: Mapping[str, str],
    work: Path,
    *,
    users: int | None,
    seeds: int = 1,
    seed: int = 0,
    group: str = "test",
    tell: Progress | None = None,
) -> tuple[dict[str, Result], Record]:
    """Results by label of `policies` (label -> what `make_policy` takes), and the settings of the evaluation. Ctrl-C goes through."""

    def progress(name: str, stage: str, ended: int, total: int) -> None:
        if tell is not None and stage == "done":
            tell(work.name, next(label for label, spec in policies.items() if spec == name))

    board = evaluate(world, list(policies.values()), users=users, seeds=seeds, seed=seed, group=group, out=work, progress=progress)
    if board.interrupted:
        raise KeyboardInterrupt
    found = Folder(work, board.settings).results()
    return {label: found[spec] for label, spec in policies.items()}, board.settings


def kept(policy: Path, work: Path) -> str:
    """A copy of an exported policy under the hash of its weights, as `make_policy` takes it."""
    digest = hashlib.sha256((policy / "weights.npz").read_bytes()).hexdigest()[:16]
    there = work / "policies" / digest
    if not there.exists():
        part = there.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(policy, part)
        part.rename(there)
    return f"rllib:{there}"


def untrained(run: Run, work: Path) -> str:
    """A network of the run's sizes that never learned, drawn under the run's seed, as `make_policy` takes it."""
    import torch
    from ray.rllib.core import DEFAULT_MODULE_ID

    from recoworld.assembly import make_world
    from recoworld.training.launch import algorithm_of
    from recoworld.training.serving import export

    assert run.config is not None
    config, folder = run.config, work / "fresh" / run.name
    world, (algorithm, settings) = make_world(config.world_config()), algorithm_of(config)
    spaces = {DEFAULT_MODULE_ID: (algorithm.view.observation_space(world), algorithm.view.action_space(world))}
    torch.manual_seed(config.seed)
    module = algorithm.build(config, settings).get_rl_module_spec(spaces=spaces, inference_only=False).build()
    export(config, module, folder)
    return kept(folder, work)


def opponents(config: TrainConfig) -> dict[str, str]:
    """The untrained policies that the runs were judged beside and that can run here, by name."""
    from recoworld.training.final import opponents as able

    return {name: name for name in able(config)[0]}


def in_worlds(
    run: Run,
    trained: Mapping[str, str],
    work: Path,
    *,
    worlds: Sequence[str],
    default: Mapping[str, Result],
    untrained: Sequence[str],
    tell: Progress | None = None,
) -> dict[str, Record]:
    """All policies in changed worlds, without training, on the test users of a run.

    trained: label -> what `make_policy` takes, the one that claims are made of first. default: results in the world as it is, by label, of
    these and of `untrained`.
    """
    assert run.config is not None
    config, final = run.config, run.config.final
    policies = {**trained, **{name: name for name in untrained}}
    before = {label: default[label] for label in policies}
    out = {"default": compared(before, before, trained=list(trained), seed=final.seed) | {"what": "as in training", "change": None}}
    for name in worlds:
        what, change = WORLDS[name]
        world = changed(config.world_config("test"), change)
        folder = work / "worlds" / name.replace(" ", "-")
        found, _ = results_of(world, policies, folder, users=final.users, seeds=final.seeds, seed=final.seed, tell=tell)
        out[name] = compared(found, before, trained=list(trained), seed=final.seed) | {"what": what, "change": change}
    return out


def compared(found: Mapping[str, Result], before: Mapping[str, Result], *, trained: Sequence[str], seed: int) -> Record:
    """One world's returns and ranking, and how they agree with those of the world as it is.

    `tau` is Kendall's tau-b over all policies that do not read the hidden mindset, users resampled in pairs. `margin` and `gap_closed` are
    of the first of `trained` over the untrained one that is best here. `found` and `before` hold the same labels.
    """
    rivals = [label for label in found if not found[label].privileged]
    here, there = _returns(found, rivals, seed), _returns(before, rivals, seed)
    tau = tau_interval(kendall_tau(here.estimates, there.estimates), kendall_tau_rows(here.resampled, there.resampled))
    means = {label: float(result.table.returned.mean()) for label, result in found.items()}
    row: Record = {
        "returns": {label: entry(_returns(found, [label], seed).interval()) for label in sorted(found, key=lambda one: -means[one])},
        "ranking": sorted(rivals, key=lambda label: -means[label]),
        "tau": entry(tau),
    }
    others = [label for label in rivals if label not in trained]
    chosen, best = trained[0], max(others, key=lambda label: means[label])
    ours, theirs = _returns(found, [chosen], seed), _returns(found, [best], seed)
    gap = less(ours, theirs).interval()
    row |= {"chosen": chosen, "best_untrained": best, "margin": {**(entry(gap) or {}), "excludes_zero": gap.excludes_zero}}
    row["gap_closed"] = None
    if "oracle" in found and means["oracle"] > means[best]:
        row["gap_closed"] = entry(closed(ours, theirs, _returns(found, ["oracle"], seed)).interval())
    return row


def write_text(path: Path, text: str | bytes) -> None:
    """A file that is there whole or not at all."""
    with replacing(path) as part:
        part.write_bytes(text.encode() if isinstance(text, str) else text)
        part.chmod(0o644)


def _returns(results: Mapping[str, Result], labels: Sequence[str], seed: int) -> Draws:
    """Returns of some, one column each."""
    return resample(np.stack([results[label].table.returned for label in labels], axis=1), results[labels[0]].table.user, seed=seed)

"""What a report will do: who is asked what, under which settings. Nothing but the pilot has been asked yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recoworld.datasets import load_dataset
from recoworld.dialogues import Corpus
from recoworld.evaluation.fidelity import cost
from recoworld.evaluation.fidelity.asking.checked import guarded
from recoworld.evaluation.fidelity.asking.panel import make_panel
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.candidate import candidate, coefficients
from recoworld.evaluation.fidelity.desk import Desk
from recoworld.evaluation.fidelity.identity import contents_of, manner_of
from recoworld.evaluation.fidelity.sections import chosen, section
from recoworld.policies.params import whole
from recoworld.simulators.behavioral import BehavioralSimulator
from recoworld.version import __version__


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Made by `plan`, carried out by `recoworld.evaluation.fidelity.run.carried_out`."""

    witness: Witness
    """One for all sections, which share what they let it play; it keeps its answers if they are slow to come."""
    sections: list[str]
    settings: dict[str, Any]
    """Equal settings, equal figures."""
    desk: Desk
    pilot: cost.Pilot
    named: bool
    """Whether the sections were asked for by name: then one that cannot be measured is an error."""
    notes: tuple[str, ...] = ()
    """What a reader of the report should know of who is asked."""

    @property
    def estimate(self) -> cost.Estimate:
        """Of all sections."""
        return cost.Estimate(slates={name: section(name).asks(self.witness) for name in self.sections}, pilot=self.pilot)

    @property
    def remaining(self) -> cost.Estimate:
        """Of those that are not finished yet."""
        there = {name: slates for name, slates in self.estimate.slates.items() if self.desk.section(name) is None}
        return cost.Estimate(slates=there, pilot=self.pilot)


def plan(
    simulator: Any = "behavioral",
    *,
    dataset: str,
    data_dir: str | None = None,
    settings: dict[str, Any] | None = None,
    users: int = 1000,
    seed: int = 0,
    split_seed: int = 0,
    sections: Sequence[str] = ("all",),
    moods: int = 4,
    out: str | Path | None = None,
    fresh: bool = False,
    dialogues: Corpus | None = None,
    dry: bool = False,
) -> Plan:
    """See `recoworld.evaluation.fidelity.run.fidelity`. dry: nothing is written to `out`, nothing there removed.

    Raises ConfigError, UnknownName, DatasetError; SimulatorFailed for a simulator that fails at the first few questions.
    """
    names, who = chosen(sections), candidate(simulator, settings)
    seed, split_seed = whole("seed", seed, 0, 2**31), whole("split_seed", split_seed, 0, 2**31)
    panel = make_panel(load_dataset(dataset, data_dir=data_dir), users=users, seed=seed, split_seed=split_seed)
    moods = whole("moods", moods, 1, 1000)
    people = who.of(panel.known, panel.split)
    asking = Witness(who.name, people, panel, moods=moods)
    facts = {
        "simulator": who.name,
        "simulator_config": who.settings,
        "simulator_source": who.source,
        "simulator_answers": manner_of(asking),
        "made_already": who.build is None,
        "behavioral": isinstance(people, BehavioralSimulator),  # of some figures it is plain from its equations what they are
        **{f"simulator.{name}": number for name, number in coefficients(people).items()},
        "native": getattr(people, "native", None),  # the compiled users agree with NumPy's but for knife-edges
        "dataset": panel.truth.name,
        "size": [len(panel.truth.users), len(panel.truth.catalog), len(panel.truth.interactions)],
        "data": contents_of(panel.truth),
        "users": len(panel.users),
        "seed": seed,
        "split_seed": split_seed,
        "moods": moods,
        "version": __version__,
    }
    facts = json.loads(json.dumps(facts, default=str))  # as they will be read again
    desk = Desk(None if out is None else Path(out).expanduser(), facts, corpus=dialogues, fresh=fresh, dry=dry)
    pilot = desk.pilot()
    if pilot is None:
        pilot = cost.pilot(asking)
        desk.keep_pilot(pilot)
    build = None if who.build is None else guarded(who.name, who.build)
    made_already = f"{who.name!r} was made already, before this report hid anything: whether it knows the answers cannot be told."
    answers = desk.answers() if pilot.slow else None
    return Plan(
        witness=Witness(who.name, people, panel, moods=moods, answers=answers, build=build, corpus=dialogues),
        sections=names,
        settings=facts,
        desk=desk,
        pilot=pilot,
        named="all" not in sections,
        notes=(*panel.notes, made_already) if who.build is None else panel.notes,
    )

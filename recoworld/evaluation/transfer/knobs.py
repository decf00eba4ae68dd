"""What can be tuned: families of policies, each with a handful of settings. The defaults of each constructor are among them.

| family | is | knobs | settings |
|---|---|---|---|
| genre | `GenreMatch` | prior of popularity, diversity of the slate | (1, 0.3), (0.3, 0.3), (1, 0.6) |
| item-knn | `ItemKNN` | neighbors | 50, 200 |
| als | `ALS` with 64 factors | reg | 10, 30 |
| ease | `EASE` | l2 | 200, 1000, 500 |
| ease+instruct | EASE, l2 500, that follows instructions | diversity of the slate | 0, 0.3, 0.6 |
| ease+instruct+random | the same with diversity 0, mixed with chance | share of slots | 0.1, 0.3 |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from recoworld.errors import ConfigError, MissingExtra, UnknownName
from recoworld.policies import make_policy
from recoworld.policies.instruct import InstructionFollowing
from recoworld.policies.mixed import Mixed
from recoworld.registry import POLICIES
from recoworld.types import Recommender

Knobs = dict[str, float]
Learners = dict[tuple[str, str], Recommender]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Policies that differ in their knobs alone."""

    base: str
    """The registered policy that learns."""
    settings: tuple[Knobs, ...]
    """Of the knobs, one a policy."""
    wrap: Callable[..., Recommender] | None = None
    """What makes a policy of the base and the knobs; None where the knobs are the base's own."""
    fixed: Knobs = field(default_factory=dict)
    """Settings of a wrapped base."""
    beside: tuple[str, ...] = ()
    """Further registered policies, given to `wrap` after the base."""


def _mixed(base: Any, other: Recommender, *, share: float) -> Recommender:
    return Mixed(InstructionFollowing(base), other, share=share)


FAMILIES: dict[str, Family] = {
    "genre": Family(
        base="genre", settings=({"prior": 1.0, "diversity": 0.3}, {"prior": 0.3, "diversity": 0.3}, {"prior": 1.0, "diversity": 0.6})
    ),
    "item-knn": Family(base="item-knn", settings=({"neighbors": 50}, {"neighbors": 200})),
    "als": Family(base="als", settings=({"reg": 10.0}, {"reg": 30.0})),
    "ease": Family(base="ease", settings=({"l2": 200.0}, {"l2": 1000.0}, {"l2": 500.0})),
    "ease+instruct": Family(
        base="ease",
        settings=({"diversity": 0.0}, {"diversity": 0.3}, {"diversity": 0.6}),
        wrap=InstructionFollowing,
        fixed={"l2": 500.0},
    ),
    "ease+instruct+random": Family(
        base="ease", settings=({"share": 0.1}, {"share": 0.3}), wrap=_mixed, fixed={"l2": 500.0}, beside=("random",)
    ),
}
"""Settings that share a base's fit stand one after another: it is fitted once, and one fit is in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """What a table says of a policy that competes."""

    name: str
    """E.g. "ease l2=200"."""
    family: str | None
    """None for a policy without knobs to tune."""
    privileged: bool
    """Whether it reads the hidden mindset: a bound, not a competitor."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A policy that competes, not fitted yet."""

    entrant: Entrant
    spec: str
    """Tells it from every other policy that was ever called so."""
    policy: Recommender
    learners: tuple[Recommender, ...]
    """The parts of it that must be fitted; candidates may share some."""


def candidates(policies: Sequence[str], tune: Sequence[str]) -> tuple[list[Candidate], list[str]]:
    """Every policy that competes, and notes on the families that cannot run here.

    policies: Taken as they are: names as for `make_policy`, or NAME=SPEC to call it otherwise. tune: names of `FAMILIES`, "all" or
    "none". Raises UnknownName and ConfigError, and MissingExtra for what was named and cannot run.
    """
    found, notes, learners = [_untuned(spec) for spec in dict.fromkeys(policies)], [], Learners()
    for family in _families(tune):
        try:
            found += _of(family, learners)
        except MissingExtra as error:
            if "all" not in tune:
                raise
            notes.append(f"{family} is left out: {error}")
    names = [candidate.entrant.name for candidate in found]
    if len(names) - sum(candidate.entrant.privileged for candidate in found) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            f"policies: got {', '.join(names) or 'none'}; expected different names, and two at least that do not read the hidden mindset"
        )
    return found, notes


def _untuned(spec: str) -> Candidate:
    name, equals, target = (part.strip() for part in spec.partition("="))
    if equals and not (name and target):
        raise ConfigError(f"policy {spec!r}: expected a name such as 'ease' or 'module:Class', or NAME=SPEC to call it NAME")
    policy = make_policy(target or name)
    entrant = Entrant(name=name, family=None, privileged=bool(getattr(policy, "privileged", False)))
    return Candidate(entrant=entrant, spec=spec, policy=policy, learners=(policy,))


def _families(tune: Iterable[str]) -> list[str]:
    asked = [name for word in tune if word != "none" for name in (FAMILIES if word == "all" else (word,))]
    for name in asked:
        if name not in FAMILIES:
            raise UnknownName("family of policies to tune", name, [*FAMILIES, "all", "none"])
    return list(dict.fromkeys(asked))


def _of(family: str, learners: Learners) -> list[Candidate]:
    """The settings of one family. Raises MissingExtra."""
    about, made = FAMILIES[family], []

    def learner(name: str, settings: Knobs) -> Recommender:
        key = name, repr(sorted(settings.items()))
        if key not in learners:
            learners[key] = POLICIES[name](**settings)
        return learners[key]

    for knobs in about.settings:
        parts = (learner(about.base, about.fixed if about.wrap else knobs), *(learner(name, {}) for name in about.beside))
        name = f"{family} {' '.join(f'{knob}={value:g}' for knob, value in knobs.items())}"
        policy = about.wrap(*parts, **knobs) if about.wrap else parts[0]
        entrant = Entrant(name=name, family=family, privileged=False)
        made.append(Candidate(entrant=entrant, spec=f"{name} {about.fixed}", policy=policy, learners=parts))
    return made

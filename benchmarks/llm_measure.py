"""What `llm_users.py` counts and times: the simulator, the engine given the same prompts, one request an item, and scoring.

The two ways that are compared turn by turn (the simulator, and the engine itself) take turns in going first, and both start with the
prefix cache that a running session has: it is emptied, then filled with the system messages that were met on earlier turns. An engine
without such a cache is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_engine import Call, Meter, again, engine_of, forget, naive, warmed
from llm_stage import Stage

from recoworld.llm.ledger import Ledger
from recoworld.llm.model import Completion, LanguageModel, Usage
from recoworld.simulators.llm import LLMSimulator
from recoworld.simulators.llm.asking import COUNTED
from recoworld.types import Slates

PARTS = ("raw", "naive", "score")
DEFINITIONS = {
    "user_turns_per_s": "user turns over the wall time of World.step, with the whole batch",
    "tokens_per_s": "completion tokens over the same time",
    "raw_engine_tokens_per_s": "the same engine given the same prompts, seeds, schema and sampling in one call of generate, and nothing "
    "else; its prefix cache is as warm as the simulator's",
    "share_of_raw": "the one over the other",
    "naive_user_turns_per_s": "one user at a time, one request an item with the whole context and one on how it feels, on the same engine "
    "and its prefix cache; writing its prompts left out",
    "times_naive_items": "as many times as fast as the requests on items alone",
    "times_naive_uncached": "as many times as fast as the same requests without a prefix cache",
    "prefix_cache_hit": "cached tokens over all tokens of the simulator's prompts",
    "prompt_tokens_per_response": "tokens of prompts less the cached ones, over users x turns x slate size",
    "valid_share": "first replies that could be read",
    "generate_decisions_per_s": "items answered by simulator 'llm', over the wall time of World.step",
    "score_decisions_per_s": "items judged by simulator 'llm-score', likewise, same first users and same slates",
}
Tell = Callable[[str], None]


@dataclass(kw_only=True)
class Measured:
    """What was counted and timed; the lists have an entry a turn, seconds throughout."""

    users: int
    slate_size: int
    steps: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    """Of the steps, the time in the model."""
    usage: list[Usage] = field(default_factory=list)
    raw: list[Call] = field(default_factory=list)
    replies: Sequence[Completion] = ()
    """First ones of the last turn."""
    same: int = 0
    """Replies that were the same when the engine was asked again."""
    naive: tuple[Call, Call] | None = None
    """Items, and mindsets."""
    uncached: tuple[Call, Call] | None = None
    """The same without a prefix cache."""
    naive_users: int = 0
    scored: list[float] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    """`LLMSimulator.report`."""


def measure(stage: Stage, *, turns: int, parts: tuple[str, ...] = PARTS, naive_users: int = 2, tell: Tell = print) -> Measured:
    """Play, and measure what `parts` names along the way. Raises LanguageModelError."""
    simulator = stage.world.simulator
    assert isinstance(simulator, LLMSimulator)  # the stage was made with it
    model, simulator.ledger = simulator.model, Ledger(*COUNTED)
    simulator.model, engine = Meter(model), engine_of(model)
    out = Measured(users=len(stage.world.state.keys), slate_size=stage.world.slate_size)
    met, shown = set[str](), list[Slates]()
    try:
        for number in range(turns):
            slates, before = stage.slates(), stage.world.snapshot()
            call = simulator.model.asked(lambda slates=slates: stage.step(slates))
            if "raw" in parts:
                for way in ("simulator", "engine") if number % 2 == 0 else ("engine", "simulator"):
                    warmed(engine, call, met)
                    if way == "engine":
                        out.raw.append(again(engine, call))
                    else:
                        played(stage, slates, out)
                out.same += sum(a.text == b.text for a, b in zip(out.replies, out.raw[-1].replies, strict=True))
            else:
                played(stage, slates, out)
            tell(_line(out))
            if "naive" in parts and number == turns // 2:
                out.naive_users = min(naive_users, out.users)
                out.uncached = naive(engine, simulator, before, slates, out.naive_users, cached=False)
                out.naive = naive(engine, simulator, before, slates, out.naive_users)
                for way, calls in (("", out.naive), (" without a prefix cache", out.uncached)):
                    spent = " + ".join(f"{call.seconds:.1f}" for call in calls)
                    tell(f"  one request an item{way}: {out.naive_users} user turns in {spent} s")
            met |= {prompt.messages[0]["content"] for prompt in call.prompts}
            shown.append(slates)
        out.report = simulator.report()
    finally:
        simulator.model = model
    if "score" in parts:
        out.scored = scored(stage, engine, shown, tell)
    return out


def played(stage: Stage, slates: Slates, out: Measured) -> None:
    """One turn by the simulator."""
    meter: Any = stage.world.simulator.model  # type: ignore[attr-defined]  # put there by `measure`
    stage.step(slates)
    calls, meter.calls = meter.calls, []
    out.steps.append(stage.seconds)
    out.inside.append(sum(call.seconds for call in calls))
    out.usage.append(sum((call.usage for call in calls), Usage()))
    out.replies = calls[0].replies


def scored(stage: Stage, engine: LanguageModel, shown: list[Slates], tell: Tell) -> list[float]:
    """Seconds of ``World.step`` for each of these slates, judged by `llm-score` on the same engine."""
    env: Any = stage.env
    other = Stage(
        env.spec.id,
        users=len(shown[0]),
        slate_size=shown[0].shape[1],
        seed=int(stage.seeds[0]),
        policy="popularity",
        dataset=stage.world.dataset.name,
        simulator="llm-score",
        llm="scripted",
    )
    simulator: Any = other.world.simulator
    model, simulator.model = simulator.model, engine
    forget(engine)
    seconds = []
    try:
        for number, slates in enumerate(shown):
            other.step(slates)
            seconds.append(other.seconds)
            tell(f"  scored turn {number + 1}: {other.seconds:.1f} s, {slates.size / other.seconds:.1f} decisions/s")
    finally:
        simulator.model = model
        other.close()
    return seconds


def figures(measured: Measured) -> dict[str, Any]:
    """The figures of `DEFINITIONS`; None for what was not measured."""
    turns, spent, usage = len(measured.steps), sum(measured.steps), sum(measured.usage, Usage())
    items = measured.users * turns * measured.slate_size
    raw = None if not measured.raw else sum(call.usage.completion for call in measured.raw) / sum(call.seconds for call in measured.raw)
    slow = measured.naive
    usage_of_slow = Usage() if slow is None else sum((call.usage for call in slow), Usage())
    out: dict[str, Any] = {
        "user_turns_per_s": measured.users * turns / spent,
        "tokens_per_s": usage.completion / spent,
        "raw_engine_tokens_per_s": raw,
        "naive_user_turns_per_s": None if slow is None else measured.naive_users / sum(call.seconds for call in slow),
        "prefix_cache_hit": usage.cached / max(usage.prompt, 1),
        "prompt_tokens_per_response": (usage.prompt - usage.cached) / items,
        "valid_share": measured.report["valid_first_share"],
        "score_decisions_per_s": None if not measured.scored else items / sum(measured.scored),
        "generate_decisions_per_s": items / spent,
    }
    out["share_of_raw"] = None if raw is None else out["tokens_per_s"] / raw
    out["times_naive"] = None if slow is None else out["user_turns_per_s"] / out["naive_user_turns_per_s"]
    out["times_naive_items"] = None if slow is None else out["user_turns_per_s"] * slow[0].seconds / measured.naive_users
    bare = measured.uncached
    seconds = None if bare is None else sum(call.seconds for call in bare)
    out["times_naive_uncached"] = None if seconds is None else out["user_turns_per_s"] * seconds / measured.naive_users
    out["score_times_generate"] = None if not measured.scored else out["score_decisions_per_s"] / out["generate_decisions_per_s"]
    out["completion_tokens_per_user_turn"] = usage.completion / (measured.users * turns)
    out["prompt_tokens_per_user_turn"] = usage.prompt / (measured.users * turns)
    out["share_of_time_outside_the_engine"] = 1 - sum(measured.inside) / spent
    out["same_replies_when_asked_again"] = None if raw is None else measured.same / (measured.users * turns)
    out["naive_prefix_cache_hit"] = None if slow is None else usage_of_slow.cached / max(usage_of_slow.prompt, 1)
    out["seconds_per_turn"] = [round(seconds, 3) for seconds in measured.steps]
    return out


def _line(out: Measured) -> str:
    seconds, usage = out.steps[-1], out.usage[-1]
    bare = f", the engine {out.raw[-1].usage.completion / out.raw[-1].seconds:.0f}" if out.raw else ""
    return (
        f"  turn {len(out.steps)}: {out.users} users in {seconds:.1f} s, {usage.completion / seconds:.0f} tokens/s{bare}, "
        f"{usage.cached / max(usage.prompt, 1):.0%} of {usage.prompt:,} prompt tokens cached"
    )

"""Whose users: ``--simulator``, ``--llm`` and ``--record``, and what became of a language model's replies."""

from __future__ import annotations

import atexit
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recoworld.errors import ConfigError

if TYPE_CHECKING:
    from recoworld.configs import WorldConfig

SILENT = ("behavioral", "distilled")
"""Simulators that ask no language model."""
_COUNTED = {"calls", "replies", "valid_share", "filled"}  # of a report
_FITTED = ("behavioral", "hybrid", "llm-score")  # those that take the coefficients which `recoworld build` fits


def with_users(
    settings: dict[str, Any], said: dict[str, Any], *, simulator: str | None, llm: str | None, record: Path | str | None
) -> dict[str, Any]:
    """Settings of a world with what the three options name on top; said: what ``--set`` names.

    Coefficients that were fitted for an environment of one's own are left out, with a warning, where the simulator that is asked for has
    none. Raises ConfigError where an option and ``--set`` contradict each other.
    """
    inner = said.get("simulator_config")
    said = said | {f"simulator_config.{name}": value for name, value in (inner.items() if isinstance(inner, dict) else ())}
    options = (("simulator", simulator, ["simulator"]), ("llm", llm, ["llm", "simulator_config.llm"]))
    for option, value, keys in (*options, ("record", record, ["simulator_config.record"])):
        for key in keys:
            if value is not None and key in said and str(said[key]) != str(value):
                raise ConfigError(f"got --{option} {value} and --set {key}={said[key]}; expected one of them: the option is its short form")
    config, whose = settings.get("simulator_config") or {}, simulator or said.get("simulator")
    if whose is not None and whose not in _FITTED:
        config = _without_coefficients(config, said, str(whose))
    if llm is not None:
        config = {name: value for name, value in config.items() if name != "llm"}  # of a preset
    if record is not None:
        config = {**config, "record": str(record)}
    short = {name: value for name, value in (("simulator", simulator), ("llm", llm)) if value is not None}
    return settings | short | ({"simulator_config": config} if config or "simulator_config" in settings else {})


def _without_coefficients(config: dict[str, Any], said: dict[str, Any], simulator: str) -> dict[str, Any]:
    from recoworld.simulators.config import BehavioralConfig

    fitted = {name for name in config if name in BehavioralConfig.model_fields and f"simulator_config.{name}" not in said}
    if fitted:
        warnings.warn(f"the environment's {', '.join(sorted(fitted))} are of behavioural users; {simulator!r} has none of it", stacklevel=3)
    return {name: value for name, value in config.items() if name not in fitted}


def check_model(config: WorldConfig) -> None:
    """Raises ConfigError where a model or a record is named for users who ask none."""
    named = {"llm": config.llm or config.simulator_config.get("llm"), "record": config.simulator_config.get("record")}
    for option, value in named.items():
        if value is not None and config.simulator in SILENT:
            raise ConfigError(
                f"--{option} {value}: users of the simulator {config.simulator!r} ask no language model; name one whose users do: "
                "--simulator llm, hybrid or llm-score"
            )


def close_at_exit(simulator: object) -> None:
    """Engines have processes of their own, which must not outlive the command."""
    close = getattr(simulator, "close", None)
    if callable(close):
        atexit.register(close)


def in_a_line(report: dict[str, Any]) -> str:
    """A `Leaderboard.simulator_report` for a reader: whose replies, how many could be used, and what they took."""
    prompts = f", prompts {report['prompts']}" if "prompts" in report else ""
    told = [f"users: {report['simulator']} by {report.get('llm', 'its own rules')}{prompts}"]
    numbers = [name for name, value in report.items() if isinstance(value, int | float) and name != "new_in_record"]
    if report.get("calls") == 0:
        told, numbers = [f"{told[0]}; no batch of replies was complete"], []
    elif report.keys() >= _COUNTED:
        again = f" ({report['valid_again']:,} at a second try)" if "valid_again" in report else ""
        valid = f"{100 * report['valid_share']:.4g} % valid{again}, {report['filled']:,} filled in"
        told += [f"{_many(report['replies'], 'reply', 'replies')}, {valid}", _many(report["calls"], "call") + _tokens(report)]
        numbers = [name for name in numbers if name in ("slope", "offset")]
    told += [f"{name} {report[name]:g}" for name in numbers]
    if "new_in_record" in report:
        told.append(f"{report['new_in_record']:,} new in the record")
    return "; ".join(told) + "."


def _tokens(report: dict[str, Any]) -> str:
    if "prompt_tokens" in report:
        cached, written = report.get("cached_tokens", 0), report.get("completion_tokens", 0)
        return f", {report['prompt_tokens']:,} tokens of prompts ({cached:,} cached) and {written:,} of replies"
    return f", {report['scored_tokens']:,} tokens of replies weighed" if "scored_tokens" in report else ""


def advice(config: WorldConfig | None, report: dict[str, Any] | None) -> str:
    """What becomes of the replies that a broken run has had, "" where nobody was asked."""
    if config is None or "llm" not in (report or {}) or str(config.llm or config.simulator_config.get("llm")).startswith("replay:"):
        return ""
    record = config.simulator_config.get("record")
    if record is not None:
        return f"replies so far are in {record}: the same command asks for none of them again"
    return "there was no --record FILE: the replies to the policy in progress are lost, and will be asked for again"


def _many(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"

"""Whose users: ``--simulator``, ``--llm`` and ``--record``, and what became of a language model's replies."""

from __future__ import annotations

import atexit
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recoworld.errors import ConfigError

if TYPE_CHECKING:
    from recoworld.configs import WorldConfig

SILENT = ("behavioral", "distilled")
"""Simulators that ask no language model."""
_FITTED = ("behavioral", "hybrid", "llm-score")  # those that take the coefficients which `recoworld build` fits
_REPORT, _EARLIER = "simulator_report", "earlier_simulator_reports"


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


def replies_in(config: WorldConfig) -> int:
    """How many replies its record holds, 0 without one."""
    record = config.simulator_config.get("record")
    if record is None or not Path(record).expanduser().is_file():
        return 0
    from recoworld.llm.store import Store

    store = Store(record, readonly=True)
    try:
        return sum(store.models().values())
    finally:
        store.close()


def in_a_line(name: str, report: dict[str, Any]) -> str:
    """A simulator's `report` for a reader: whose replies, how many could be used, and what they took."""
    prompts = f", prompts {report['prompts']}" if "prompts" in report else ""
    told = [f"users: {name} by {report.get('llm', 'its own rules')}{prompts}"]
    if "replies" in report:
        told.append(
            f"{_many(report['replies'], 'reply', 'replies')}, {100 * report['valid_share']:.4g} % valid "
            f"({report['valid_again']:,} at a second try), {report['filled']:,} filled in"
        )
        told.append(
            f"{_many(report['calls'], 'call')}, {report['prompt_tokens']:,} tokens of prompts ({report['cached_tokens']:,} cached) "
            f"and {report['completion_tokens']:,} of replies"
        )
    else:
        told += [f"{key} {value:g}" for key, value in report.items() if isinstance(value, int | float)]
    if "new_in_record" in report:
        told.append(f"{report['new_in_record']:,} new in the record")
    return "; ".join(told) + "."


def earlier_reports(folder: Path | None) -> list[dict[str, Any]]:
    """What runs into a folder noted before, the latest last."""
    try:
        content = json.loads(((folder or Path()) / "leaderboard.json").read_text(encoding="utf-8")) if folder is not None else {}
        reports = [*content.get(_EARLIER, []), content.get(_REPORT)]
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # `evaluate` says what is wrong with the folder
    return [report for report in reports if isinstance(report, dict)]


def check_same_model(folder: Path | None, reports: list[dict[str, Any]], now: dict[str, Any]) -> None:
    """Raises ConfigError where the results in a folder are of another model or prompt, which settings as "local" do not tell apart."""
    for report in reports:
        for what in ("llm", "prompts"):
            if what in report and what in now and report[what] != now[what]:
                raise ConfigError(
                    f"{folder} holds results of users by another {'language model' if what == 'llm' else 'prompt'} ({report[what]!r} "
                    f"there, {now[what]!r} now); choose another folder, or replace them: --fresh"
                )


def note_report(folder: Path, reports: list[dict[str, Any]]) -> None:
    """Put the reports into a folder's leaderboard.json, the last one as "simulator_report"."""
    from recoworld.files import replacing

    path = folder / "leaderboard.json"
    if not reports or not path.is_file():
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    content = before | {_REPORT: reports[-1]} | ({_EARLIER: reports[:-1]} if reports[1:] else {})
    if content == before:
        return
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8")
            temporary.chmod(0o644)  # temporary files are private
    except OSError as error:
        raise ConfigError(f"cannot write to {folder} ({error.strerror or error}); choose another folder, or free the disk") from error


def _many(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"

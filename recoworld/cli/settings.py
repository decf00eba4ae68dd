"""From words on the command line to the settings of a world."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from recoworld.cli.users import with_users
from recoworld.errors import ConfigError, UnknownName

DEFAULT_ENV = "RecoWorld-Mini-v0"


def world_settings(
    env: str | None,
    pairs: list[str],
    preset: str | None = None,
    data_dir: str | None = None,
    *,
    simulator: str | None = None,
    llm: str | None = None,
    record: Path | str | None = None,
) -> tuple[str, dict[str, Any]]:
    """The environment's full id, or the data set's name, and the keyword arguments of `WorldConfig.of`.

    env: None for the preset's data set, or `DEFAULT_ENV` where it names none; where both name one, `env` holds, and a warning says so.
    `pairs` are "key=value", with values as in YAML; "simulator_config.KEY=" and "reward.PART=" change one entry and leave the others.
    simulator, llm, record: see `recoworld.cli.users.with_users`.
    Raises UnknownName, ConfigError.
    """
    own = None if preset is None else dataset_of(preset)
    name, settings = (own, {}) if env is None and own is not None else environment(env or DEFAULT_ENV, data_dir)
    if own is not None and settings.get("dataset", own) != own:
        warnings.warn(f"--config {preset} is of the data set {own!r}; --env {env} holds: {settings['dataset']!r}", stacklevel=2)
    if preset is not None:  # instead of what `recoworld build` found, as with gym.make(id, config=...)
        settings = {key: value for key, value in settings.items() if key in ("dataset", "data_dir")}
    if data_dir is not None and "data_dir" not in settings:
        settings["data_dir"] = data_dir
    said: dict[str, Any] = {}
    for pair in pairs:
        key, value = setting(pair, "--set max_turns=30 or --set simulator_config.talkative=0.9")
        said[key] = value
        if key == "users":
            raise ConfigError(f"--set {pair!r}: whose sessions are simulated is chosen with --group")
        outer, _, inner = key.partition(".")
        if not inner:
            settings[outer] = value
            continue
        if outer not in ("simulator_config", "reward"):
            raise ConfigError(f"--set {pair!r}: {outer!r} has no entries; expected simulator_config.KEY=value or reward.PART=weight")
        settings[outer] = {**(settings.get(outer) or _defaults(outer, preset)), inner: value}
    if (llm or record) and not settings.get("simulator_config"):
        settings["simulator_config"] = _defaults("simulator_config", preset)
    return name, with_users(settings, said, simulator=simulator, llm=llm, record=record)


def dataset_of(preset: str) -> str | None:
    """The data set that a preset names."""
    from recoworld.configs import WorldConfig

    config = WorldConfig.of(preset)
    return config.dataset if "dataset" in config.model_fields_set else None


def environment(env: str, data_dir: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the world's settings of an environment's id, or of a data set by name. Raises UnknownName, ConfigError."""
    from recoworld.configs import WorldConfig
    from recoworld.datasets import list_imported
    from recoworld.envs.register import IDS, own_ids
    from recoworld.registry import DATASETS

    own = own_ids(data_dir)
    every = {**own, **IDS}
    aliases = {alias.lower(): name for name in every for alias in (name, name.rpartition("-v")[0])}
    name = env if env in every else aliases.get(env.lower())
    if name is None:
        imported = list_imported(home=data_dir) if data_dir else list_imported()
        if env in DATASETS or env in imported or env.startswith("recbole:"):
            return env, {"dataset": env}
        raise UnknownName("environment or data set", env, [*every, *DATASETS, *imported])
    settings: dict[str, Any] = dict(every[name])
    built = settings.pop("config", None)
    if built is not None:
        settings = WorldConfig.of(built, **settings).model_dump(exclude_unset=True)
    if settings["dataset"] == "recbole":
        if data_dir is None:
            raise ConfigError(f"{name} opens a folder of RecBole's atomic files: say which with --data-dir PATH")
        settings["data_dir"] = data_dir
    return name, settings


def words(text: str) -> list[str]:
    """A list separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def setting(pair: str, example: str) -> tuple[str, Any]:
    """Key and value of "key=value", the value as in YAML. Raises ConfigError, which shows the example."""
    import yaml

    key, equals, text = pair.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {pair!r}: expected key=value, e.g. {example}")
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(
            f"--set {pair!r}: cannot read the value {text!r}; expected a number, a word, true, false or a list in YAML"
        ) from None


def _defaults(name: str, preset: str | None) -> dict[str, Any]:
    from recoworld.configs import WorldConfig
    from recoworld.rewards import DEFAULT_WEIGHTS

    given = getattr(WorldConfig.of(preset), name)
    return dict(given or (DEFAULT_WEIGHTS if name == "reward" else {}))

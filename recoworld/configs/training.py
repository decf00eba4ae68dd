"""Settings of a training run, checked before anything heavy is imported, and the named ones that ship in `recoworld/configs/train`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError, UnknownName
from recoworld.registry import ALGORITHMS

FOLDER = "recoworld.configs.train"
BASELINES = ("random", "popularity", "genre", "item-knn", "ease", "als", "ials", "ease+instruct", "als+instruct", "ials+instruct", "oracle")
FREE = (
    "description",
    "world.data_dir",
    "env_runners.num",
    "env_runners.cpus",
    "env_runners.gpus",
    "learners",
    "cluster",
    "iterations",
    "minutes",
    "env_steps",
    "checkpoint_every",
    "keep_checkpoints",
    "evaluate_every",
    "final",
)
"""What may change when a run goes on: how long, on which machines, and how its end is judged."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EnvRunners(_Part):
    """Who plays the sessions."""

    num: Annotated[int, Field(ge=0)] = 0
    """Processes that sample; 0: the driver itself."""
    envs: Annotated[int, Field(ge=1)] = 256
    """Sessions side by side in each."""
    fragment: Annotated[int, Field(ge=1)] = 20
    """Steps of each session in one sample."""
    cpus: Annotated[float, Field(ge=0)] = 1.0
    """Cores that each reserves on the cluster."""
    gpus: Annotated[float, Field(ge=0)] = 0.0


class Learners(_Part):
    """Who computes the gradients."""

    num: Annotated[int, Field(ge=0)] = 0
    """Processes, each with its share of the batch; 0: the driver itself."""
    cpus_per_learner: Annotated[float, Field(ge=0)] = 1.0
    gpus_per_learner: Annotated[float, Field(ge=0)] = 0.0
    """1 for a GPU each; also with `num` 0, for the driver's."""


class Cluster(_Part):
    """Where the processes run."""

    address: str | None = None
    """ "auto" joins the Ray cluster that runs on this machine, "HOST:PORT" or "ray://..." another; None starts one for this run."""
    cpus: Annotated[int, Field(ge=1)] | None = None
    """Of a cluster started for this run; None: all cores."""
    temp_dir: str | None = None
    """Ray's own files; None: Ray's default. Keep the path short: sockets lie in it."""


class Points(_Part):
    """The learning curve: sessions of validation users, who also choose which of the policies on the curve is kept."""

    keep: Literal["best", "last"] = "best"
    """The policy of the highest point, or of the last."""
    users: Annotated[int, Field(ge=1)] = 200
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1


class Final(_Part):
    """The judgement at the end: sessions of test users, by `recoworld.evaluation.evaluate`."""

    users: Annotated[int, Field(ge=1)] | None = 500
    """None: all of them."""
    seeds: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    against: tuple[str, ...] = BASELINES
    """Names of policies, as `recoworld evaluate --policies`; those whose extra is not installed are left out with a note."""


class TrainConfig(_Part):
    """Everything that makes a training run."""

    description: str = ""
    """One line for ``recoworld train --list``."""
    algorithm: str
    """A name in `recoworld.registry.ALGORITHMS` or "module:attribute"."""
    world: dict[str, Any] = Field(default_factory=dict)
    """Settings of `recoworld.configs.WorldConfig`, without `users`: training users teach, validation users draw the curve, test users
    judge."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's own."""
    env_runners: EnvRunners = EnvRunners()
    learners: Learners = Learners()
    cluster: Cluster = Cluster()
    iterations: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many, or by the two below: whichever comes first; at least one of the three."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Of wall clock, earlier parts of a resumed run counted, the final evaluation not."""
    env_steps: Annotated[int, Field(ge=1)] | None = None
    checkpoint_every: Annotated[int, Field(ge=1)] = 1
    """Iterations."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    evaluate_every: Annotated[int, Field(ge=1)] = 5
    """Iterations between points of the curve; one before the first and one after the last come on top."""
    evaluation: Points = Points()
    final: Final = Final()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of weights, sessions and minibatches."""

    @field_validator("algorithm")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ALGORITHMS and name.count(":") != 1:
            raise ConfigError(f"algorithm: {UnknownName(ALGORITHMS.kind, name, ALGORITHMS)}")
        return name

    @model_validator(mode="after")
    def _whole(self) -> TrainConfig:
        if "users" in self.world:
            raise ConfigError("world.users: training is on training users always; expected no such setting")
        self.world_config()
        if self.iterations is None and self.minutes is None and self.env_steps is None:
            raise ConfigError("nothing says when to stop; expected at least one of iterations, minutes and env_steps")
        return self

    @classmethod
    def of(cls, source: str | Path | None = None, changes: Mapping[str, Any] | None = None) -> TrainConfig:
        """A shipped config (its name), or a YAML file's (its path), or none, with changes on top.

            TrainConfig.of("mini-ppo", {"settings.lr": 1e-3, "iterations": 3})

        changes: By dotted path. Raises ConfigError and UnknownName, which name the setting.
        """
        settings = {} if source is None else _read(str(source))
        for path, value in (changes or {}).items():
            settings = _changed(settings, path.split("."), value, path)
        _check_names(cls, settings, "")
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            if first["type"] == "value_error":
                raise ConfigError(str(first["ctx"]["error"])) from None
            if first["type"] == "missing":
                raise ConfigError(f"{where} is not set; expected {cls._example(where)}") from None
            raise ConfigError(f"{where} = {first['input']!r}: {first['msg']}") from None

    @staticmethod
    def _example(where: str) -> str:
        return f"one of {', '.join(ALGORITHMS)}" if where == "algorithm" else "a value"

    def world_config(self, users: str = "train") -> WorldConfig:
        """The world in which it happens."""
        try:
            return WorldConfig.of(None, **{**self.world, "users": users})
        except ConfigError as error:
            raise ConfigError(f"world: {error}") from None

    def differences(self, other: TrainConfig) -> list[str]:
        """What keeps a run of `other` from going on as this one, as "name: theirs there, ours now"; `FREE` settings do not."""
        mine, theirs = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        names = [name for name in {**theirs, **mine} if not any(name == free or name.startswith(f"{free}.") for free in FREE)]
        return [
            f"{name}: {theirs.get(name, 'not set')!r} there, {mine.get(name, 'not set')!r} now"
            for name in names
            if mine.get(name) != theirs.get(name)
        ]

    def yaml(self) -> str:
        """As a file that `of` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def trainings() -> dict[str, str]:
    """Names of the configs that ship with the package, and their descriptions."""
    files = {entry.name.removesuffix(".yaml"): entry for entry in resources.files(FOLDER).iterdir() if entry.name.endswith(".yaml")}
    return {name: str(yaml.safe_load(files[name].read_text(encoding="utf-8")).get("description", "")) for name in sorted(files)}


def _read(source: str) -> dict[str, Any]:
    file: Any = Path(source).expanduser()
    if not source.endswith((".yaml", ".yml")):
        if source not in trainings():
            hint = "; the path of a YAML file ends in .yaml" if "/" in source else ""
            raise ConfigError(f"{UnknownName('training config', source, trainings())}{hint}")
        file = resources.files(FOLDER) / f"{source}.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the settings in {source!r}: {error}; expected a YAML file of settings") from None
    if not isinstance(content, dict):
        raise ConfigError(f"settings in {source!r} are {type(content).__name__}; expected a mapping of names to values")
    return content


def _changed(settings: dict[str, Any], path: list[str], value: Any, whole: str) -> dict[str, Any]:
    """A copy with one entry changed, however deep."""
    head, *rest = path
    if not rest:
        return {**settings, head: value}
    inner = settings.get(head)
    if inner is not None and not isinstance(inner, dict):
        raise ConfigError(f"{whole}: {head!r} is {inner!r} and has no entries; set {head}=... itself")
    return {**settings, head: _changed(inner or {}, rest, value, whole)}


def _check_names(model: type[BaseModel], settings: dict[str, Any], above: str) -> None:
    """Raises ConfigError for a key that no setting has, with what is near."""
    for key, value in settings.items():
        field = model.model_fields.get(key)
        if field is None:
            kind = f"setting of {above.rstrip('.')}" if above else "setting of a training"
            raise ConfigError(str(UnknownName(kind, key, model.model_fields)))
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, dict):
            _check_names(inner, value, f"{above}{key}.")


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat

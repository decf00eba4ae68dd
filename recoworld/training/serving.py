"""Trained policies as recommenders: out of a live RLModule, and out of the folder that a run leaves behind.

A folder holds ``policy.json`` (what was trained, on which data) and ``weights.npz`` (arrays, no pickles). To use it the extra `rllib` must
be installed; no cluster is started. Both may come from anywhere: no module or file that they name is opened, the data are those of `fit`.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.assembly import make_world
from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.files import replacing
from recoworld.luck import Luck
from recoworld.policies.neural.knowledge import ItemKnowledge
from recoworld.policies.scoring import empty_slates
from recoworld.registry import ALGORITHMS
from recoworld.text import plain
from recoworld.training.launch import algorithm_of, whole
from recoworld.training.views import known_catalog
from recoworld.types import Feedback, Floats, History, Ints, Mindset, Observations, Slates
from recoworld.users import Dataset, Split
from recoworld.version import __version__
from recoworld.world import World

FORMAT, VERSION = "recoworld policy", 1
_JSON, _WEIGHTS = "policy.json", "weights.npz"
_ROWS = 64  # at a time, always: matrix products round by the shape of the batch, and a user must not depend on who else is in it

Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The data that a policy's weights belong to."""

    dataset: str
    items: int
    features: int
    profile: int
    split_seed: int

    @classmethod
    def of(cls, dataset: Dataset, split: Split) -> TrainedOn:
        """What a data set and its split are in these terms."""
        return cls(
            dataset=dataset.name,
            items=len(dataset.catalog),
            features=dataset.catalog.features.shape[1],
            profile=dataset.users.features.shape[1],
            split_seed=split.seed,
        )


class TrainedPolicy:
    """A recommender that asks an RLModule, deterministically, through the view that it was trained with."""

    def __init__(self, config: TrainConfig, data: TrainedOn, make: Callable[[Dataset, Split], Any]) -> None:
        """make: the module, once the data are at hand."""
        self.name = config.algorithm
        self._view = algorithm_of(config)[0].view
        self._data, self._make = data, make
        self._module: Any = None

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Learns nothing more. Raises ConfigError for other data than it was trained on, and for weights that do not fit."""
        there, given = asdict(self._data), asdict(TrainedOn.of(dataset, split))
        for name, value in there.items():
            if given[name] != value:
                raise ConfigError(
                    f"policy {self.name!r} was trained with {name.replace('_', ' ')} {plain(value)!r}, got {plain(given[name])!r}: "
                    "run it on the data set and split that it was trained on, or train another"
                )
        self._module, self._catalog = self._make(dataset, split), known_catalog(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates ``[n, k]``. Raises ConfigError before `fit`, and for slates of a size that the policy cannot make."""
        if self._module is None:
            raise ConfigError(f"policy {self.name!r} does not know the catalogue yet; call fit(dataset, split) first")
        out = empty_slates(observations, self._catalog)
        for start in range(0, len(out), _ROWS):
            rows = np.minimum(np.arange(start, start + _ROWS), len(out) - 1)  # the last one again and again, up to the full size
            part = {key: value[rows] for key, value in observations.items()}
            out[start : start + _ROWS] = self._slates(part)[: len(out) - start]
        return out

    def _slates(self, observations: Observations) -> Slates:
        seen = self._view.encode(observations, self._catalog)
        if self._view.action in ("slots", "single"):
            numbers = scores(self._module, seen)
            return self._view.best(numbers.reshape(len(numbers), -1, len(self._catalog)), observations)
        return self._view.decode(chosen(self._module, seen), observations, self._catalog)


def policy_of(config: TrainConfig, module: Any) -> TrainedPolicy:
    """A module as it is now; it may go on learning."""
    return TrainedPolicy(config, _data_of(config), lambda dataset, split: module)


def chosen(module: Any, seen: Any) -> NDArray[Any]:
    """The actions ``[n, ...]`` that a module finds best for a batch of what its view gives."""
    import torch
    from ray.rllib.core.columns import Columns
    from ray.rllib.core.distribution.torch.torch_distribution import TorchSquashedGaussian

    with torch.no_grad():
        out = module.forward_inference(_batch(module, seen))
        if Columns.ACTIONS in out:
            actions = out[Columns.ACTIONS]
        else:
            spread = module.get_inference_action_dist_cls().from_logits(out[Columns.ACTION_DIST_INPUTS])
            actions = spread.to_deterministic().sample()
            if isinstance(spread, TorchSquashedGaussian):  # RLlib 2.60 forgets to squash the mean
                actions = torch.tanh(actions)
    return actions.cpu().numpy()


def scores(module: Any, seen: Any) -> Floats:
    """What a module of discrete actions thinks of each of them ``[n, ...]``: values, or logits."""
    import torch
    from ray.rllib.core.columns import Columns
    from ray.rllib.core.rl_module.apis.q_net_api import QNetAPI

    with torch.no_grad():
        batch = _batch(module, seen)
        valued = isinstance(module, QNetAPI)
        out = module.compute_q_values(batch)["qf_preds"] if valued else module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
    return out.cpu().numpy()


def _batch(module: Any, seen: Any) -> dict[str, Any]:
    """RLlib's batch on the module's device; copies, for observations may be read-only."""
    import torch

    device = next(module.parameters()).device
    if isinstance(seen, dict):
        return {"obs": {key: torch.from_numpy(np.array(value)).to(device) for key, value in seen.items()}}
    return {"obs": torch.from_numpy(np.array(seen)).to(device)}


def export(config: TrainConfig, module: Any, folder: Path | str) -> None:
    """Write a module's weights, those that acting needs, and what they belong to. Raises ConfigError where the folder cannot be written."""
    folder, data = Path(folder), _data_of(config)
    weights: Any = _state(module)
    pickled = [name for name, value in weights.items() if value.dtype.hasobject]
    if pickled:
        raise ConfigError(f"{', '.join(pickled)} of a {config.algorithm}: got Python objects; expected arrays of numbers alone")
    buffer = io.BytesIO()
    np.savez(buffer, **weights)
    content = buffer.getvalue()
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "recoworld": __version__,
        "weights": hashlib.sha256(content).hexdigest(),
        "data": asdict(data),
        "config": _portable(config, data),
    }
    text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
    try:
        for name, written in ((_WEIGHTS, content), (_JSON, text.encode())):
            with replacing(folder / name) as part:
                part.write_bytes(written)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder} ({error.strerror or error}); choose another folder, or free the disk") from error


def load(folder: Path | str) -> TrainedPolicy:
    """The policy that `export` wrote to a folder, or that a run left in its ``policy/``.

    Raises ConfigError for a folder that is not there, is not one, or is damaged.
    """
    folder = _found(Path(folder).expanduser())
    data, settings, weights = _read(folder)
    config = TrainConfig.of(None, settings)
    if config.algorithm not in ALGORITHMS and config.algorithm.partition(":")[0] not in sys.modules:
        # a file from somewhere must not choose what is imported
        raise ConfigError(f"the policy in {folder} is of {plain(config.algorithm)!r}, which is not ours; if you trust it, import it first")
    named = config.world_config().dataset
    if named != data.dataset:  # `export` writes what the data set calls itself
        raise ConfigError(
            f"the policy in {folder} is damaged (its world is of data set {plain(named)!r}, its weights are of {plain(data.dataset)!r}); "
            "export it again: run `recoworld train` on its folder"
        )
    return TrainedPolicy(config, data, lambda dataset, split: _rebuilt(config, weights, dataset, split, folder))


def _read(folder: Path) -> tuple[TrainedOn, dict[str, Any], Weights]:
    """What a policy's two files hold. Raises ConfigError."""
    try:
        facts = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']!r}")
        made_with = facts["version"]
        if made_with == VERSION:
            content = (folder / _WEIGHTS).read_bytes()
            if hashlib.sha256(content).hexdigest() != facts["weights"]:
                raise ValueError(f"{_WEIGHTS} is not the file that {_JSON} was written with")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return TrainedOn(**facts["data"]), dict(facts["config"]), {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        cause = plain(f"{type(error).__name__}: {error}", 200)
        raise ConfigError(f"the policy in {folder} is damaged ({cause}); export it again: run `recoworld train` on its folder") from error
    was = plain(made_with)
    raise ConfigError(f"the policy in {folder} has version {was!r}; expected {VERSION}: load it with the RecoWorld that wrote it")


def _portable(config: TrainConfig, data: TrainedOn) -> dict[str, Any]:
    """All settings, less those of the machine: the data set goes by the name that it gives itself, not by a path or a module."""
    settings = whole(config).model_dump(mode="json", exclude={"cluster"})
    settings["world"] = {name: value for name, value in settings["world"].items() if name != "data_dir"} | {"dataset": data.dataset}
    return settings


def _found(folder: Path) -> Path:
    for place in (folder / "policy", folder):
        if (place / _JSON).is_file():
            return place
    what = "holds no policy.json" if folder.is_dir() else "is not there"
    raise ConfigError(f"policy: {folder} {what}; expected the folder of a run of `recoworld train`, or its policy/")


def _rebuilt(config: TrainConfig, weights: Weights, dataset: Dataset, split: Split, folder: Path) -> Any:
    """The module with its weights. Raises ConfigError where they do not fit."""
    from ray.rllib.core import DEFAULT_MODULE_ID

    from recoworld.training.slate_module import SlateModule

    settings = config.world_config()
    world = World(
        dataset,
        split,
        _Nobody(),
        slate_size=settings.slate_size,
        max_turns=settings.max_turns,
        history_length=settings.history_length,
        instruction_turns=settings.instruction_turns,
    )
    algorithm, own = algorithm_of(config)
    spaces = {DEFAULT_MODULE_ID: (algorithm.view.observation_space(world), algorithm.view.action_space(world))}
    spec = algorithm.build(config, own).get_rl_module_spec(spaces=spaces, inference_only=True)
    if issubclass(spec.module_class, SlateModule):
        spec.model_config["knowledge"] = ItemKnowledge(dataset, split)
    module = spec.build()
    expected = _state(module)
    wrong = [f"no {name}" for name in expected.keys() - weights.keys()] + [f"{name} too much" for name in weights.keys() - expected.keys()]
    for name in expected.keys() & weights.keys():
        got, want = weights[name], expected[name]
        if got.shape != want.shape or got.dtype != want.dtype:
            wrong.append(f"{name} is {got.dtype} {got.shape}, not {want.dtype} {want.shape}")
        elif got.dtype.kind == "f" and not np.isfinite(got).all():
            wrong.append(f"{name} holds NaN or infinity")
    if wrong:
        said = plain("; ".join(sorted(wrong)), 400)
        raise ConfigError(f"the weights in {folder} do not fit a {config.algorithm} of their config: {said}; export the policy again")
    module.set_state(weights)
    module.eval()
    return module


def _state(module: Any) -> Weights:
    """The arrays that acting needs; RLlib makes plain numbers of scalars."""
    return {name: np.asarray(value) for name, value in module.get_state(inference_only=True).items()}


def _data_of(config: TrainConfig) -> TrainedOn:
    world = make_world(config.world_config())
    return TrainedOn.of(world.dataset, world.split)


class _Nobody:
    """Stands in for the simulator of a world that is asked for its sizes alone."""

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        raise NotImplementedError("nobody is at home")

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        raise NotImplementedError("nobody is at home")

"""By what a kept result is known to be of the same simulator and the same data: digests, 24 hexadecimal digits each."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.cost import used
from recoworld.types import Rater
from recoworld.users import Dataset

_FEW, _LONG = 4, 20
_DECIMALS = 3


def source_of(thing: Any) -> str | None:
    """Of the file in which a class, a function or an instance's class is written, and of the files beside it in its package.

    None for RecoWorld's own, which the version tells, and for what is in no file.
    """
    module = inspect.getmodule(thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing))
    file = getattr(module, "__file__", None)
    if module is None or file is None or _ours(module.__name__):
        return None
    path = Path(file)
    digest = _digest()
    try:
        for each in sorted(path.parent.glob("*.py")) if module.__package__ else [path]:
            digest.update(f"|{each.name}|".encode() + each.read_bytes())
    except OSError:
        return None
    return digest.hexdigest()


def contents_of(dataset: Dataset) -> str:
    """Of who took what and when, of what the items are, and of what was shown."""
    catalog, log, shown = dataset.catalog, dataset.interactions, dataset.impressions
    digest = _digest()
    for array in (catalog.ids, catalog.titles, catalog.genres, catalog.years, log.indptr, log.items, log.ratings, log.times):
        _add(digest, array)
    for part in () if shown is None else (shown.users, shown.slates, shown.clicked):
        _add(digest, part)
    return digest.hexdigest()


def manner_of(witness: Witness) -> str | None:
    """Of the answers to four fixed questions, shown and asked, to three decimals: what two instances of a class may differ in.

    None for RecoWorld's own simulators, whose settings tell; for those that count tokens, since each word costs and may differ; and for
    those that answer the same question differently.
    """
    simulator = witness.simulator
    if _ours(type(getattr(simulator, "_simulator", simulator)).__module__) or used(simulator) is not None:
        return None
    first, second = _answers(witness), _answers(witness)
    return first if first == second else None


def _answers(witness: Witness) -> str:
    panel, digest = witness.panel, _digest()
    rng = np.random.Generator(np.random.PCG64([panel.seed, 9]))
    users, n_items = np.resize(panel.users, _FEW), len(panel.known.catalog)
    slates = np.stack([rng.permutation(n_items)[:_LONG] for _ in range(_FEW)])
    _add(digest, witness.chances(users, slates, moods=1))
    if isinstance(witness.simulator, Rater):
        _add(digest, witness.stars(users, slates))
    world = witness.world(slates.shape[1], max_turns=1)
    world.reset(users, np.arange(_FEW))
    turn = world.step(slates)
    _add(digest, turn.feedback)
    _add(digest, turn.mindset.levels)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """An array, or all arrays of a batch."""
    if is_dataclass(value):
        for field in fields(value):
            _add(digest, getattr(value, field.name))
    elif isinstance(value, np.ndarray) and value.dtype != object:
        rounded = np.round(value.astype(np.float64), _DECIMALS) + 0.0 if value.dtype.kind == "f" else np.ascontiguousarray(value)
        digest.update(f"|{value.dtype} {value.shape} ".encode() + rounded.tobytes())


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "recoworld"


def _digest() -> Any:
    return hashlib.blake2b(digest_size=12)

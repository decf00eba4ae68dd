"""Data sets: one loader a file, and `load_dataset` and `load_corpus`, which open them all by name."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets.cache import cached_arrays
from recoworld.datasets.logs import import_log, list_imported, load_imported, stamp
from recoworld.dialogues import Corpus
from recoworld.errors import ConfigError, UnknownName
from recoworld.registry import CORPORA, DATASETS
from recoworld.users import Dataset

__all__ = ["cached_arrays", "import_log", "list_imported", "load_corpus", "load_dataset"]


def load_dataset(name: str, *, data_dir: str | None = None) -> Dataset:
    """A data set by name: a built-in one, a log imported before, or ``"recbole:PATH"``.

    `data_dir` is the folder of a local copy (for an imported log the `home` it was imported to); without it the environment
    variables RECOWORLD_DATA (local copies), RECOWORLD_CACHE (downloads and parsed data) and RECOWORLD_HOME (imported logs)
    and the usual folders of the system hold. A relative PATH is also looked for in `data_dir` and RECOWORLD_DATA.
    The four data sets used last are kept in memory and shared, so their arrays are read-only; copy what you want to change.
    Raises UnknownName, and what the loader raises, each a `RecoWorldError`.
    """
    settings = tuple(os.environ.get(f"RECOWORLD_{key}") for key in ("DATA", "CACHE", "HOME"))
    loader = DATASETS[name] if name in DATASETS else None  # noqa: SIM401 - a Registry has no get
    return _open(name, data_dir, loader, stamp(name, home=data_dir), settings)


def load_corpus(name: str, *, data_dir: str | None = None) -> Corpus:
    """A corpus of dialogues by name, or ``"module:function"``, from a local copy: none is downloaded.

    `data_dir` is the folder of that copy; without it the environment variable RECOWORLD_DATA holds.
    Raises UnknownName, DataMissing, DataCorrupt, or ConfigError for a function that returns something else.
    """
    loader = CORPORA[name]
    corpus = loader(data_dir=data_dir) if inspect.isfunction(loader) else loader
    if not isinstance(corpus, Corpus):
        got = type(corpus).__name__
        raise ConfigError(f"corpus {name!r}: got {got}; expected a function load(*, data_dir=None) that returns a Corpus")
    return corpus


@lru_cache(maxsize=4)
def _open(name: str, data_dir: str | None, loader: Any, *_key: object) -> Dataset:
    if loader is not None:
        return _frozen(loader(data_dir=data_dir))
    if name.startswith("recbole:"):
        return _frozen(DATASETS["recbole"](data_dir=_folder(name.removeprefix("recbole:"), data_dir)))
    imported = list_imported(home=data_dir)
    if name in imported:
        return _frozen(load_imported(name, home=data_dir))
    try:
        own = DATASETS[name]  # "module:function"
    except UnknownName:
        raise UnknownName("data set", name, [*DATASETS, *imported]) from None
    dataset = own(data_dir=data_dir) if inspect.isfunction(own) else own
    if not isinstance(dataset, Dataset):
        got = type(dataset).__name__
        raise ConfigError(f"data set {name!r}: got {got}; expected a function load(*, data_dir=None) that returns a Dataset")
    return _frozen(dataset)


def _folder(path: str, data_dir: str | None) -> str | None:
    if not path:
        return data_dir
    roots = [Path(root).expanduser() for root in (data_dir, os.environ.get("RECOWORLD_DATA")) if root]
    places = [Path(path).expanduser(), *(root / path for root in roots)]
    return str(next((place for place in places if place.exists()), places[0]))


def _frozen(dataset: Dataset) -> Dataset:
    for part in (dataset.catalog, dataset.users, dataset.interactions, dataset.impressions, dataset.random_ratings):
        for field in fields(part) if part is not None else ():
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
    return dataset

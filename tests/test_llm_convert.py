"""A GGUF file made a model folder: what is wrong with the file, and a real one where there is one."""

from __future__ import annotations

import os
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from recoworld.errors import LanguageModelError
from recoworld.llm.convert import convert, main


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    wrong = tmp_path / "model.gguf"
    wrong.write_bytes(b"<html>")
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/__init__.py", "")
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    for source, folder, message in (
        (tmp_path / "none.gguf", "new", "no such file"),
        (wrong, "new", "is no GGUF file: it begins with b'<htm'"),
        (wheel, "new", "holds 0 .gguf files; expected one"),
        (wrong, "full", "not empty"),
    ):
        with pytest.raises(LanguageModelError, match=message):
            convert(source, tmp_path / folder)
    assert not (tmp_path / "new").exists()


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([]) == 2
    assert "usage: python -m recoworld.llm.convert" in capsys.readouterr().err
    assert main([str(tmp_path / "none.gguf"), str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err.startswith("error: cannot convert")


@pytest.mark.llm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not os.environ.get("RECOWORLD_TEST_GGUF"), reason="RECOWORLD_TEST_GGUF names no .gguf file, nor a wheel with one")
@pytest.mark.skipif(not all(map(find_spec, ("torch", "transformers", "gguf", "accelerate"))), reason="needs transformers, accelerate, gguf")
def test_a_real_file(tmp_path: Path) -> None:
    """The folder is whole: it loads without the file, says how replies end, and holds no trace of quantisation."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = convert(os.environ["RECOWORLD_TEST_GGUF"], tmp_path / "folder")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert str(model.dtype) == "torch.bfloat16"
    assert "quantization_config" not in (folder / "config.json").read_text(encoding="utf-8")
    assert tokenizer.eos_token_id == model.config.eos_token_id is not None
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "What is 2+2?"}], add_generation_prompt=True, return_tensors="pt")
    ids = ids if not hasattr(ids, "input_ids") else ids.input_ids
    reply = model.generate(ids, max_new_tokens=16, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    assert "4" in tokenizer.decode(reply[0, ids.shape[1] :])

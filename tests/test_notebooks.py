"""Every notebook runs from top to bottom, made short by its parameters cell."""

from __future__ import annotations

from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs the notebooks extra")
import nbformat  # noqa: E402

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SHORT = {"USERS = 100": "USERS = 40"}
SHORTER = {"03_train_a_policy": {"ITERATIONS = 40": "ITERATIONS = 2", "ENVS = 128": "ENVS = 32"}}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_and_shows_what_it_promises(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    if any("import ray" in cell.source for cell in notebook.cells):
        pytest.importorskip("ray.rllib", reason="needs the rllib extra")
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for long, short in {**SHORT, **SHORTER.get(path.stem, {})}.items():
                assert long in cell.source
                cell.source = cell.source.replace(long, short)
        assert not cell.get("outputs"), "notebooks are kept without outputs"
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    kinds = {kind for cell in notebook.cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert "image/png" in kinds

"""What every test gets: repeatable Hypothesis, a cache of its own, one BLAS thread, and the real data where there are any."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# OpenBLAS and OpenMP threads that contend for two cores cost more than they give. Before anything imports NumPy.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["MPLBACKEND"] = "agg"
_CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """One cache for the session, shared by xdist's workers and by subprocesses, never the user's."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[_CACHE] = os.environ["RECOWORLD_CACHE"] = tempfile.mkdtemp(prefix="recoworld-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the cache away."""
    if folder := config.stash.get(_CACHE, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ml1m_dir() -> Path:
    """The folder ``$RECOWORLD_DATA/ml-1m`` of the real MovieLens-1M."""
    root = os.environ.get("RECOWORLD_DATA")
    if not root:
        pytest.skip("needs the real MovieLens-1M: set RECOWORLD_DATA to the folder that holds ml-1m/")
    folder = Path(root).expanduser().resolve() / "ml-1m"
    if not (folder / "ratings.dat").is_file():
        pytest.skip(f"RECOWORLD_DATA={root} holds no ml-1m/ratings.dat")
    return folder

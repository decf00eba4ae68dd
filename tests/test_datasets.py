"""Opening data sets by name, the cache of arrays, and the registry's data sets against the conformance suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recoworld.catalog import build_catalog
from recoworld.datasets import cached_arrays, load_dataset
from recoworld.datasets.arrays import by_user, commonest, pack, seconds, split_names, unknown_users, unpack
from recoworld.datasets.cache import fingerprint, read_arrays, write_arrays
from recoworld.errors import ConfigError, DataMissing, UnknownName
from recoworld.files import replacing
from recoworld.registry import DATASETS
from recoworld.testing.datasets import DatasetTests
from recoworld.users import Dataset


def small() -> Dataset:
    log = by_user(np.array([1, 0, 1, 0]), np.array([0, 1, 2, 2]), np.array([1, 5, 3, 4]), np.array([9, 8, 7, 6]), n_users=2)
    catalog = build_catalog(
        name="small", ids=["a", "b", "c"], titles=["A", "Ünï", "C"], genres=[("x",), ("y", "x"), ()], popularity=[1, 1, 2]
    )
    return Dataset(name="small", catalog=catalog, users=unknown_users(["u", "v"]), interactions=log, explicit=True, source="here")


class TestSmall(DatasetTests):
    def make_dataset(self) -> Dataset:
        return small()


@pytest.mark.skipif(
    not (Path(__file__).parents[1] / "recoworld/datasets/mini.py").exists(), reason="the mini data set is not part of this checkout"
)
class TestMini(DatasetTests):
    def make_dataset(self) -> Dataset:
        return load_dataset("mini")


# ---- the cache of arrays


def arrays() -> dict[str, np.ndarray]:
    return {
        "numbers": np.arange(6, dtype=np.int32).reshape(2, 3),
        "words": np.array(["", "ü", "日本"]),
        "none": np.zeros(0),
        "one": np.array(3.5),
    }


def test_arrays_are_built_once_and_come_back_bit_for_bit(tmp_path: Path) -> None:
    built = []

    def build() -> dict[str, np.ndarray]:
        built.append(1)
        return arrays()

    for _ in range(3):
        found = cached_arrays("k-1", build, cache_dir=tmp_path)
        assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in found.items()} == {
            name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays().items()
        }
    assert len(built) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["k-1.npz"]  # and no temporary file


def test_any_damage_is_noticed_and_repaired(tmp_path: Path) -> None:
    cached_arrays("k", arrays, cache_dir=tmp_path)
    path = tmp_path / "k.npz"
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [good[: len(good) // 2], b"", b"PK", b"not a zip", good[:-1]]
    for _ in range(300):
        changed = bytearray(good)
        changed[rng.integers(len(good))] ^= int(rng.integers(1, 256))
        damaged.append(bytes(changed))
    for data in damaged:
        path.write_bytes(data)
        found = cached_arrays("k", arrays, cache_dir=tmp_path)
        assert found.keys() == arrays().keys()
        assert all(np.array_equal(found[name], array) for name, array in arrays().items())


def test_a_file_of_another_key_or_maker_is_not_taken(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", "a", arrays())
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    assert read_arrays(tmp_path / "b.npz", "b") is None
    np.savez(tmp_path / "c.npz", x=np.arange(3))
    assert read_arrays(tmp_path / "c.npz", "c") is None
    np.savez(tmp_path / "d.npz", x=np.array([{"code": 1}], dtype=object))
    assert read_arrays(tmp_path / "d.npz", "d") is None


def test_objects_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        cached_arrays("k", lambda: {"x": np.array([{}], dtype=object)}, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_cache_warns_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="cannot write the cache.*RECOWORLD_CACHE"):
        assert cached_arrays("k", arrays, cache_dir=tmp_path / "file").keys() == arrays().keys()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    with pytest.warns(UserWarning, match="No space left"):
        cached_arrays("k", arrays, cache_dir=tmp_path / "full")
    assert list((tmp_path / "full").iterdir()) == []


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "x" * 200, "nul\0"])
def test_keys_are_plain_file_names(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cache key"):
        cached_arrays(key, arrays, cache_dir=tmp_path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_fingerprints_follow_content_name_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    first = fingerprint([path], version=1)
    assert first == fingerprint([path], version=1) != fingerprint([path], version=2)
    (tmp_path / "b").write_bytes(path.read_bytes())
    assert fingerprint([tmp_path / "b"], version=1) != first
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert fingerprint([path], version=1) != first
    monkeypatch.setattr("recoworld.datasets.cache._WHOLE", 100)
    large = fingerprint([path], version=1)
    path.write_bytes(b"z" + path.read_bytes()[1:])
    assert fingerprint([path], version=1) != large
    with pytest.raises(DataMissing):
        fingerprint([tmp_path / "none"], version=1)


def test_a_dataset_survives_packing() -> None:
    before = small()
    after = unpack(pack(before))
    assert (after.name, after.explicit, after.rating_scale, after.like_threshold, after.source) == ("small", True, (1.0, 5.0), 4.0, "here")
    assert after.catalog.genre_names == before.catalog.genre_names
    assert {name: a.tobytes() for name, a in pack(after).items()} == {name: a.tobytes() for name, a in pack(before).items()}


# ---- the pieces


def test_interactions_are_sorted_by_user_and_time_and_ties_keep_their_order() -> None:
    log = by_user(np.array([1, 0, 1, 1, 0]), np.array([0, 1, 2, 3, 4]), None, np.array([5, 3, 5, 4, 3]), n_users=3)
    assert log.items.tolist() == [1, 4, 3, 0, 2]
    assert log.indptr.tolist() == [0, 2, 5, 5]
    assert by_user(np.array([1, 0, 1]), np.array([0, 1, 2]), None, None, n_users=2).times.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("cells", "spaced", "expected"),
    [
        (["Rock; Pop, Soft", "", "Jazz"], False, [("Rock", "Pop, Soft"), (), ("Jazz",)]),
        (["Drama|War", "Drama"], False, [("Drama", "War"), ("Drama",)]),
        (["['Indie Rock', 'RPG']", "[]"], False, [("Indie Rock", "RPG"), ()]),
        (["Animation Children's Comedy"], True, [("Animation", "Children's", "Comedy")]),
        (["Film Noir"], False, [("Film Noir",)]),
    ],
)
def test_genres_in_one_cell(cells: list[str], spaced: bool, expected: list[tuple[str, ...]]) -> None:
    assert split_names(cells, spaced=spaced) == expected


def test_the_commonest_genres_stay() -> None:
    assert commonest([("a", "b"), ("b", "c"), ("c",), ("d",)], limit=2) == [("b",), ("b", "c"), ("c",), ()]


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_epoch_units_are_told_by_size(unit: int) -> None:
    assert seconds(np.array([978300760.0, 978300761.0]) * unit).tolist() == [978300760, 978300761]


# ---- by name


def test_unknown_names_list_built_in_and_imported() -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'ml-1m'.*ml-100k"):
        load_dataset("ml1m")


def test_a_registered_loader_is_opened_once_and_shared_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(*, data_dir: str | None = None) -> Dataset:
        calls.append(data_dir)
        return small()

    monkeypatch.setitem(DATASETS._entries, "own", f"{__name__}:own_loader")
    monkeypatch.setitem(globals(), "own_loader", load)
    assert load_dataset("own") is load_dataset("own")
    load_dataset("own", data_dir="x")
    assert calls == [None, "x"]
    with pytest.raises(ValueError, match="read-only"):
        load_dataset("own").catalog.popularity[0] = 7
    assert load_dataset("own").catalog.features.flags.writeable


def test_importing_datasets_is_light() -> None:
    code = (
        "import sys, recoworld.datasets as d, recoworld.datasets.movielens, recoworld.datasets.recbole; "
        "print([m for m in ('pooch', 'requests', 'rich', 'pyarrow', 'pandas', 'pydantic', 'pytest') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

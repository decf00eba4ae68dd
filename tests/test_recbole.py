"""RecBole's atomic files: plain and benchmark layouts, common column names, the real Amazon CDs, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from recoworld.datasets import load_dataset, recbole
from recoworld.datasets.recbole import load
from recoworld.errors import ConfigError, DataCorrupt, DataMissing, DatasetError
from recoworld.testing.datasets import DatasetTests
from recoworld.users import Dataset

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti2\t4\t20\nu2\ti1\t2.5\t7\nu1\ti1\t1\t10\nu2\ti9\t5\t9e2\n"
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    'i1\tFirst &amp; Last\t1994\tDrama War\ni2\t"Two"\t\tDrama\ni3\tThree\t2001\t\n'
)
USER = "user_id:token\tage:float\tgender:token\tzip_code:token\nu2\t20\tM\t111\nu1\t60\tF\t222\nu7\t40\tM\t333\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path_factory.mktemp("cache")))


def write(folder: Path, **files: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in files.items():
        (folder / f"d.{suffix.replace('_', '.')}").write_text(text, encoding="utf-8")
    return str(folder)


class TestPlain(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return load(data_dir=write(tmp_path, inter=INTER, item=ITEM, user=USER))

    def test_facts(self, dataset: Dataset) -> None:
        assert dataset.name == "d"
        assert dataset.catalog.ids.tolist() == ["i1", "i2", "i3", "i9"]
        assert dataset.catalog.titles.tolist() == ["First & Last", "Two", "Three", "i9"]
        assert dataset.catalog.years.tolist() == [1994, 0, 2001, 0]
        assert [dataset.catalog.genres_of(i) for i in range(4)] == [("Drama", "War"), ("Drama",), ("(no genre)",), ("(no genre)",)]
        assert dataset.users.ids.tolist() == ["u1", "u2"]
        assert dataset.users.feature_names == ("age", "gender F", "gender M", "zip_code 111", "zip_code 222")
        assert dataset.users.features[:, :3].tolist() == [[1, 1, 0], [0, 0, 1]]
        assert dataset.users.descriptions[0] == "age 60, gender F, zip_code 222"
        assert dataset.interactions.items.tolist() == [0, 1, 0, 3]
        assert dataset.interactions.times.tolist() == [10, 20, 7, 900]
        assert (dataset.explicit, dataset.rating_scale, dataset.like_threshold) == (True, (1.0, 5.0), 3.8)


def test_interactions_sorted_by_item_say_nothing_of_time(tmp_path: Path) -> None:
    rows = "".join(f"u{user}\ti{item}\n" for user in range(60) for item in range(10, 20))
    with pytest.warns(UserWarning, match="rows sorted by item"):
        data = load(data_dir=write(tmp_path / "a", inter="user_id:token\titem_id:token\n" + rows))
    items = data.interactions.items.reshape(60, 10)
    assert (np.sort(items) == np.arange(10)).all()
    assert 10 < (items[:, 8:] >= 8).sum() < 40  # of 120; 24 expected, and 120 in the order of the file
    whole = " ".join(f"i{item}" for item in range(10, 19))
    sequences = "user_id:token\titem_id_list:token_seq\titem_id:token\n" + "".join(f"u{user}\t{whole}\ti19\n" for user in range(60))
    data = load(data_dir=write(tmp_path / "b", inter=sequences))
    assert data.catalog.ids[data.interactions.items].tolist() == [f"i{item}" for item in range(10, 20)] * 60


def test_without_ratings_times_items_and_users(tmp_path: Path) -> None:
    data = load(data_dir=write(tmp_path, inter="user_id:token\titem_id:token\nb\ty\na\tx\nb\tx\n"))
    assert not data.explicit
    assert data.interactions.items.tolist() == [0, 1, 1]
    assert data.interactions.times.tolist() == [0, 2, 1]
    assert data.catalog.titles.tolist() == ["y", "x"]


def test_split_files_of_plain_rows_are_joined(tmp_path: Path) -> None:
    head = "user_id:token\titem_id:token\n"
    data = load(data_dir=write(tmp_path, train_inter=head + "u\ta\nu\tb\n", valid_inter=head + "u\tc\n", test_inter=head + "u\td\n"))
    assert [str(data.catalog.ids[i]) for i in data.interactions.items] == ["a", "b", "c", "d"]


SEQ = "user_id:token\titem_id_list:token_seq\titem_id:token\n"


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ("u\ta\tb\nu\ta b\tc\n", "u\ta b c\td\n", "a b c d"),
        ("u\ta\tb\n", "u\ta b c\td\n", "a b c d"),  # no row ends with c
        ("u\ta b c\td\nu\tb c d\te\n", "u\tc d e\tf\n", "a b c d e f"),  # lists cut to their last three
        ("u\t\ta\nu\ta\ta\n", "u\ta a\tb\n", "a a b"),
    ],
)
def test_sequences_are_put_together_again(tmp_path: Path, train: str, test: str, expected: str) -> None:
    data = load(data_dir=write(tmp_path, train_inter=SEQ + train, test_inter=SEQ + test))
    assert " ".join(str(data.catalog.ids[i]) for i in data.interactions.items) == expected


def test_sequences_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match=r"d.test.inter, line 2: got 'x y z'; expected a continuation of user u's"):
        load(data_dir=write(tmp_path, train_inter=SEQ + "u\ta\tb\n", test_inter=SEQ + "u\tx y\tz\n"))


def test_of_a_huge_catalogue_only_what_is_referenced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recbole, "MANY_ITEMS", 3)
    item = "item_id:token\ttitle:token_seq\n" + "".join(f"i{i}\tT{i}\n" for i in range(6))
    data = load(data_dir=write(tmp_path, inter=INTER, item=item, random="u1\ti4 i1 i99\n"))
    assert data.catalog.ids.tolist() == ["i1", "i2", "i4", "i9"]


def test_ways_to_name_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)
    folder = write(tmp_path / "parent" / "mine", inter=INTER)
    parent = str(tmp_path / "parent")
    ways = [
        load_dataset(f"recbole:{folder}"),
        load_dataset(f"recbole:{parent}"),
        load_dataset(f"recbole:{folder}/d.inter"),
        load_dataset("recbole:mine", data_dir=parent),
        load_dataset("recbole", data_dir=parent),
    ]
    monkeypatch.setenv("RECOWORLD_DATA", parent)
    ways += [load_dataset("recbole:mine"), load_dataset("recbole")]
    assert {data.name for data in ways} == {"d"}


def test_several_data_sets_in_one_folder_are_listed(tmp_path: Path) -> None:
    (tmp_path / "other.inter").write_text(INTER)
    folder = write(tmp_path, inter=INTER, item=ITEM)
    with pytest.raises(ConfigError, match=r"several data sets: d, other; give the path of one, e.g. .*d.inter"):
        load(data_dir=folder)
    assert load(data_dir=f"{folder}/other.inter").name == "other"
    with pytest.raises(DataMissing, match=r"no third.inter; there are: d, other"):
        load(data_dir=f"{folder}/third.inter")


def test_folders_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataMissing, match=r"holds no .inter file"):
        load(data_dir=str(tmp_path))
    with pytest.raises(DataMissing, match="does not exist"):
        load_dataset(f"recbole:{tmp_path}/none")
    write(tmp_path / "a", inter=INTER)
    write(tmp_path / "b", inter=INTER)
    with pytest.raises(ConfigError, match="several folders with them: a, b"):
        load(data_dir=str(tmp_path))
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)
    with pytest.raises(ConfigError, match="needs a folder"):
        load_dataset("recbole")


@pytest.mark.parametrize(
    ("inter", "message"),
    [
        ("", "d.inter is empty"),
        ("user_id\titem_id\nu\ti\n", r"line 1: got 'user_id item_id'; expected a header of distinct name:type"),
        ("user_id:token\titem_id:token\n", "no interactions"),
        ("user_id:token\tthing:token\nu\ti\n", r"line 1: got 'user_id, thing'; expected a column of the item"),
        (INTER + "u1\ti2\n", r"line 6: got 'u1 \| i2'; expected 4 fields"),
        (INTER + "u1\ti2\tgood\t3\n", r"line 6: got 'good'; expected a finite number in column 'rating'"),
        (INTER + "u1\ti2\tnan\t3\n", r"line 6: got 'nan'; expected a finite number"),
        (INTER + "u1\ti2\t3\t\n", r"line 6: got ''; expected a finite number, as the first time"),
        (INTER + "\ti2\t3\t3\n", r"line 6: got ''; expected an id"),
    ],
)
def test_damage_is_told_by_line(tmp_path: Path, inter: str, message: str) -> None:
    with pytest.raises(DataCorrupt, match=message):
        load(data_dir=write(tmp_path, inter=inter))


def test_other_damage(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match=r"d.item, line 3: got 'i1'; expected an item id that occurs once"):
        load(data_dir=write(tmp_path, inter=INTER, item="item_id:token\ni1\ni1\n"))
    (tmp_path / "d.item").write_bytes(b"item_id:token\ttitle:token_seq\ni1\tCaf\xe9\n")
    with pytest.raises(DataCorrupt, match=r"d.item, line 2: byte 36 \(0xe9\) is not utf-8"):
        load(data_dir=str(tmp_path))


def test_mutated_files_load_or_raise_a_dataset_error(tmp_path: Path) -> None:
    rng, refused = np.random.default_rng(1), 0
    texts = {"inter": INTER, "item": ITEM, "user": USER}
    for _ in range(300):
        name = list(texts)[rng.integers(3)]
        data = bytearray(texts[name].encode())
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(data)))
            data[at : at + int(rng.integers(0, 3))] = bytes(
                rng.choice([0, 9, 10, 32, 45, 48, 58, 195, 255], int(rng.integers(0, 3))).astype(np.uint8)
            )
        write(tmp_path, **texts)
        (tmp_path / f"d.{name}").write_bytes(bytes(data))
        try:
            load(data_dir=str(tmp_path))
        except DatasetError:
            refused += 1
    assert 50 < refused < 300


@pytest.fixture
def amazon() -> Path:

    folder = Path(os.environ.get("RECOWORLD_DATA") or "/nowhere") / "amazon-cds-100"
    if not folder.is_dir():
        pytest.skip("needs the Amazon CDs subset: set RECOWORLD_DATA to the folder that holds amazon-cds-100/")
    return folder.resolve()


class TestAmazon(DatasetTests):
    @pytest.fixture
    def dataset(self, amazon: Path) -> Dataset:
        return load_dataset(f"recbole:{amazon}")

    def test_facts(self, dataset: Dataset, amazon: Path) -> None:
        assert dataset.name == "CDs-100-user-dense"
        assert not dataset.explicit
        assert np.diff(dataset.interactions.indptr).tolist() == [8] * 100
        first = [str(dataset.catalog.ids[i]) for i in dataset.interactions.items[:8]]
        assert first == ["10410", "4233", "213", "9798", "18245", "24746", "3510", "1370"]
        assert dataset.users.ids[0] == "2867"
        mentioned = {token for line in (amazon / "CDs-100-user-dense.random").read_text().splitlines() for token in line.split()[1:]}
        met = set(dataset.catalog.ids[dataset.catalog.popularity > 0].tolist())
        assert set(dataset.catalog.ids.tolist()) == mentioned | met
        assert "Pop" in dataset.catalog.genre_names
        assert not any("&amp;" in title for title in dataset.catalog.titles)

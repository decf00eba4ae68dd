"""Importing one's own log: CSV and Parquet as people write them, and every way in which they are wrong."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoworld.datasets import import_log, list_imported, load_dataset
from recoworld.datasets.order import drawn
from recoworld.errors import CacheUnwritable, ConfigError, DataCorrupt, DataMissing, DatasetError, MissingExtra, RecoWorldError, UnknownName
from recoworld.testing.datasets import DatasetTests
from recoworld.users import Dataset

LOG = """user,item,stars,when,name,kind,made
ann,b1,10,2024-03-01T10:00:00Z,"Dune, the book",Sci-Fi|Classic,1965
bob,b2,1,2024-03-01T11:30:00+01:00,Emma,Classic,1815
ann,b2,7,2024-02-01,Emma,,1815-12-23
bob,b3,4,2024-03-01 10:29:59,,,
"""
COLUMNS: dict[str, Any] = {
    "user": "user",
    "item": "item",
    "rating": "stars",
    "time": "when",
    "title": "name",
    "genres": "kind",
    "year": "made",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_log_is_imported_as_it_is_written(tmp_path: Path) -> None:
    data = import_log(write(tmp_path, LOG), name="books", **COLUMNS)
    assert data.users.ids.tolist() == ["ann", "bob"]
    assert data.catalog.ids.tolist() == ["b1", "b2", "b3"]
    assert data.catalog.titles.tolist() == ["Dune, the book", "Emma", "b3"]
    assert [data.catalog.genres_of(i) for i in range(3)] == [("Classic", "Sci-Fi"), ("Classic",), ("(no genre)",)]
    assert data.catalog.years.tolist() == [1965, 1815, 0]
    assert data.catalog.popularity.tolist() == [1, 2, 1]
    assert data.interactions.items.tolist() == [1, 0, 2, 1]
    assert np.diff(data.interactions.times).tolist() == [2541600, 1799, 1]  # 1 Feb to 1 Mar 10:00; bob: 10:29:59, then 10:30 UTC
    assert data.interactions.ratings.tolist() == [7, 10, 4, 1]
    assert (data.explicit, data.rating_scale) == (True, (1.0, 10.0))
    assert data.like_threshold == pytest.approx(7.3)


def test_it_is_opened_by_name_in_another_process(tmp_path: Path) -> None:
    import_log(write(tmp_path, LOG), name="books", **COLUMNS)
    code = "from recoworld.datasets import load_dataset; print(load_dataset('books').catalog.titles.tolist())"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ.copy(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['Dune, the book', 'Emma', 'b3']"
    assert list_imported() == ["books"]


def test_overwriting_is_asked_for_and_noticed(tmp_path: Path) -> None:
    import_log(write(tmp_path, LOG), name="books", user="user", item="item")
    assert not load_dataset("books").explicit
    with pytest.raises(ConfigError, match="overwrite=True"):
        import_log(tmp_path / "log.csv", name="books", **COLUMNS)
    import_log(tmp_path / "log.csv", name="books", overwrite=True, **COLUMNS)
    assert load_dataset("books").explicit


def test_another_home(tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    import_log(write(tmp_path, LOG), name="books", home=elsewhere, **COLUMNS)
    assert (list_imported(), list_imported(home=elsewhere)) == ([], ["books"])
    assert len(load_dataset("books", data_dir=elsewhere).users) == 2
    with pytest.raises(UnknownName, match="ml-1m"):
        load_dataset("books")


class TestImported(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        import_log(write(tmp_path, LOG), name="books", **COLUMNS)
        return load_dataset("books")


class TestImplicit(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return import_log(write(tmp_path, "u;i\n1;2\n1;3\n1;2\n2;2\n"), name="plays", user="u", item="i")

    def test_the_order_of_the_file_is_time_and_repeats_stay(self, dataset: Dataset) -> None:
        assert dataset.interactions.items.tolist() == [0, 1, 0, 0]
        assert dataset.interactions.times.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_dialects(tmp_path: Path, delimiter: str, end: str, start: bytes) -> None:
    rows = [["user id", "item"], ["ü1", '"a""b"'], ["ü2", '"two' + end + 'lines"'], [], ["ü1", "c"]]
    text = start + end.join(delimiter.join(row) for row in rows).encode()
    data = import_log(write(tmp_path, text), name="d", user="user id", item="item")
    assert data.users.ids.tolist() == ["ü1", "ü2"]
    assert data.catalog.ids.tolist() == ['a"b', f"two{end}lines", "c"]


@pytest.mark.parametrize(
    "times", ["1700000000\n1700000001.5\n", "1700000000000\n1700000001500\n", "2023-11-14T22:13:20\n2023-11-14T22:13:21.5Z\n"]
)
def test_times(tmp_path: Path, times: str) -> None:
    rows = "".join(f"u,i,{time}\n" for time in times.split())
    data = import_log(write(tmp_path, "u,i,t\n" + rows), name="d", user="u", item="i", time="t")
    assert data.interactions.times.tolist() == [1700000000, 1700000001]


def test_repeated_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "u,i,r,t\na,x,1,5\na,x,4,5\na,x,2,6\nb,x,3,5\n")
    with pytest.warns(UserWarning, match="1 of 4 rows repeat user, item and time"):
        data = import_log(path, name="d", user="u", item="i", rating="r", time="t")
    assert data.interactions.ratings.tolist() == [4, 2, 3]
    assert "1 repeated rows dropped" in data.source


def dump(path: Path, items: list[str], *, users: int = 200, each: int = 20) -> Path:
    """A table as databases give it: sorted by user, then as `items` are; every user has other ones of them."""
    rng = np.random.default_rng(0)
    kept = [sorted(rng.choice(len(items), each, replace=False)) for _ in range(users)]
    return write(path, "u,i\n" + "".join(f"{user},{items[item]}\n" for user, theirs in enumerate(kept) for item in theirs))


IDS = {
    "numbers": [str(i) for i in range(5, 105)],
    "downwards": [str(i) for i in range(105, 5, -1)],
    "text": sorted(f"B{i}" for i in range(100)),
    "small and capital": sorted((f"{'aA'[i % 2]}{i // 2:02}{i % 2}" for i in range(100)), key=str.lower),
}


@pytest.mark.parametrize("kind", IDS)
def test_rows_sorted_by_item_say_nothing_of_time(tmp_path: Path, kind: str) -> None:
    """Of the held-out fifth, the top fifth of ids were all; drawn, they are a fifth."""
    path = dump(tmp_path, IDS[kind])
    with pytest.warns(UserWarning, match="no times, and rows sorted by item: each user's order is drawn at random"):
        data = import_log(path, name="d", user="u", item="i")
    place = {item: n for n, item in enumerate(IDS[kind])}
    numbers = np.array([place[item] for item in data.catalog.ids[data.interactions.items]]).reshape(200, 20)
    held_out = numbers[:, 16:]
    share = (held_out >= 80).mean()  # 800 of them: a standard error of 0.014
    assert 0.15 < share < 0.25
    assert np.abs(numbers.mean(axis=0) - 49.5).max() < 10  # no place in the log has higher ids than another; standard error 2
    read = [line.split(",") for line in path.read_text().split()[1:]]
    assert sorted(data.catalog.ids[data.interactions.items[:20]]) == sorted(item for user, item in read if user == "0")
    assert (np.diff(data.interactions.times) > 0).all()
    with pytest.warns(UserWarning, match="no times"):
        again = import_log(path, name="d", user="u", item="i", overwrite=True)
    assert np.array_equal(again.interactions.items, data.interactions.items)


def test_other_orders_of_a_file_are_kept(tmp_path: Path) -> None:
    """Most users must be sorted, and by five different items; one of two is not most, four items are none."""
    sorted_, other, four = "a,1\na,2\na,3\na,4\na,5\n", "b,1\nb,2\nb,3\nb,5\nb,4\n", "c,1\nc,2\nc,3\nc,4\nc,4\n"
    for text, users in ((sorted_ + other, 2), (four, 1), (other + four, 2)):
        data = import_log(write(tmp_path, "u,i\n" + text), name="d", user="u", item="i", overwrite=True)
        assert data.catalog.ids[data.interactions.items].tolist() == [line.split(",")[1] for line in text.split()]
        assert len(data.users) == users
    with pytest.warns(UserWarning, match="no times"):
        import_log(write(tmp_path, "u,i\n" + sorted_ + other + sorted_.replace("a", "d")), name="d", user="u", item="i", overwrite=True)
    timed = "".join(f"{line},{9 - n}\n" for n, line in enumerate(sorted_.split()))
    data = import_log(write(tmp_path, "u,i,t\n" + timed), name="d", user="u", item="i", time="t", overwrite=True)
    assert data.catalog.ids[data.interactions.items].tolist() == ["5", "4", "3", "2", "1"]


def test_a_users_drawn_order_is_uniform_and_does_not_depend_on_the_others() -> None:
    users = np.repeat(np.arange(1000), 5)
    rows = drawn(users)
    assert (users[rows] == users).all()
    places = (rows % 5).reshape(1000, 5)
    assert np.array_equal(drawn(users[:50]), rows[:50])
    counts = np.stack([np.bincount(places[:, k], minlength=5) for k in range(5)])
    assert ((counts - 200) ** 2 / 200).sum() < 39.3  # chi-square of 16 degrees of freedom, at 0.001


def test_ratings_that_are_all_equal_are_none(tmp_path: Path) -> None:
    path, said = write(tmp_path, "u,i,r\na,x,4\na,y,4\nb,x,4.0\n"), "column 'r' holds 4 throughout: the log counts as one without ratings"
    with pytest.warns(UserWarning, match=said):
        data = import_log(path, name="d", user="u", item="i", rating="r")
    assert not data.explicit
    assert data.liked.all()
    assert (data.interactions.ratings == 1).all()
    with pytest.warns(UserWarning, match=said), pytest.raises(ConfigError, match="there are no ratings that differ"):
        import_log(path, name="e", user="u", item="i", rating="r", like_threshold=4)


def test_a_table_of_items(tmp_path: Path) -> None:
    log = write(tmp_path, "u,i\na,1\na,9\n")
    items = write(tmp_path, "i\ttitle\tgenre\n1\tOne\tx; y\n2\tTwo\t\n", "items.tsv")
    data = import_log(log, name="d", user="u", item="i", items=items, title="title", genres="genre")
    assert data.catalog.ids.tolist() == ["1", "2", "9"]
    assert data.catalog.titles.tolist() == ["One", "Two", "9"]
    assert data.catalog.popularity.tolist() == [1, 0, 1]
    with pytest.raises(ConfigError, match="items= is given without"):
        import_log(log, name="e", user="u", item="i", items=items)
    items.write_text("i,title\n1,One\n1,Two\n")
    with pytest.raises(DataCorrupt, match=r"items.tsv, line 3: got '1'; expected an id that occurs once"):
        import_log(log, name="e", user="u", item="i", items=items, title="title")


def test_too_many_genres(tmp_path: Path) -> None:
    rows = "".join(f"u,{i},g{i}\n" for i in [*range(1, 300), 0])
    with pytest.warns(UserWarning, match="'g' holds more than 256 genres"):
        data = import_log(write(tmp_path, "u,i,g\n" + rows), name="d", user="u", item="i", genres="g")
    assert len(data.catalog.genre_names) == 257


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log.csv is empty"),
        ("u,i,r,t\n", "no rows below its header"),
        ("u,i,r,t\na,x,1,5\na,x,good,6\n", r"log.csv, line 3: got 'good'; expected a finite number in column 'r'"),
        ("u,i,r,t\na,x,NaN,5\n", r"line 2: got 'NaN'; expected a finite number"),
        ("u,i,r,t\na,x,inf,5\n", r"line 2: got 'inf'"),
        ("u,i,r,t\na,x,,5\n", r"line 2: got ''; expected a finite number in column 'r'"),
        ("u,i,r,t\na,,1,5\n", r"line 2: got ''; expected an id of 1 to 200 characters in column 'i'"),
        ("u,i,r,t\nnan,x,1,5\n", r"line 2: got 'nan'; expected an id"),
        (f"u,i,r,t\n{'x' * 201},x,1,5\n", r"line 2.*expected an id"),
        ("u,i,r,t\na,x,1,5\na,x,1,tomorrow\n", r"line 3: got 'tomorrow'; expected a finite number, as the first time"),
        ("u,i,r,t\na,x,1,2024-01-01\na,x,1,2024-13-01\n", r"line 3: got '2024-13-01'; expected a time in ISO 8601"),
        ("u,i,r,t\na,x,1\n", r"line 2: got 'a,x,1'; expected 4 fields separated by ',', not 3"),
        ('u,i,r,t\na,x,1,5\nb,"y,1,6\n', r"line 3: unexpected end of data"),
        ("u,i,r,r,t\na,x,1,1,5\n", "2 columns called 'r'"),
        ("u,i,r,t\na,\0,1,5\n", "line 2: got a NUL byte"),
        ("u,i,r,t\na,x,1,5\n".encode("utf-16"), "starts as UTF-16 does; expected utf-8; .*encoding='latin-1'"),
        (b"u,i,r,t\na,x,1,5\ncaf\xe9,x,1,6\n", r"line 3: byte 19 \(0xe9\) is not utf-8.*encoding='latin-1'"),
    ],
)
def test_damage_is_told_by_line_and_value(tmp_path: Path, home: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataCorrupt, match=message):
        import_log(write(tmp_path, text), name="d", user="u", item="i", rating="r", time="t")
    assert not home.exists()


def test_a_bad_year_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match=r"line 2: got 'old'; expected a year of four digits"):
        import_log(write(tmp_path, "u,i,y\na,x,old\n"), name="d", user="u", item="i", year="y")


def test_other_encodings(tmp_path: Path) -> None:
    path = write(tmp_path, "u,i\ncafé,x\n".encode("latin-1"))
    assert import_log(path, name="d", user="u", item="i", encoding="latin-1").users.ids.tolist() == ["café"]
    path = write(tmp_path, "u,i\ncafé,x\n".encode("utf-16"))
    assert import_log(path, name="e", user="u", item="i", encoding="utf-16").users.ids.tolist() == ["café"]
    with pytest.raises(ConfigError, match="unknown encoding 'klingon'"):
        import_log(path, name="f", user="u", item="i", encoding="klingon")


def test_columns_are_checked_against_the_header(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown column of log.csv 'star': did you mean 'stars'.*known: item, kind"):
        import_log(write(tmp_path, LOG), name="d", user="user", item="item", rating="star")


def test_a_name_that_would_do_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, LOG)
    for name, near in (("My_Log", "my_log"), ("a b", "a-b"), ("-x", "x")):
        with pytest.raises(ConfigError, match=f"'{near}' would do"):
            import_log(path, name=name, **COLUMNS)
    for name in ("é", "Ml-1M"):
        with pytest.raises(ConfigError, match=r"letter or digit$"):
            import_log(path, name=name, **COLUMNS)


@pytest.mark.parametrize("name", ["", "Books", "../up", "a/b", ".x", "-x", "x" * 65, "ml-1m", "recbole", "a b", "nul\0"])
def test_names_are_checked(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot name a log|built-in data set"):
        import_log(write(tmp_path, LOG), name=name, **COLUMNS)


def test_thresholds_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path, LOG)
    assert import_log(path, name="a", **COLUMNS, like_threshold=4).liked.tolist() == [True, True, True, False]
    for wrong in (0.5, 11, float("nan")):
        with pytest.raises(ConfigError, match="ratings reach from 1 to 10"):
            import_log(path, name="b", **COLUMNS, like_threshold=wrong)
    with pytest.raises(ConfigError, match="there are no ratings"):
        import_log(path, name="b", user="user", item="item", like_threshold=1)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="does not exist"):
        import_log(tmp_path / "none.csv", name="d", user="u", item="i")
    with pytest.raises(DataCorrupt, match="is a folder"):
        import_log(tmp_path, name="d", user="u", item="i")


def test_a_home_that_cannot_be_written(tmp_path: Path, home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(CacheUnwritable, match=r"cannot write to .*home/datasets.*RECOWORLD_HOME"):
        import_log(write(tmp_path, LOG), name="d", **COLUMNS)
    assert list_imported() == []


def test_a_damaged_import_is_told(tmp_path: Path, home: Path) -> None:
    import_log(write(tmp_path, LOG), name="books", **COLUMNS)
    path = home / "datasets" / "books.npz"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataCorrupt, match="overwrite=True"):
        load_dataset("books")


# ---- Parquet


def test_parquet(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    day = datetime.datetime(2024, 3, 1, 12, tzinfo=datetime.UTC)
    columns = {
        "user": pa.array([7, 7, 8]),
        "item": pa.array([1.0, 2.0, 1.0]),
        "stars": pa.array([1.5, 5, 3], pa.float32()),
        "when": pa.array([day, day - datetime.timedelta(hours=1), day], pa.timestamp("ns", tz="UTC")),
        "kind": pa.array([["x", "y"], None, []]),
        "name": ["One", None, "One"],
    }
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(columns), path)
    data = import_log(path, name="d", user="user", item="item", rating="stars", time="when", title="name", genres="kind")
    assert data.users.ids.tolist() == ["7", "8"]
    assert data.catalog.ids.tolist() == ["1", "2"]
    assert data.catalog.genres_of(0) == ("x", "y")
    assert data.catalog.titles.tolist() == ["One", "2"]
    assert data.interactions.items.tolist() == [1, 0, 0]
    assert data.interactions.times[1] == int(day.timestamp())
    with pytest.raises(UnknownName, match="did you mean 'stars'"):
        import_log(path, name="e", user="user", item="item", rating="star")
    pq.write_table(pa.table(columns | {"user": pa.array([7, None, 8])}), path)
    with pytest.raises(DataCorrupt, match="line 2: got ''; expected an id"):
        import_log(path, name="e", user="user", item="item")
    good, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(good)
        changed[rng.integers(len(good))] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(changed))
        try:
            import_log(path, name="f", user="user", item="item", rating="stars", time="when", overwrite=True)
        except RecoWorldError as error:
            assert "log.parquet" in str(error)
    path.write_bytes(good[:100])
    with pytest.raises(DataCorrupt, match="no readable Parquet file"):
        import_log(path, name="g", user="user", item="item")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'recoworld\[parquet\]'"):
        import_log(write(tmp_path, "x", "log.parquet"), name="d", user="u", item="i")


# ---- anything at all


def attempt(folder: Path, data: bytes) -> bool:
    """Whether it was refused; anything but a DatasetError or UnknownName fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import_log(write(folder, data), name="fuzz", overwrite=True, **COLUMNS)
        except (DatasetError, UnknownName):
            return True
    return False


def test_mutated_logs_load_or_raise(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(400):
        data = bytearray(LOG.encode())
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(data)))
            new = rng.choice([0, 9, 10, 13, 34, 44, 45, 48, 57, 69, 92, 195, 255], int(rng.integers(0, 3))).astype(np.uint8)
            data[at : at + int(rng.integers(0, 3))] = bytes(new)
        refused += attempt(tmp_path, bytes(data))
    assert 100 < refused < 400


@given(st.lists(st.lists(st.text(max_size=6), min_size=7, max_size=7), min_size=1, max_size=3))
def test_any_cells_load_or_raise(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    folder = tmp_path_factory.getbasetemp() / "cells"
    folder.mkdir(exist_ok=True)
    cells = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    attempt(folder, (",".join(COLUMNS.values()) + "\n" + "\n".join(cells)).encode("utf-8", "replace"))

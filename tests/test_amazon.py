"""Amazon CDs from files in each of the published layouts, written by hand, whole and damaged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recoworld.datasets import load_dataset
from recoworld.errors import DataCorrupt, DataMissing
from recoworld.testing import DatasetTests
from recoworld.users import Dataset

ROWS = [("A1", "B1", 5.0, 1100000002), ("A2", "B1", 3.0, 1100000000), ("A1", "B2", 4.0, 1100000001), ("A2", "B3", 1.0, 1200000000)]
ABOUT: list[dict[str, Any]] = [
    {"asin": "B1", "title": "Kind &amp; Blue", "category": ["CDs & Vinyl", "Jazz", "Cool Jazz"], "brand": "Miles"},
    {"asin": "B9", "title": "Nobody's", "category": ["CDs & Vinyl", "Pop"], "brand": ""},
    {"asin": "B2", "title": "", "category": [["CDs & Vinyl", "Pop"]], "brand": None},
]


def reviews(folder: Path, name: str = "CDs_and_Vinyl_5.json", *, of_2023: bool = False) -> Path:
    keys = ("user_id", "parent_asin", "rating", "timestamp") if of_2023 else ("reviewerID", "asin", "overall", "unixReviewTime")
    unit = 1000 if of_2023 else 1
    lines = [json.dumps(dict(zip(keys, (*row[:3], row[3] * unit), strict=True)) | {"reviewText": "ünï"}) for row in ROWS]
    return text(folder / name, "\n".join(lines) + "\n")


def text(path: Path, words: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(words.encode()) if path.suffix == ".gz" else words.encode())
    return path


def triples(data: Dataset) -> list[tuple[str, str, float, int]]:
    log = data.interactions
    users, items = data.users.ids[log.users].tolist(), data.catalog.ids[log.items].tolist()
    return list(zip(users, items, log.ratings.tolist(), log.times.tolist(), strict=True))


HEADER = "user_id,parent_asin,rating,timestamp,history\n"
IN_TIME = [ROWS[2], ROWS[0], ROWS[1], ROWS[3]]


class TestAmazon(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        reviews(tmp_path)
        text(tmp_path / "meta_CDs_and_Vinyl.json", "\n".join(map(json.dumps, ABOUT)))
        return load_dataset("amazon-cds", data_dir=str(tmp_path))


def test_reviews_and_metadata(tmp_path: Path) -> None:
    reviews(tmp_path / "amazon-cds", "CDs_and_Vinyl_5.json.gz")
    text(tmp_path / "amazon-cds" / "meta_CDs_and_Vinyl.json.gz", "\n".join(map(json.dumps, ABOUT)))
    data = load_dataset("amazon-cds", data_dir=str(tmp_path))
    assert triples(data) == IN_TIME
    assert data.catalog.titles.tolist() == ["Kind & Blue", "B2", "B3"]
    assert [data.catalog.genres_of(i) for i in range(3)] == [("Cool Jazz", "Jazz"), ("Pop",), ("(no genre)",)]
    assert [data.catalog.people_of(i) for i in range(3)] == [("Miles",), (), ()]
    assert data.liked.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(data.catalog.popularity, [2, 1, 1])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ratings_CDs_and_Vinyl.csv", "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in ROWS)),
        ("CDs_and_Vinyl.csv", "".join(f"{i},{u},{r},{t}\n" for u, i, r, t in ROWS)),
        ("CDs_and_Vinyl.csv.gz", HEADER + "".join(f"{u},{i},{r},{t}000,B1 B2\n" for u, i, r, t in ROWS)),
    ],
)
def test_ratings_alone(tmp_path: Path, name: str, words: str) -> None:
    text(tmp_path / name, words)
    data = load_dataset("amazon-cds", data_dir=str(tmp_path))
    assert triples(data) == IN_TIME
    assert data.catalog.titles.tolist() == ["B1", "B2", "B3"]


def test_reviews_of_2023(tmp_path: Path) -> None:
    reviews(tmp_path, "CDs_and_Vinyl.jsonl", of_2023=True)
    assert triples(load_dataset("amazon-cds", data_dir=str(tmp_path))) == IN_TIME


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("CDs_and_Vinyl_5.json", "{'asin': 'B1'}\n", "line 1.*JSON object"),
        ("CDs_and_Vinyl_5.json", '{"reviewerID": "A", "asin": "B", "overall": 5, "unixReviewTime": 1}\n{"asin": "B"}\n', "line 2.*rating"),
        ("CDs_and_Vinyl_5.json", '{"reviewerID": 3, "asin": "B", "overall": 5.0, "unixReviewTime": 1}\n', "line 1"),
        ("CDs_and_Vinyl_5.json", '{"reviewerID": "A", "asin": "B", "overall": 9, "unixReviewTime": 1}\n', "1 to 5"),
        ("CDs_and_Vinyl_5.json", '{"reviewerID": "A", "asin": "B", "overall": NaN, "unixReviewTime": 1}\n', "1 to 5"),
        ("CDs_and_Vinyl_5.json", "[" * 100000, "line 1"),
        ("ratings_CDs_and_Vinyl.csv", "A1,B1,5.0\n", "separated by commas"),
        ("CDs_and_Vinyl.csv", "user_id,rating,timestamp\nA,5,1\n", "parent_asin"),
        ("CDs_and_Vinyl.csv", "user_id,parent_asin,rating,timestamp\n", "holds no ratings"),
    ],
)
def test_damage_is_told(tmp_path: Path, name: str, words: str, message: str) -> None:
    text(tmp_path / name, words)
    with pytest.raises(DataCorrupt, match=message):
        load_dataset("amazon-cds", data_dir=str(tmp_path))


def test_a_torn_archive_is_told(tmp_path: Path) -> None:
    path = reviews(tmp_path, "CDs_and_Vinyl_5.json.gz")
    whole = path.read_bytes()
    for torn in (whole[: len(whole) // 2], b"no archive at all", whole[:20] + b"\xff\xff\xff" + whole[23:]):
        path.write_bytes(torn)
        with pytest.raises(DataCorrupt, match=r"damaged|line"):
            load_dataset("amazon-cds", data_dir=str(tmp_path))


def test_what_is_expected_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataMissing, match=r"CDs_and_Vinyl_5\.json.*meta_CDs_and_Vinyl"):
        load_dataset("amazon-cds", data_dir=str(tmp_path))
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)
    with pytest.raises(DataMissing, match="neither data_dir nor RECOWORLD_DATA"):
        load_dataset("amazon-cds")

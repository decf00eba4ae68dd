"""The files of MovieLens-1M and -100K, every line of them checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import build_catalog
from recoworld.datasets.arrays import by_user, with_popularity
from recoworld.datasets.files import bad_line, decode, line_of, read_bytes
from recoworld.datasets.titles import split_title
from recoworld.errors import DataCorrupt
from recoworld.users import Dataset, Users

SOURCE = (
    "MovieLens, GroupLens Research, University of Minnesota: free for research, no redistribution, no commercial use. Cite F. M. Harper "
    "and J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4):19, 2015, doi:10.1145/2827872"
)
AGES = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")
OCCUPATIONS_1M = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service", "doctor/health care"),
    *("executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist"),
    *("self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
OCCUPATIONS_100K = (
    *("administrator", "artist", "doctor", "educator", "engineer", "entertainment", "executive", "healthcare", "homemaker", "lawyer"),
    *("librarian", "marketing", "none", "other", "programmer", "retired", "salesman", "scientist", "student", "technician", "writer"),
)
GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_WORDS = {"F": "woman", "M": "man"}
_AGE_CODES = ("1", "18", "25", "35", "45", "50", "56")
_RATINGS_1M = re.compile(rb"(?:[0-9]{1,9}::[0-9]{1,9}::[0-9]{1,9}::[0-9]{1,12}(?:\r?\n|\Z))*+")
_RATINGS_100K = re.compile(rb"(?:[0-9]{1,9}\t[0-9]{1,9}\t[0-9]{1,9}\t[0-9]{1,12}(?:\r?\n|\Z))*+")
_ADVICE = "the file is damaged, cut short or of another release: unpack the official archive again"


@dataclass(frozen=True)
class Counts:
    """What an official release holds."""

    users: int
    movies: int
    ratings: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.movies:,} movies, {self.ratings:,} ratings"


ML_1M = Counts(6040, 3883, 1_000_209)
ML_100K = Counts(943, 1682, 100_000)


def parse_1m(folder: Path, expected: Counts) -> Dataset:
    """MovieLens-1M's three files. Raises DataMissing or DataCorrupt."""
    path = folder / "movies.dat"
    movies = [(line, number, title, genres) for line, (number, title, genres) in _rows(path, "::", "MovieID::Title::Genre|Genre", 3)]
    genres = [tuple(row[3].split("|")) for row in movies]
    path = folder / "users.dat"
    people = []
    for line, (number, gender, age, job, _) in _rows(path, "::", "UserID::Gender::Age::Occupation::Zip-code", 5):
        if gender not in ("F", "M") or age not in _AGE_CODES or not (job.isdecimal() and int(job) < len(OCCUPATIONS_1M)):
            raise bad_line(path, line, f"{gender}::{age}::{job}", "F or M, an age of 1 18 25 35 45 50 56, an occupation of 0-20", _ADVICE)
        people.append((line, number, gender, _AGE_CODES.index(age), int(job)))
    ratings = _ratings(folder / "ratings.dat", _RATINGS_1M, "UserID::MovieID::Rating::Timestamp")
    return _dataset("ml-1m", folder, expected, [m[:3] for m in movies], genres, people, OCCUPATIONS_1M, ratings)


def parse_100k(folder: Path, expected: Counts) -> Dataset:
    """MovieLens-100K's three files. Raises DataMissing or DataCorrupt."""
    path = folder / "u.item"
    movies, genres = [], []
    for line, (number, title, _, _, _, *flags) in _rows(path, "|", "movie id | title | two dates | URL | 19 flags", 24):
        if not set(flags) <= {"0", "1"}:
            raise bad_line(path, line, "|".join(flags), "19 flags of 0 or 1", _ADVICE)
        movies.append((line, number, title))
        genres.append(tuple(name for name, flag in zip(GENRES_100K, flags, strict=True) if flag == "1" and name != "unknown"))
    path = folder / "u.user"
    people = []
    for line, (number, age, gender, job, _) in _rows(path, "|", "user id | age | gender | occupation | zip code", 5):
        if gender not in ("F", "M") or not re.fullmatch("[0-9]{1,3}", age) or job not in OCCUPATIONS_100K:
            raise bad_line(path, line, f"{age}|{gender}|{job}", "an age in years, F or M, an occupation of u.occupation", _ADVICE)
        band = int(np.searchsorted([18, 25, 35, 45, 50, 56], int(age), side="right"))
        people.append((line, number, gender, band, OCCUPATIONS_100K.index(job)))
    ratings = _ratings(folder / "u.data", _RATINGS_100K, "user id, item id, rating and timestamp separated by tabs")
    return _dataset("ml-100k", folder, expected, movies, genres, people, OCCUPATIONS_100K, ratings)


def _rows(path: Path, separator: str, form: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each line; the first field is a number that no other line has."""
    data = read_bytes(path, _ADVICE)
    utf8 = re.search(rb"[\xc3-\xf4][\x80-\xbf]", data)  # what an accented letter becomes in UTF-8, and never was in latin-1 titles
    if utf8:
        raise DataCorrupt(
            f"{path}, line {line_of(data, utf8.start())}: byte {utf8.start()} looks like UTF-8; expected latin-1, as published; unpack the "
            "official archive again, or convert the file with: iconv -f utf-8 -t latin1"
        )
    seen: set[str] = set()
    for line, text in enumerate(decode(data, path, "latin-1", _ADVICE).removesuffix("\n").split("\n"), 1):
        fields = text.removesuffix("\r").split(separator)
        if len(fields) != width or not re.fullmatch("[1-9][0-9]{0,8}", fields[0]) or not fields[1]:
            raise bad_line(path, line, text, f"{form}, {width} fields", _ADVICE)
        if fields[0] in seen:
            raise bad_line(path, line, text, f"an id that occurs once, and {fields[0]} occurred before", _ADVICE)
        seen.add(fields[0])
        yield line, fields


def _ratings(path: Path, form: re.Pattern[bytes], written: str) -> NDArray[np.int64]:
    """User id, movie id, stars, seconds ``[n, 4]``."""
    data = read_bytes(path, _ADVICE)
    match = form.match(data)
    end = match.end() if match else 0
    if end < len(data):  # the pattern stops at the first line that is not as it should be
        line = data[end : end + 200].split(b"\n")[0].decode("latin-1")
        raise bad_line(path, line_of(data, end), line, f"{written}, in digits", _ADVICE)
    table = np.fromstring(data.translate(bytes.maketrans(b":", b" ")).decode("ascii"), sep=" ", dtype=np.int64).reshape(-1, 4)
    wrong = np.flatnonzero((table[:, 2] < 1) | (table[:, 2] > 5))
    if len(wrong):
        raise bad_line(path, int(wrong[0]) + 1, f"rating {table[wrong[0], 2]}", "a rating of 1 to 5", _ADVICE)
    return table


def _indices(path: Path, kind: str, known: list[int], used: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where in `known` each used id is. Raises DataCorrupt for an id that is not there."""
    order = np.argsort(known)
    ranked = np.asarray(known)[order]
    at = np.minimum(np.searchsorted(ranked, used), len(known) - 1)
    wrong = np.flatnonzero(ranked[at] != used)
    if len(wrong):
        expected = f"a {kind} that the {kind}s file lists, {ranked[0]} to {ranked[-1]}"
        raise bad_line(path, int(wrong[0]) + 1, f"{kind} {used[wrong[0]]}", expected, _ADVICE)
    return order[at]


def _dataset(
    name: str,
    folder: Path,
    expected: Counts,
    movies: list[tuple[int, str, str]],
    genres: list[tuple[str, ...]],
    people: list[tuple[int, str, str, int, int]],
    jobs: tuple[str, ...],
    ratings: NDArray[np.int64],
) -> Dataset:
    found = Counts(len(people), len(movies), len(ratings))
    if found != expected:
        raise DataCorrupt(f"{folder}: got {found}; expected {expected}, as {name} was published; {_ADVICE}")
    path = folder / ("ratings.dat" if name == "ml-1m" else "u.data")
    users = _indices(path, "user", [int(row[1]) for row in people], ratings[:, 0])
    items = _indices(path, "movie", [int(row[1]) for row in movies], ratings[:, 1])
    pairs = users * len(movies) + items
    if len(np.unique(pairs)) < len(pairs):
        first = np.setdiff1d(np.arange(len(pairs)), np.unique(pairs, return_index=True)[1])[0]
        raise bad_line(path, int(first) + 1, f"user {ratings[first, 0]}, movie {ratings[first, 1]}", "a pair that occurs once", _ADVICE)
    titles = [split_title(row[2]) for row in movies]
    log = by_user(users, items, ratings[:, 2], ratings[:, 3], n_users=len(people))
    catalog = build_catalog(
        name=name, ids=[row[1] for row in movies], titles=[title for title, _ in titles], years=[year for _, year in titles], genres=genres
    )
    features = np.zeros((len(people), 2 + len(jobs)), dtype=np.float32)
    for i, (_, _, gender, band, job) in enumerate(people):
        features[i, [0, 1, 2 + job]] = gender == "F", band / (len(AGES) - 1), 1
    return Dataset(
        name=name,
        catalog=with_popularity(catalog, log),
        users=Users(
            ids=np.array([row[1] for row in people]),
            features=features,
            feature_names=("woman", "age", *jobs),
            descriptions=np.array([f"{_WORDS[gender]}, {AGES[band]}, {jobs[job]}" for _, _, gender, band, job in people]),
        ),
        interactions=log,
        explicit=True,
        rating_scale=(1.0, 5.0),
        like_threshold=4.0,
        source=SOURCE,
    )

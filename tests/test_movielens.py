"""MovieLens: a tiny copy in the official format, the real one where it is there, every kind of damage, and the download."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from recoworld.datasets import load_dataset, movielens
from recoworld.datasets.ml_files import Counts, parse_1m, parse_100k
from recoworld.datasets.movielens import load_1m, load_100k
from recoworld.datasets.titles import split_title
from recoworld.errors import CacheUnwritable, DataCorrupt, DataMissing, DatasetError, DownloadFailed
from recoworld.testing.datasets import DatasetTests
from recoworld.users import Dataset

MOVIES = (
    "1::Shawshank Redemption, The (1994)::Drama\n2::Misérables, Les (1995)::Drama|Musical\n"
    "5::Promise, The (Versprechen, Das) (1994)::Romance\n9::Alien³ (1992)::Action|Sci-Fi\n"
)
USERS = "1::F::25::12::02138\n2::M::56::0::10021-1234\n3::F::1::10::55455\n"
RATINGS = "1::9::5::300\n1::1::4::100\n2::5::1::50\n1::2::3::100\n3::1::2::7\n2::1::5::60\n"
SMALL = Counts(3, 4, 6)


def write(folder: Path, **changes: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ({"movies": MOVIES, "users": USERS, "ratings": RATINGS} | changes).items():
        (folder / f"{name}.dat").write_bytes(text.encode("latin-1") if isinstance(text, str) else text)
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no local data but what a test gives."""
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestTiny(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return parse_1m(write(tmp_path), SMALL)


def test_a_tiny_copy_is_read_as_it_is_written(tmp_path: Path) -> None:
    data = parse_1m(write(tmp_path), SMALL)
    assert data.catalog.titles.tolist() == ["The Shawshank Redemption", "Les Misérables", "The Promise (Das Versprechen)", "Alien³"]
    assert data.catalog.years.tolist() == [1994, 1995, 1994, 1992]
    assert data.catalog.genres_of(3) == ("Action", "Sci-Fi")
    assert data.catalog.popularity.tolist() == [3, 1, 1, 1]
    assert data.users.descriptions.tolist() == ["woman, 25-34, programmer", "man, 56+, other", "woman, under 18, K-12 student"]
    assert data.users.features[0, :2].tolist() == [1, np.float32(2 / 6)]
    assert data.users.feature_names[2 + int(data.users.features[0, 2:].argmax())] == "programmer"
    log = data.interactions
    assert log.items.tolist() == [0, 1, 3, 2, 0, 0]  # user 1: two ratings of second 100 in the file's order, then 300
    assert log.ratings.tolist() == [4, 3, 5, 1, 5, 2]
    assert log.times.tolist() == [100, 100, 300, 50, 60, 7]
    assert "Harper" in data.source


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: t.removesuffix("\n")])
def test_line_ends_do_not_matter(tmp_path: Path, change: Callable[[str], str]) -> None:
    data = parse_1m(write(tmp_path, movies=change(MOVIES), users=change(USERS), ratings=change(RATINGS)), SMALL)
    assert len(data.interactions) == 6
    assert data.catalog.genre_names == ("Action", "Drama", "Musical", "Romance", "Sci-Fi")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Toy Story (1995)", ("Toy Story", 1995)),
        ("Star Maker, The (Uomo delle stelle, L') (1995)", ("The Star Maker (L'Uomo delle stelle)", 1995)),
        ("Maybe, Maybe Not (Bewegte Mann, Der) (1994)", ("Maybe, Maybe Not (Der Bewegte Mann)", 1994)),
        ("Good, The Bad and The Ugly, The (1966)", ("The Good, The Bad and The Ugly", 1966)),
        ("Dancer, Texas Pop. 81 (1998)", ("Dancer, Texas Pop. 81", 1998)),
        ("Eighth Day, The (Le Huitième jour ) (1996)", ("The Eighth Day (Le Huitième jour)", 1996)),
        ("Land Before Time III (1995) (V)", ("Land Before Time III", 1995)),
        ("1984 (1984)", ("1984", 1984)),
        ("unknown", ("unknown", 0)),
        ("(1999)", ("(1999)", 1999)),
        ("", ("", 0)),
    ],
)
def test_titles(raw: str, expected: tuple[str, int]) -> None:
    assert split_title(raw) == expected


def test_100k(tmp_path: Path) -> None:
    flags = ["0"] * 19
    flags[1] = flags[5] = "1"
    (tmp_path / "u.item").write_text(
        "1|GoldenEye (1995)|01-Jan-1995||http://x|" + "|".join(flags) + "\n2|unknown||||1" + "|0" * 18 + "\n", encoding="latin-1"
    )
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|none|94043\n")
    (tmp_path / "u.data").write_text("1\t2\t3\t881250949\n2\t1\t5\t891717742\n1\t1\t4\t881250000\n")
    data = parse_100k(tmp_path, Counts(2, 2, 3))
    assert data.catalog.genres_of(0) == ("Action", "Comedy")
    assert data.catalog.genres_of(1) == ("(no genre)",)
    assert data.catalog.years.tolist() == [1995, 0]
    assert data.users.descriptions.tolist() == ["man, 18-24, technician", "woman, 50-55, none"]
    assert data.interactions.items.tolist() == [0, 1, 0]
    with pytest.raises(DataCorrupt, match="943 users"):
        load_100k(data_dir=str(tmp_path))


# ---- damage: each kind is its own clear error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratings": RATINGS[:-8]}, r"ratings.dat, line 6: got '2::1'; expected UserID::MovieID::Rating::Timestamp"),
        ({"ratings": RATINGS[: RATINGS.index("2::1")]}, r"5 ratings; expected 3 users, 4 movies, 6 ratings"),
        ({"ratings": ""}, r"ratings.dat is empty"),
        ({"ratings": "\n"}, r"ratings.dat, line 1"),
        ({"ratings": RATINGS.replace("1::2::3", "1::2::9")}, r"ratings.dat, line 4: got 'rating 9'; expected a rating of 1 to 5"),
        ({"ratings": RATINGS.replace("1::2::3", "7::2::3")}, r"ratings.dat, line 4: got 'user 7'; expected a user .*1 to 3"),
        ({"ratings": RATINGS.replace("1::2::3", "1::3::3")}, r"ratings.dat, line 4: got 'movie 3'; expected a movie .*1 to 9"),
        (
            {"ratings": RATINGS.replace("1::2::3", "1::1::3")},
            r"ratings.dat, line 4: got 'user 1, movie 1'; expected a pair that occurs once",
        ),
        ({"ratings": RATINGS.replace("1::2::3", "1::2:3")}, r"ratings.dat, line 4"),
        ({"ratings": RATINGS.replace("1::2::3", "-1::2::3")}, r"ratings.dat, line 4"),
        ({"ratings": RATINGS.replace("1::2::3", "1::2::3.5")}, r"ratings.dat, line 4"),
        ({"ratings": b"\x00\xff" + RATINGS.encode()}, r"ratings.dat, line 1"),
        ({"ratings": RATINGS.encode("utf-16")}, r"ratings.dat, line 1"),
        ({"ratings": RATINGS.replace("100", "1" * 40)}, r"ratings.dat, line 2"),
        ({"movies": MOVIES.encode("utf-8")}, r"movies.dat, line 2: byte \d+ looks like UTF-8; expected latin-1.*iconv"),
        ({"movies": MOVIES.encode("utf-16")}, r"movies.dat starts as UTF-16 does; expected latin-1"),
        ({"movies": MOVIES.replace("2::M", "1::M")}, r"movies.dat, line 2.*an id that occurs once, and 1 occurred before"),
        ({"movies": MOVIES.replace("5::Promise", "x::Promise")}, r"movies.dat, line 3.*MovieID::Title::Genre"),
        ({"movies": MOVIES[:60]}, r"movies.dat, line 2"),
        ({"movies": MOVIES.replace("Alien", "\0\0")}, r"movies.dat, line 4: got a NUL byte"),
        ({"users": USERS.replace("F::25", "F::26")}, r"users.dat, line 1: got 'F::26::12'; expected F or M, an age of 1 18"),
        ({"users": USERS.replace("::12::", "::21::")}, r"users.dat, line 1.*an occupation of 0-20"),
        ({"users": USERS.replace("2::M", "2::X")}, r"users.dat, line 2"),
        ({"users": USERS[:40]}, r"users.dat, line 2|2 users"),
    ],
)
def test_damaged_files_are_told_by_line(tmp_path: Path, changes: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(DataCorrupt, match=message) as caught:
        parse_1m(write(tmp_path, **changes), SMALL)
    assert "\n" not in str(caught.value)


def test_counts_say_got_expected_and_what_to_do(tmp_path: Path, own_cache: Path) -> None:
    with pytest.raises(DataCorrupt, match=r"got 3 users.*expected 6,040 users, 3,883 movies, 1,000,209 ratings.*official archive"):
        load_1m(data_dir=str(write(tmp_path / "ml-1m")))


def test_missing_files(tmp_path: Path, own_cache: Path) -> None:
    with pytest.raises(DataMissing, match=r"does not exist.*files.grouplens.org.*data_dir="):
        load_1m(data_dir=str(tmp_path / "none"))
    with pytest.raises(DataMissing, match=r"holds neither ratings.dat, movies.dat, users.dat nor ml-1m/"):
        load_1m(data_dir=str(tmp_path))
    write(tmp_path / "ml-1m")
    (tmp_path / "ml-1m" / "users.dat").unlink()
    with pytest.raises(DataMissing, match=r"has no users.dat"):
        load_1m(data_dir=str(tmp_path))
    (tmp_path / "ml-1m" / "users.dat").mkdir()
    with pytest.raises(DataCorrupt, match=r"users.dat is a folder; expected a file"):
        load_1m(data_dir=str(tmp_path))
    (tmp_path / "f").write_text("x")
    with pytest.raises(DataMissing, match="is a file; expected a folder"):
        load_1m(data_dir=str(tmp_path / "f"))


def test_permission_denied(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "ml-1m")
    real = os.stat

    def refusing(path: object, *args: object, **kwargs: object) -> os.stat_result:
        if str(path).endswith("movies.dat"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("os.stat", refusing)
    with pytest.raises(DataMissing, match=r"movies.dat may not be read \(permission denied\)"):
        load_1m(data_dir=str(tmp_path))


def test_mutated_files_load_or_raise_a_dataset_error(tmp_path: Path) -> None:
    rng, refused = np.random.default_rng(0), 0
    texts = {"movies": MOVIES.encode("latin-1"), "users": USERS.encode(), "ratings": RATINGS.encode()}
    for name in texts:
        for _ in range(200):
            data = bytearray(texts[name])
            for _ in range(int(rng.integers(1, 4))):
                at = int(rng.integers(len(data)))
                match rng.integers(4):
                    case 0:
                        data[at] = int(rng.integers(256))
                    case 1:
                        del data[at : at + int(rng.integers(1, 9))]
                    case 2:
                        data[at:at] = data[: int(rng.integers(1, 30))]
                    case _:
                        data[at:at] = bytes([int(rng.choice([0, 10, 13, 45, 46, 58, 95, 133, 178, 255]))])
            try:
                parse_1m(write(tmp_path, **{name: bytes(data)}), SMALL)
            except DatasetError:
                refused += 1
    assert 300 < refused < 600  # most mutations are noticed, some are harmless


# ---- the download


class Server:
    """GroupLens on 127.0.0.1."""

    body = b""
    announced: int | None = None
    status = 200
    asked = 0


@pytest.fixture
def server(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(state.body) if state.announced is None else state.announced))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(movielens, "BASE_URL", f"http://127.0.0.1:{http.server_address[1]}/")
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def archive(**extra: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in {"movies": MOVIES, "users": USERS, "ratings": RATINGS}.items():
            if f"ml-1m/{name}.dat" not in extra:
                target.writestr(f"ml-1m/{name}.dat", text.encode("latin-1"))
        for name, data in extra.items():
            target.writestr(name, data)
    return out.getvalue()


def publish(monkeypatch: pytest.MonkeyPatch, server: Server, body: bytes) -> None:
    server.body = body
    monkeypatch.setattr(movielens, "_1M", replace(movielens._1M, md5=hashlib.md5(body).hexdigest(), counts=SMALL))


def left_over(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def test_a_download_is_kept_and_holds_only_what_is_expected(
    server: Server, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server, archive(**{"../evil": b"x", "/tmp/w/evil": b"x", "ml-1m/../../evil": b"x", "ml-1m/README": b"x"}))
    for _ in range(2):
        assert len(load_1m().interactions) == 6
    assert server.asked == 1
    files = left_over(own_cache)
    assert [name for name in files if "/" in name] == ["ml-1m/movies.dat", "ml-1m/ratings.dat", "ml-1m/users.dat"]
    assert len(files) == 4  # and the parsed arrays
    assert not (tmp_path / "evil").exists()


def test_too_few_bytes(server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, server, archive())
    server.announced, server.body = len(server.body), server.body[:100]
    with pytest.raises(DownloadFailed, match=r"tried 2 times.*unpack it, and pass data_dir="):
        load_1m()
    assert server.asked == 2
    assert left_over(own_cache) == []


def test_wrong_content(server: Server, own_cache: Path) -> None:
    server.body = b"<html>captive portal</html>"
    with pytest.raises(DownloadFailed, match="c4d9eecfca2ab87c1945afe126590906"):
        load_1m()
    assert left_over(own_cache) == []


def test_an_error_page(server: Server, own_cache: Path) -> None:
    server.status = 503
    with pytest.raises(DownloadFailed, match="503"):
        load_dataset("ml-100k")
    assert left_over(own_cache) == []


@pytest.mark.parametrize("body", [b"PK no zip", archive(**{"ml-1m/users.dat": b"x" * (2**20 + 1)})], ids=["no zip", "a bomb"])
def test_a_wrong_archive_of_the_right_checksum(server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    publish(monkeypatch, server, body)
    with pytest.raises(DownloadFailed, match=r"not a zip|more than 1,048,576 bytes"):
        load_1m()
    assert "ml-1m/users.dat" not in left_over(own_cache)


def test_no_network(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(movielens, "BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("RECOWORLD_DATA", str(own_cache / "elsewhere"))
    with pytest.raises(
        DownloadFailed, match=r"cannot download http://127.0.0.1:9/ml-1m.zip.*no network.*RECOWORLD_DATA=.* holds no ml-1m/"
    ):
        load_1m()


def test_a_cache_that_cannot_be_written(server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, server, archive())
    own_cache.write_text("a file in the folder's place")
    with pytest.raises(CacheUnwritable, match=r"cannot write to .*cache.*RECOWORLD_CACHE"):
        load_1m()
    own_cache.unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CacheUnwritable, match="the disk is full"):
        load_1m()
    assert left_over(own_cache) == []


# ---- the real one


class TestReal(DatasetTests):
    @pytest.fixture
    def dataset(self, ml1m_dir: Path) -> Dataset:
        return load_dataset("ml-1m", data_dir=str(ml1m_dir))

    def test_facts(self, dataset: Dataset) -> None:
        assert (len(dataset.users), len(dataset.catalog), len(dataset.interactions)) == (6040, 3883, 1_000_209)
        assert np.bincount(dataset.interactions.ratings.astype(int)).tolist() == [0, 56_174, 107_557, 261_197, 348_971, 226_310]
        assert np.count_nonzero(dataset.catalog.popularity) == 3706
        assert len(dataset.catalog.genre_names) == 18
        assert str(dataset.catalog.titles[dataset.catalog.index("318")]) == "The Shawshank Redemption"
        assert (dataset.catalog.years.min(), dataset.catalog.years.max()) == (1919, 2000)
        assert np.diff(dataset.interactions.indptr).min() >= 20

    def test_a_cut_copy_is_told(self, ml1m_dir: Path, tmp_path: Path) -> None:
        for name in ("movies.dat", "users.dat", "ratings.dat"):
            data = (ml1m_dir / name).read_bytes()
            (tmp_path / name).write_bytes(data if name != "ratings.dat" else data[: len(data) // 2])
        with pytest.raises(DataCorrupt, match="ratings"):
            load_1m(data_dir=str(tmp_path))

    def test_first_and_second_load_are_quick(self, ml1m_dir: Path, tmp_path: Path) -> None:
        code = (
            "import time; t = time.perf_counter(); import recoworld.datasets as d; d.load_dataset('ml-1m'); print(time.perf_counter() - t)"
        )
        environment = os.environ | {"RECOWORLD_CACHE": str(tmp_path), "RECOWORLD_DATA": str(ml1m_dir.parent)}

        def seconds() -> float:
            return float(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout)

        began = time.perf_counter()
        first, second = seconds(), min(seconds() for _ in range(2))
        assert first < 10, "parsing should take less than 5 s on an idle machine"
        assert second < 2, "the cache should take less than 1 s on an idle machine"
        assert time.perf_counter() - began < 60

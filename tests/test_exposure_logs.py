"""Logs with exposure or random draws: made-up samples read to the last value, every kind of damage told, and the cache keeping it all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from recoworld.cli.data import app
from recoworld.datasets import coat, feeds, kuairand, kuairec, open_bandit, yahoo_r3
from recoworld.datasets.arrays import pack, unpack
from recoworld.datasets.columns import FLAG, ID, Column, read_columns
from recoworld.errors import ConfigError, DataCorrupt, DataMissing, MissingExtra
from recoworld.registry import DATASETS
from recoworld.testing import DatasetTests
from recoworld.users import Dataset, Interactions

HOUR = 3600
Loader = Callable[..., Dataset]


def write(folder: Path, files: dict[str, str], **changes: tuple[str, str]) -> Path:
    """The files; in those whose stem is in `changes`, one text in place of another, once."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for key, (old, new) in changes.items():
            if key == path.stem:
                assert old in text, f"{name} has no {old!r}"
                text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
    return folder


def shown(data: Dataset) -> dict[str, list[float]]:
    """What is there of the impressions, as lists ``[m]``."""
    log = data.impressions
    assert log is not None
    assert log.slates.shape[1] == 1
    columns = {field.name: getattr(log, field.name) for field in fields(log)}
    return {name: column.reshape(-1).tolist() for name, column in columns.items() if column is not None}


def triples(log: Interactions | None) -> list[tuple[int, int, float]]:
    assert log is not None
    return list(zip(log.users.tolist(), log.items.tolist(), log.ratings.tolist(), strict=True))


# ---- KuaiRec

USER_COLUMNS = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,follow_user_num_range,fans_user_num,"
    "fans_user_num_range,friend_user_num,friend_user_num_range,register_days,register_days_range,onehot_feat0\n"
)
PEOPLE = USER_COLUMNS + (
    '0,high_active,0,0,1,5,"(0,10]",0,0,0,0,107,61-90,0\n'
    '1,full_active,0,-124,0,63,"(50,100]",4,"[1,10)",2,"[1,5)",327,181-365,\n'
    "4,UNKNOWN,1,0,0,0,0,0,0,0,0,,,1\n"
)
VIEWS = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
BIG = VIEWS + (
    "0,10,9000,6000,2020-07-05 00:08:23.438,20200705,1000.5,1.5\n"  # short, played to its end: taken
    "0,12,7000,8000,,,900.25,0.875\n"  # no more than 7 s of a longer one: not taken
    "0,12,7001,8000,,,800,0.875\n"  # taken, earlier
    "1,11,100,6000,,,50,0.02\n"
    "1,10,6000,6000,,,70,1\n"  # taken
    "1,10,6000,6000,,,70,1\n"  # the same row again
    "4,13,0,0,,,70,0\n"  # nothing played of nothing
)
SMALL = VIEWS + (
    f"1,12,8000,8000,,,{1000 + HOUR},1\n"
    "1,10,3000,6000,,,1000,0.5\n"
    f"1,11,12000,6000,,,{1000 + HOUR // 2},2\n"
    "0,10,6500,6000,,,,1.08\n"  # no time
    "0,11,1,6000,,,20.75,0.1\n"
)
CATEGORIES = 'video_id,feat\n10,[8]\n11,"[27, 9]"\n12,[8]\n13,[]\n'
CAPTIONS = (
    "video_id,manual_cover_text,caption,topic_tag,first_level_category_id,first_level_category_name,second_level_category_id,"
    "second_level_category_name,third_level_category_id,third_level_category_name\n"
    '10,UNKNOWN,"A, ""cat""\n and more",[],1,Pets,2,Cats,-124,UNKNOWN\n'
    "broken line,\n"
    "11,Cover,,[],1,Food,-124,UNKNOWN,-124,UNKNOWN\n"
    "10,,Again,[],1,Food,,,,\n"
)
KUAIREC = {
    "big_matrix.csv": BIG,
    "small_matrix.csv": SMALL,
    "item_categories.csv": CATEGORIES,
    "kuairec_caption_category.csv": CAPTIONS,
    "user_features.csv": PEOPLE,
}
KUAIREC_COUNTS = kuairec.Counts(videos=4, users=3, views=7, small_videos=3, small_users=2, small_views=5)


class TestKuaiRec(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return kuairec.parse(write(tmp_path, KUAIREC), KUAIREC_COUNTS)


def test_kuairec_is_read_to_the_last_value(tmp_path: Path) -> None:
    data = kuairec.parse(write(tmp_path, KUAIREC), KUAIREC_COUNTS)
    assert data.users.ids.tolist() == ["0", "1", "4"]
    log = data.interactions
    assert log.indptr.tolist() == [0, 2, 3, 3]
    assert log.items.tolist() == [2, 0, 0]
    assert log.times.tolist() == [800, 1000, 70]
    assert not data.explicit
    catalog = data.catalog
    assert catalog.ids.tolist() == ["10", "11", "12", "13"]
    assert catalog.genre_names == ("tag 8", "tag 9", "tag 27", "(no genre)")
    assert [catalog.genres_of(i) for i in range(4)] == [("tag 8",), ("tag 9", "tag 27"), ("tag 8",), ("(no genre)",)]
    assert catalog.durations.tolist() == [6, 6, 8, 6]  # the last has the median
    assert catalog.popularity.tolist() == [2, 0, 1, 0]
    assert catalog.titles.tolist() == ['A, "cat" and more', "Cover", "video 12", "video 13"]
    assert catalog.texts.tolist() == ["Pets / Cats", "Food", "", ""]
    assert shown(data) == {
        "users": [0, 0, 1, 1, 1],
        "slates": [0, 1, 0, 1, 2],
        "clicked": [True, False, False, True, True],
        "watch": [6.5, 0, 0, 12, 8],
        "met": [0, 0, 0, 0, 0],
        "left": [False, True, False, False, True],  # nobody is seen to leave where there is no time
        "sessions": [0, 1, 2, 2, 2],  # both gaps of user 1 are half an hour to the second
        "times": [0, 20, 1000, 2800, 4600],
    }
    assert data.random_ratings is None


def test_users_of_kuaishou(tmp_path: Path) -> None:
    users = kuairec.parse(write(tmp_path, KUAIREC), KUAIREC_COUNTS).users
    assert users.feature_names[-3:] == ("UNKNOWN", "full_active", "high_active")
    logs = np.log([[6, 1, 1, 108], [64, 5, 3, 328], [1, 1, 1, 1]])
    np.testing.assert_allclose(users.features[:, :4], logs / logs.max(axis=0), atol=1e-6)
    assert users.features[:, 4:].tolist() == [[0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]]
    assert users.descriptions[1] == "full_active, follows (50,100], fans [1,10), friends [1,5), registered 181-365 days"


def test_kuairec_without_what_is_optional(tmp_path: Path) -> None:
    files = {name: text for name, text in KUAIREC.items() if name in kuairec.FILES}
    data = kuairec.parse(write(tmp_path, files), KUAIREC_COUNTS)
    assert data.catalog.titles[0] == "video 10"
    assert data.users.descriptions.tolist() == ["", "", ""]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"big_matrix": ("0,12,7000,", "0,12,seven,")}, r"big_matrix\.csv, line 3: got 'seven'; expected a whole number of 0 to"),
        ({"big_matrix": ("0,12,7000,8000", "0,12,8000")}, r"big_matrix\.csv, line 3: got '0,12,8000,,,900.25,0.875'; expected 8 fields"),
        ({"big_matrix": ("0,12,7000,", "0,12,,")}, r"big_matrix\.csv, line 3: got ''; expected a whole number .* 'play_duration'"),
        ({"big_matrix": ("0,12,7000,", "0,12,-1,")}, r"big_matrix\.csv, line 3: got '-1'; expected a whole number"),
        ({"big_matrix": ("0,12,7000,", "0,14,7000,")}, r"line 3: got 'video_id 14'; expected a video of item_categories"),
        ({"big_matrix": ("4,13,", "5,13,")}, r"big_matrix\.csv, line 8: got 'user_id 5'; expected a user of user_features"),
        ({"big_matrix": ("watch_ratio\n", "watch_ratio,")}, r"big_matrix\.csv, line 2: got .*; expected 16 fields"),
        ({"big_matrix": ("video_duration", "duration")}, r"big_matrix\.csv, line 1: .* one column each of video_duration"),
        ({"small_matrix": ("20.75", "9e12")}, r"small_matrix\.csv, line 6: got '9"),
        ({"small_matrix": ("0,11,1,6000,,,20.75,0.1\n", "")}, r"got .* 4 views in small_matrix\.csv; expected .* 5 views .* version 2\.0"),
        ({"item_categories": ("13,[]\n", "")}, r"got 3 videos.*expected 4 videos"),
        ({"item_categories": ("13,[]", "12,[]")}, r"item_categories\.csv, line 5: got 'video_id 12'; expected an id that occurs once"),
        ({"item_categories": ('"[27, 9]"', "dogs")}, r"item_categories\.csv, line 3: got 'dogs'; expected tags as numbers"),
        ({"user_features": ("4,UNKNOWN", "1,UNKNOWN")}, r"user_features\.csv, line 4: got 'user_id 1'; expected an id that occurs once"),
        ({"user_features": (",63,", ",lots,")}, r"user_features\.csv, line 3: got 'lots'; expected a number"),
        ({"kuairec_caption_category": ("video_id", "video")}, r"captions of 0 of 4 videos"),
    ],
)
def test_damage_to_kuairec_is_told(tmp_path: Path, changes: dict[str, tuple[str, str]], message: str) -> None:
    with pytest.raises(DataCorrupt, match=message) as told:
        kuairec.parse(write(tmp_path, KUAIREC, **changes), KUAIREC_COUNTS)
    assert str(told.value).count("zenodo") == 1  # and what to do


# ---- KuaiRand

LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,duration_ms,"
    "profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
)
FIRST = LOG + (
    "1,30,20220408,900,5000,1,0,0,0,0,0,1,11500,10000,0,0,0,0,1\n"
    "0,31,20220408,900,9000,0,0,0,0,0,0,0,250,4000,0,0,0,0,1\n"
    "1,31,20220408,900,1000,0,1,0,0,0,0,0,4000,4000,0,0,0,0,1\n"  # liked without is_click
)
SECOND = LOG + (
    "1,30,20220422,900,1805001,1,0,0,1,1,0,1,20000,10000,0,0,0,0,1\n"  # 1,800,001 ms later: a new session, and met before
    "1,30,20220422,900,1805001,1,0,0,1,1,0,1,20000,10000,0,0,0,0,1\n"  # a repeated row
)
LAST_DRAWN = "1,32,20220422,900,98000,0,0,0,0,0,0,0,0,0,0,0,0,1,1\n"
RANDOM = LOG + "0,30,20220422,900,99000,1,0,0,0,0,0,1,9000,10000,0,0,0,1,1\n" + LAST_DRAWN
VIDEOS = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,music_id,music_type,tag\n"
    '30,1,NORMAL,2020-07-08,ShortImport,1,10000,720,1280,5,4,"12,65"\n31,2,NORMAL,2022-01-01,Web,1,4000,720,1280,5,4,12\n32,3,AD,,Web,1,,,,,,\n'
)
TINY = kuairand.Release(name="pure", users=2, standard=5, random=2)
KUAIRAND = dict(zip(TINY.files, (FIRST, SECOND, RANDOM, PEOPLE.replace("4,UNKNOWN,1,0,0,0,0,0,0,0,0,,,1\n", ""), VIDEOS), strict=True))


class TestKuaiRand(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return kuairand.parse(write(tmp_path, KUAIRAND), TINY)


def test_kuairand_is_read_to_the_last_value(tmp_path: Path) -> None:
    data = kuairand.parse(write(tmp_path, KUAIRAND), TINY)
    assert data.name == "kuairand-pure"
    log = data.interactions
    assert log.indptr.tolist() == [0, 0, 3]
    assert log.items.tolist() == [1, 0, 0]
    assert log.times.tolist() == [1, 5, 1805]
    catalog = data.catalog
    assert catalog.titles.tolist() == ["video 30", "video 31", "video 32"]
    assert catalog.years.tolist() == [2020, 2022, 0]
    assert catalog.durations.tolist() == [10, 4, 7]  # the median where no log has it
    assert [catalog.genres_of(i) for i in range(3)] == [("tag 12", "tag 65"), ("tag 12",), ("(no genre)",)]
    assert shown(data) == {
        "users": [0, 1, 1, 1, 1],
        "slates": [1, 1, 0, 0, 0],
        "clicked": [False, True, True, True, True],
        "liked": [False, True, False, False, False],
        "commented": [False, False, False, True, True],
        "shared": [False, False, False, True, True],
        "watch": [0, 4, 11.5, 20, 20],
        "met": [0, 0, 0, 1, 2],
        "left": [True, False, True, False, True],
        "sessions": [0, 1, 1, 2, 2],
        "times": [9, 1, 5, 1805, 1805],
    }
    assert triples(data.random_ratings) == [(0, 0, 1), (1, 2, 0)]
    assert data.random_ratings.times.tolist() == [99, 98]
    assert (data.rating_scale, data.like_threshold) == ((0.0, 1.0), 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_standard_4_08_to_4_21_pure": ("5000,1,0", "5000,2,0")}, r"4_21_pure\.csv, line 2: got '2'; expected .* 'is_click'"),
        ({"log_standard_4_22_to_5_08_pure": ("1,30,", "1,33,")}, r"line 2: got 'video_id 33'; expected a video of video_features_basic"),
        ({"log_random_4_22_to_5_08_pure": ("0,30,", "9,30,")}, r"line 2: got 'user_id 9'; expected a user of user_features"),
        ({"log_random_4_22_to_5_08_pure": (LAST_DRAWN, "")}, "got .* 1 of log_random; expected .* 2 of log_random"),
        ({"video_features_basic_pure": ('"12,65"', "12;65")}, r"line 2: got '12;65'; expected tags"),
    ],
)
def test_damage_to_kuairand_is_told(tmp_path: Path, changes: dict[str, tuple[str, str]], message: str) -> None:
    with pytest.raises(DataCorrupt, match=message):
        kuairand.parse(write(tmp_path, KUAIRAND, **changes), TINY)


def test_kuairand_tells_its_versions_by_their_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "a/KuaiRand-Pure/data", KUAIRAND)
    assert kuairand._locate(str(tmp_path / "a")) == (kuairand.PURE, folder)
    with pytest.raises(DataCorrupt, match="27,285 users"):
        kuairand.load(data_dir=str(tmp_path / "a"))
    write(tmp_path / "a/KuaiRand-1K/data", dict.fromkeys(kuairand.THOUSAND.files, "x"))
    with pytest.raises(DataMissing, match="holds two versions"):
        kuairand.load(data_dir=str(tmp_path / "a"))
    write(tmp_path / "b", dict.fromkeys(kuairand.THOUSAND.files[1:], "x"))
    with pytest.raises(DataMissing, match=r"has no log_standard_4_08_to_4_21_1k\.csv; expected"):
        kuairand.load(data_dir=str(tmp_path / "b"))


# ---- Open Bandit

SHOWN = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3,user-item_affinity_0\n"
)
ITEMS = ",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3\n0,0,-0.5,p,q,r\n1,1,0.25,p,s,r\n"
LEARNT = "0,2019-11-24 00:00:00+00:00,1,1,0,0.9,a,x,m,k,0.0\n"
BANDIT_COUNTS = {"random/all": (3,), "random/men": (2,), "bts/all": (1, 9)}
BANDIT = {
    "random/all/all.csv": SHOWN
    + "0,2019-11-24 00:00:02.5+00:00,1,3,1,0.5,b,x,m,k,0.0\n"
    + "1,2019-11-24 00:00:01+00:00,0,1,0,0.5,a,x,m,k,0.0\n"
    + "2,2019-11-24 00:00:03+00:00,0,2,1,0.5,a,x,m,k,0.0\n",
    "random/all/item_context.csv": ITEMS,
    "random/men/men.csv": SHOWN
    + "0,2019-11-24 00:00:00+00:00,4,2,1,0.5,a,x,m,k,0.0\n"
    + "1,2019-11-24 09:00:00+09:00,4,1,0,0.5,b,x,m,,0.0\n",
    "random/men/item_context.csv": ITEMS.replace("0,0,", "0,4,").replace("p,s,r", "p,s,"),
    "bts/all/all.csv": SHOWN + LEARNT,
    "bts/all/item_context.csv": ITEMS,
}


class TestOpenBandit(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return open_bandit.parse(write(tmp_path, BANDIT), BANDIT_COUNTS)


def test_open_bandit_is_read_to_the_last_value(tmp_path: Path) -> None:
    data = open_bandit.parse(write(tmp_path, BANDIT), BANDIT_COUNTS)
    assert data.catalog.ids.tolist() == ["all/0", "all/1", "men/4", "men/1"]
    assert data.catalog.genres_of(0) == ("feature 1: 1", "feature 2: 1", "feature 3: 1")
    assert data.catalog.genres_of(3) == ("feature 1: 1", "feature 2: 2")
    assert data.users.ids.tolist() == ["1-1-1-1", "2-1-1-0", "2-1-1-1"]  # ranks of a, b; x; m; "", k
    assert data.users.feature_names == ("user_feature_0=a", "user_feature_0=b", "user_feature_1=x", "user_feature_2=m", "user_feature_3=k")
    assert data.users.features.tolist() == [[1, 0, 1, 1, 1], [0, 1, 1, 1, 0], [0, 1, 1, 1, 1]]
    day = 1574553600
    log = data.interactions
    assert (log.indptr.tolist(), log.items.tolist(), log.times.tolist()) == ([0, 2, 2, 3], [2, 0, 1], [day, day + 3, day + 2])
    assert shown(data) == {
        "users": [2, 0, 0, 0, 1, 0],
        "slates": [1, 0, 0, 2, 2, 1],
        "clicked": [True, False, True, True, False, False],
        "first_slot": [2, 0, 1, 1, 0, 0],
        "times": [day + 2, day + 1, day + 3, day, day, day],
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("random/all/all.csv", "+00:00,0,1", ",0,1", r"line 3: got '2019-11-24 00:00:01'; expected a time in ISO 8601 with a zone"),
        ("random/all/all.csv", ",1,3,1,0.5", ",1,4,1,0.5", r"line 2: got '4'; expected a whole number of 1 to 3 in column 'position'"),
        ("random/all/all.csv", ",1,3,1,0.5", ",1,3,1,0.0", r"all\.csv, line 2: got 'propensity_score 0.0'; expected a probability above 0"),
        ("random/all/all.csv", ",1,3,1,0.5", ",2,3,1,0.5", r"all\.csv, line 2: got 'item_id 2'; expected an item of item_context\.csv"),
        ("bts/all/all.csv", LEARNT, 2 * LEARNT, r"all\.csv: got 2 rows; expected 1 or 9"),
        ("bts/all/item_context.csv", "p,s,r", "p,q,r", r"bts/all/item_context\.csv and .*random/all/item_context\.csv differ"),
        ("bts/all/item_context.csv", "1,1,", "1,0,", r"item_context\.csv, line 3: got 'item_id 0'; expected an id that occurs once"),
    ],
)
def test_damage_to_open_bandit_is_told(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    assert old in BANDIT[name]
    with pytest.raises(DataCorrupt, match=message):
        open_bandit.parse(write(tmp_path, BANDIT | {name: BANDIT[name].replace(old, new, 1)}), BANDIT_COUNTS)


def test_open_bandit_by_policy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected some of random, bts"):
        open_bandit.load(data_dir=str(tmp_path), policies=["greedy"])
    write(tmp_path / "obd", {file: text for file, text in BANDIT.items() if file.startswith("random")})
    with pytest.raises(DataMissing, match=r"has no random/women/women\.csv, random/women/item_context\.csv; expected"):
        open_bandit.load(data_dir=str(tmp_path), policies=["random"])


# ---- Coat


def flags(width: int, *ones: int) -> str:
    return " ".join("1" if i in ones else "0" for i in range(width)) + "\n"


COAT = {
    "train.ascii": "0 5 1\n3 0 0\n",
    "test.ascii": "0 4 0\n0 0 2\n",
    "user_item_features/user_features.ascii": flags(14, 0, 3, 8, 12) + flags(14, 1, 7, 10, 13),
    "user_item_features/item_features.ascii": flags(33, 0, 2, 18, 31) + flags(33, 1, 17, 30, 32) + flags(33, 1, 2, 19, 31),
}
COAT_COUNTS = coat.Counts(2, 3, 3, 2)


class TestCoat(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return coat.parse(write(tmp_path, COAT), COAT_COUNTS)


def test_coat_is_read_to_the_last_value(tmp_path: Path) -> None:
    data = coat.parse(write(tmp_path, COAT), COAT_COUNTS)
    assert sorted(triples(data.interactions)) == [(0, 1, 5), (0, 2, 1), (1, 0, 3)]
    assert triples(data.random_ratings) == [(0, 1, 4), (1, 2, 2)]
    assert data.users.descriptions.tolist() == [
        "man, 30-40, rural, not interested in fashion",
        "woman, under 20, urban, very interested in fashion",
    ]
    assert data.catalog.titles.tolist() == [
        "coat 0 (for men, bomber, beige)",
        "coat 1 (for women, waterproof, red)",
        "coat 2 (for women, bomber, black)",
    ]
    assert data.catalog.genres_of(0) == ("beige", "bomber", "for men")
    assert data.explicit
    assert data.impressions is None
    assert sum(map(len, coat.USER_FEATURES.values())) == 14
    assert sum(map(len, coat.ITEM_FEATURES.values())) == 33


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ("3 0 0", "3 0")}, r"train\.ascii, line 2: got '2 numbers'; expected 3 ratings, 0 to 5"),
        ({"train": ("0 5 1", "0 6 1")}, r"train\.ascii, line 1: got '6'; expected 3 ratings, 0 to 5"),
        ({"test": ("0 4 0\n", "")}, r"got .* 1 in test\.ascii, 1 users in test\.ascii.*expected .* 2 in test\.ascii"),
        ({"train": ("5", "0")}, r"got .*2 ratings in train\.ascii .*expected .*3 ratings"),
        ({"item_features": ("1", "2")}, r"item_features\.ascii, line 1: got '2'; expected 33 features, 0 or 1"),
        ({"user_features": (flags(14, 0, 3, 8, 12), "")}, r"2 users in test\.ascii, 1 in user_features\.ascii; expected 2 users"),
    ],
)
def test_damage_to_coat_is_told(tmp_path: Path, changes: dict[str, tuple[str, str]], message: str) -> None:
    with pytest.raises(DataCorrupt, match=message):
        coat.parse(write(tmp_path, COAT, **changes), COAT_COUNTS)


# ---- Yahoo! R3

YAHOO = dict(zip(yahoo_r3.FILES, ("2\t3\t5\n1\t1\t1\n2\t1\t4\n", "1\t2\t2\r\n3\t3\t1"), strict=True))
YAHOO_COUNTS = yahoo_r3.Counts(3, 3, 3, 2)


class TestYahooR3(DatasetTests):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return yahoo_r3.parse(write(tmp_path, YAHOO), YAHOO_COUNTS)


def test_yahoo_r3_is_read_to_the_last_value(tmp_path: Path) -> None:
    data = yahoo_r3.parse(write(tmp_path, YAHOO), YAHOO_COUNTS)
    assert sorted(triples(data.interactions)) == [(0, 0, 1), (1, 0, 4), (1, 2, 5)]
    assert triples(data.random_ratings) == [(0, 1, 2), (2, 2, 1)]
    assert data.users.ids.tolist() == data.catalog.ids.tolist() == ["1", "2", "3"]
    assert data.catalog.titles[2] == "song 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2\t3\t5\n1 1 1\n2\t1\t4\n", r"train\.txt, line 2: got '1 1 1'; expected user, song and rating in digits, separated by tabs"),
        ("2\t3\t5\n1\t1\t6\n2\t1\t4\n", r"train\.txt, line 2: got 'rating 6'; expected a rating of 1 to 5"),
        ("2\t3\t5\n1\t1\t1\n4\t1\t4\n", r"train\.txt, line 3: got 'user 4'; expected a user of 1 to 3"),
        ("2\t0\t5\n1\t1\t1\n2\t1\t4\n", r"train\.txt, line 1: got 'song 0'; expected a song of 1 to 3"),
        ("2\t3\t5\n1\t1\t1\n", r"train\.txt: got 2 ratings; expected 3"),
        ("", r"train\.txt is empty"),
    ],
)
def test_damage_to_yahoo_r3_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataCorrupt, match=message):
        yahoo_r3.parse(write(tmp_path, YAHOO | {yahoo_r3.FILES[0]: text}), YAHOO_COUNTS)


def test_matrices_have_no_order_in_time(tmp_path: Path) -> None:
    """What is held out would else be the last columns. 40 users rated all of 10 items: 80 held out, 16 of them of the last two."""
    features = {file: text * 40 if "user" in file else text for file, text in COAT.items() if "features" in file}
    features["user_item_features/user_features.ascii"] = flags(14, 0, 3, 8, 12) * 40
    features["user_item_features/item_features.ascii"] = flags(33, 0, 2, 18, 31) * 10
    matrix = {"train.ascii": "1 2 3 4 5 1 2 3 4 5\n" * 40, "test.ascii": "0 0 0 0 0 0 0 0 0 1\n" * 40}
    coats = coat.parse(write(tmp_path / "coat", features | matrix), coat.Counts(40, 10, 400, 40))
    rows = "".join(f"{user}\t{song}\t{(song - 1) % 5 + 1}\n" for user in range(1, 41) for song in range(1, 11))
    drawn = "".join(f"{user}\t1\t1\n" for user in range(1, 41))
    songs = yahoo_r3.parse(write(tmp_path / "r3", dict(zip(yahoo_r3.FILES, (rows, drawn), strict=True))), yahoo_r3.Counts(40, 10, 400, 40))
    for data in (coats, songs):
        items = data.interactions.items.reshape(40, 10)
        assert (np.sort(items) == np.arange(10)).all()
        assert (data.interactions.ratings.reshape(40, 10) == items % 5 + 1).all()
        assert 5 < (items[:, 8:] >= 8).sum() < 30


# ---- all of them

SAMPLES: dict[str, tuple[dict[str, str], Callable[[Path], Dataset]]] = {
    "kuairec": (KUAIREC, lambda folder: kuairec.parse(folder, KUAIREC_COUNTS)),
    "kuairand": (KUAIRAND, lambda folder: kuairand.parse(folder, TINY)),
    "open-bandit": (BANDIT, lambda folder: open_bandit.parse(folder, BANDIT_COUNTS)),
    "coat": (COAT, lambda folder: coat.parse(folder, COAT_COUNTS)),
    "yahoo-r3": (YAHOO, lambda folder: yahoo_r3.parse(folder, YAHOO_COUNTS)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_cache_keeps_all_of_it(name: str, tmp_path: Path) -> None:
    before = SAMPLES[name][1](write(tmp_path, SAMPLES[name][0]))
    after = unpack(pack(before))
    packed = [{key: (array.dtype, array.tobytes()) for key, array in pack(dataset).items()} for dataset in (before, after)]
    assert packed[0] == packed[1]
    for part in ("impressions", "random_ratings"):
        mine, yours = getattr(before, part), getattr(after, part)
        assert (mine is None) == (yours is None)
        if mine is not None:
            for field in fields(mine):
                was, now = getattr(mine, field.name), getattr(yours, field.name)
                assert (was is None) == (now is None), field.name
                assert was is None or np.array_equal(was, now)


@pytest.mark.parametrize("name", SAMPLES)
def test_any_byte_that_changes_is_read_or_refused_in_words(name: str, tmp_path: Path) -> None:
    files, parse = SAMPLES[name]
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        write(tmp_path, files)
        path = tmp_path / list(files)[rng.integers(len(files))]
        data = bytearray(path.read_bytes())
        place = rng.integers(len(data))
        data[place : place + rng.integers(1, 3)] = bytes(rng.choice(list(b'\0\n\r",-.09ex\xc3\xff'), rng.integers(0, 3)).tolist())
        path.write_bytes(bytes(data))
        try:
            assert len(parse(tmp_path).users)
        except DataCorrupt as error:
            refused += 1
            assert str(path.parent) in str(error)
            assert "expected" in str(error)
    assert refused


def test_caches_from_before_there_were_impressions_stay_readable(tmp_path: Path) -> None:
    packed = pack(kuairand.parse(write(tmp_path, KUAIRAND), TINY))
    old = {key: array for key, array in packed.items() if not key.startswith(("impressions", "random_ratings"))}
    assert len(old) < len(packed)
    dataset = unpack(old)
    assert dataset.impressions is None
    assert dataset.random_ratings is None
    assert len(dataset.interactions) == 3


@pytest.mark.parametrize("name", SAMPLES)
def test_without_a_local_copy_the_address_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)
    load: Loader = DATASETS[name]
    with pytest.raises(DataMissing, match=r"got neither data_dir nor RECOWORLD_DATA; expected .*https://"):
        load()
    with pytest.raises(DataMissing, match="does not exist"):
        load(data_dir=str(tmp_path / "none"))
    with pytest.raises(DataMissing, match=r"has no .*; expected .*https://"):
        load(data_dir=str(tmp_path))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_not_taken_for_the_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, _ = SAMPLES[name]
    write(tmp_path, files)
    monkeypatch.setenv("RECOWORLD_DATA", str(tmp_path))
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path / "cache"))
    with pytest.raises((DataCorrupt, DataMissing), match="expected"):
        DATASETS[name]()
    assert not (tmp_path / "cache").exists()


def test_what_was_loaded_once_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(yahoo_r3, "PUBLISHED", YAHOO_COUNTS)
    write(tmp_path / "yahoo-r3", YAHOO)
    first = yahoo_r3.load(data_dir=str(tmp_path))
    monkeypatch.setattr(yahoo_r3, "parse", None)
    again = yahoo_r3.load(data_dir=str(tmp_path))
    assert triples(again.random_ratings) == triples(first.random_ratings)


@pytest.mark.parametrize("place", ["", "data", "KuaiRec 2.0/data", "kuairec", "kuairec/KuaiRec 2.0/data"])
def test_an_archive_is_found_as_it_unpacks(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RECOWORLD_DATA", str(tmp_path))
    monkeypatch.setattr(kuairec, "PUBLISHED", KUAIREC_COUNTS)
    write(tmp_path / place, KUAIREC)
    assert kuairec.load().catalog.titles[1] == "Cover"
    (tmp_path / place / "kuairec_caption_category.csv").unlink()
    assert kuairec.load().catalog.titles[1] == "video 11"  # another set of files, another entry of the cache


def test_missing_files_are_listed_once(tmp_path: Path) -> None:
    for there in ([], ["test.ascii"]):
        write(tmp_path, {name: "0\n" for name in there})
        with pytest.raises(DataMissing) as told:
            coat.load(data_dir=str(tmp_path))
        assert str(told.value).count("item_features.ascii") == 1
        assert str(told.value).count("train.ascii,") == 1


def test_check_and_describe_show_what_was_shown_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kuairand, "PURE", TINY)
    write(tmp_path, KUAIRAND)
    for command in ("check", "describe"):
        result = CliRunner().invoke(app, [command, "kuairand", "--data-dir", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert "5 slates of 1, 4 clicks (80.00% of items shown), 3 sessions" in result.output
        assert "2 of 2 users, mean 0.50" in result.output


# ---- the pieces


def test_sessions_end_with_a_gap_or_a_user() -> None:
    users = np.array([0, 0, 0, 1, 1, 1, 2], np.int32)
    times = np.array([0, feeds.GAP, 2 * feeds.GAP + 1, feeds.UNTIMED, feeds.UNTIMED, 5, 5], np.int64)
    numbers, left = feeds.into_sessions(users, times)
    assert numbers.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert left.tolist() == [False, True, True, False, False, True, True]


def test_how_often_an_item_was_met() -> None:
    users, items = np.array([0, 0, 1, 0, 0, 1], np.int32), np.array([7, 8, 7, 7, 7, 7], np.int32)
    assert feeds.met_before(users, items).tolist() == [0, 0, 0, 1, 2, 1]
    often = feeds.met_before(np.zeros(300, np.int32), np.zeros(300, np.int32))
    assert often.tolist() == [*range(256), *[255] * 44]


def test_repeated_rows_count_once() -> None:
    users, items = np.array([1, 0, 1, 1, 1], np.int32), np.array([3, 3, 3, 2, 3], np.int32)
    assert feeds.distinct(users, items, np.array([5, 5, 5, 5, 6])).tolist() == [1, 3, 0, 4]


def test_rows_are_named_far_down_a_large_file(tmp_path: Path) -> None:
    rows = [f"{i},{i % 2}\n" for i in range(300_000)]
    rows[250_000] = "250000,x\n"
    path = tmp_path / "large.csv"
    path.write_text("a,b\n" + "".join(rows))
    with pytest.raises(DataCorrupt, match=r"large\.csv, line 250002: got 'x'; expected a whole number of 0 to 1 in column 'b'; do so"):
        read_columns(path, {"a": ID, "b": FLAG}, "do so")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has no rows below its header"),
        (b"\xff\xfea\n1\n", r"line 1: .*expected a header in UTF-8"),
        (b"a,a\n1,2\n", r"line 1: .*one column each of a"),
        (b"a,b\n1,\xff\n", r"line 2: got .*; expected text in column 'b'"),
        (b"a,b\n1,x\n\n2,y\n", r"line 3: got ''; expected a whole number"),
        (b"a,b\n99999999999,x\n", r"line 2: got '99999999999'; expected a whole number"),
        (b"a,b\n67108864,x\n", r"line 2: got '67108864'; expected a whole number of 0 to 67108863"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    with pytest.raises(DataCorrupt, match=message):
        read_columns(path, {"a": ID, "b": Column(kind="words")}, "do so")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.csv", None)
    with pytest.raises(MissingExtra, match=r"recoworld\[parquet\]"):
        kuairec.parse(write(tmp_path, KUAIREC), KUAIREC_COUNTS)

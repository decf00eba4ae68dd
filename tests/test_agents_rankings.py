"""Rankings in words, and what they are worth: read, averaged, rewarded."""

from __future__ import annotations

import numpy as np
import pytest

from recoworld.errors import ConfigError
from recoworld.llm.asking import Unreadable
from recoworld.llm.grammar import mismatch
from recoworld.policies.agents.llmrank import mean_order
from recoworld.policies.agents.replies import Ranking, ranking_schema, read_ranking
from recoworld.policies.agents.reward import rank_of, ranking_reward


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('{"thought":"t","ranking":[3,1,2]}', (2, 0, 1)),
        ('well: {"ranking":[3,3,9,0,-1,2.5,"1",true,null,2]} so', (2, 1)),
        ('{"ranking":[{"item":2,"why":"fun"},{"item":2,"why":"again"},{"why":"?"},{"item":4}]}', (1, 3)),
    ],
)
def test_what_a_ranking_says(text: str, places: tuple[int, ...]) -> None:
    assert read_ranking(text, 4, 4).places == places


NO_RANKING = ["", "[1,2]", '{"ranking":[]}', '{"ranking":"1"}', '{"ranking":[9]}', '{"order":[1]}', "{" * 5000, "{" + "1" * 200_000 + "}"]


@pytest.mark.parametrize("text", NO_RANKING, ids=range(len(NO_RANKING)))
def test_what_is_no_ranking(text: str) -> None:
    with pytest.raises(Unreadable):
        read_ranking(text, 2, 4)


def test_reasons_stand_beside_their_items() -> None:
    found = read_ranking('{"thought":"a\\nb","ranking":[{"item":2,"why":"fun"},{"item":1,"why":3}]}', 2, 2)
    assert found == Ranking(thought="a b", places=(1, 0), whys=("fun", ""), bent=False)


def test_the_mean_of_two_rankings() -> None:
    """Candidate b is first and second, a is second and third, c third and first, by two lists in different orders."""
    lists = np.array([[0, 1, 2], [2, 0, 1]])
    one = Ranking(thought="", places=(1, 0, 2), whys=("",) * 3, bent=False)  # b a c
    two = Ranking(thought="", places=(0, 2, 1), whys=("",) * 3, bent=False)  # c b a
    assert mean_order([one, two], lists).tolist() == [1, 2, 0]  # ranks 0+1, 1+2, 2+0
    assert mean_order([one, None], lists).tolist() == [1, 0, 2]
    assert mean_order([None, None], lists).tolist() == [0, 1, 2]
    some = Ranking(thought="", places=(2,), whys=("",), bent=True)
    assert mean_order([some], lists[:1]).tolist() == [2, 0, 1]


def test_the_reward_of_a_rank() -> None:
    ranks = np.array([[1, 2, 5, 6], [10, 11, 20, 21], [100, 0, 3, 8]])
    np.testing.assert_array_equal(ranking_reward(ranks), [[1, 0.5, 0.5, 0], [0, -0.5, -0.5, -1], [-1, -1, 0.5, 0]])
    assert ranking_reward(ranks).dtype == np.float32
    np.testing.assert_array_equal(rank_of(np.array([[5, 6, 7], [5, 6, 7]]), np.array([7, 1])), [3, 0])
    for wrong in (-1, 1.5):
        with pytest.raises(ConfigError, match="expected integers"):
            ranking_reward(wrong)


def test_every_schema_is_one_that_all_engines_hold() -> None:
    for reasons in (False, True):
        assert mismatch(ranking_schema(3, 20, reasons=reasons), {}), "an error of the schema itself would be raised"

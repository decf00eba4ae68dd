"""What speaks against a simulator: one function a suspicion, judged on the sections of the report alone, each with its threshold.

A suspicion that cannot be judged, for its section is missing or was skipped, says nothing: no finding is no acquittal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recoworld.evaluation.fidelity.asking.sums import Json

YES = 0.9
"""Of what was taken and of what was not: who says yes to more than this share of both says yes to everything."""
KIND = 0.3
"""Stars of the mean above people's from which on ratings are too kind. Language-model users lie 0.8 above."""
LOW_RATINGS = 0.5
"""Of people's share of 1 and 2 stars: who gives less than half as many hardly gives any."""
KS = 0.2
"""Kolmogorov-Smirnov distance from which on ratings are no person's: that of rating everything by its mean is 0.22 on MovieLens-1M."""
VARIETY = 0.2
"""Of people's unlikeness (`excess_relative_to_human`): below, the crowd is one person."""
POSITION = 0.25
"""Of the differences within a slate: who lets the slot decide more than this reads places, not items."""
TITLES = 0.5
"""Of its lead over a blind guess: who loses more than this when titles are masked lives on having read about them."""
KINDS = ("random", "popularity_matched", "same_genre")


def at(found: Json, path: str) -> Any:
    """What lies under keys parted by "/", a number for a place in a list; None where nothing does."""
    here: Any = found
    for key in path.split("/"):
        if isinstance(here, list):
            here = here[int(key)] if int(key) < len(here) else None
        else:
            here = here.get(key) if isinstance(here, dict) else None
    return here


def value(found: Any, path: str) -> float | None:
    """The number of a figure, or a bare number; None where there is none."""
    entry = at(found, path)
    entry = entry.get("value") if isinstance(entry, dict) else entry
    return float(entry) if isinstance(entry, int | float) else None


def bounds(found: Any, path: str) -> tuple[float, float] | None:
    """Both ends of a figure's interval, or the number twice if it has none."""
    number, entry = value(found, path), at(found, path)
    if number is None:
        return None
    if not isinstance(entry, dict) or entry.get("low") is None:
        return number, number
    return entry["low"], entry["high"]


def above(found: Json, one: str, other: str) -> bool | None:
    """Whether the whole interval of one figure lies above the other's; None where one is missing."""
    mine, theirs = bounds(found, one), bounds(found, other)
    return None if mine is None or theirs is None else mine[0] > theirs[1]


def at_chance(sections: Json) -> str | None:
    """On no kind of negatives is its NDCG@10 above a blind guess's: intervals overlap, or it lies below."""
    better = [above(sections, f"choice/{kind}/ndcg@10", f"choice/{kind}/ndcg@10/uniform") for kind in KINDS]
    if all(answer is None for answer in better) or any(better):
        return None
    return "Its choices are those of a blind guess: it does not tell what a person took from what it never met."


def no_better_than_popularity(sections: Json) -> str | None:
    """Among items as popular as the one taken, its NDCG@10 is not above popularity's and a blind guess's intervals."""
    figure = "choice/popularity_matched/ndcg@10"
    if False not in (above(sections, figure, f"{figure}/popularity"), above(sections, figure, f"{figure}/uniform")):
        return None
    return "Among items of the same popularity it is not seen to choose better than popularity does: it may know the crowd, not the person."


def copies_popularity(sections: Json) -> str | None:
    """NDCG@10 within popularity's interval and above chance among random items, not above popularity's among equally popular ones."""
    whole, matched = "choice/random/ndcg@10", "choice/popularity_matched/ndcg@10"
    figure, popular = value(sections, whole), bounds(sections, f"{whole}/popularity")
    if figure is None or popular is None or not popular[0] <= figure <= popular[1]:
        return None
    if not above(sections, whole, f"{whole}/uniform") or above(sections, matched, f"{matched}/popularity") is not False:
        return None
    return "It copies popularity: as good as popularity among random items, and no better where all are equally popular."


def always_yes(sections: Json) -> str | None:
    """It says yes to more than `YES` of what was taken and, one by one, of what was not (at 1:1)."""
    recall, precision = (value(sections, f"alignment/1:1/as_it_acts/{name}") for name in ("recall", "precision"))
    if recall is None or not precision:
        return None
    false = recall * (1 - precision) / precision  # of as many as were taken
    if min(recall, false) <= YES:
        return None
    return f"It says yes to everything: to {recall:.0%} of what people took, and to {false:.0%} of what they never met."


def one_person(sections: Json) -> str | None:
    """Across moods its users are surely less unlike than people, and as alike as copies of one, or less than `VARIETY` as unlike."""
    apart = above(sections, "diversity/across_moods", "diversity/across_moods/one_person")
    excess = "diversity/across_moods/excess_relative_to_human"
    share, interval = value(sections, excess), bounds(sections, excess)
    if apart is None or share is None or interval is None or interval[1] >= 1 or (apart and share >= VARIETY):
        return None
    return f"Its users are one and the same person: they are {max(share, 0):.0%} as unlike each other as people are."


def odd_ratings(sections: Json) -> str | None:
    """The distribution of its ratings is farther than `KS` from people's."""
    distance = value(sections, "ratings/ks")
    if distance is None or distance <= KS:
        return None
    return f"Its ratings are spread as no crowd's are: KS distance {distance:.2f} (threshold {KS})."


def too_kind(sections: Json) -> str | None:
    """Its mean rating is more than `KIND` stars above people's."""
    mean, human = value(sections, "ratings/mean"), value(sections, "ratings/mean/human")
    if mean is None or human is None or mean - human <= KIND:
        return None
    return f"Its ratings are too kind: {mean:.2f} stars on average, where people give {human:.2f}."


def never_displeased(sections: Json) -> str | None:
    """It gives less than `LOW_RATINGS` as many ratings of 1 and 2 as people do."""
    low, human = value(sections, "ratings/share_1_2"), value(sections, "ratings/share_1_2/human")
    if low is None or not human or low >= LOW_RATINGS * human:
        return None
    return f"It is hardly ever displeased: {low:.1%} of its ratings are 1 or 2 stars, where {human:.1%} of people's are."


def pleased_by_anything(sections: Json) -> str | None:
    """A session's value does not fall from good slates to random ones: the slope over doses is not below 0."""
    slope = bounds(sections, "counterfactual/slope")
    if slope is None or slope[1] < 0:
        return None
    return "It is as pleased by random slates as by good ones: the value of a session does not fall with the dose of random items."


def foretells_nothing(sections: Json) -> str | None:
    """The AUC of satisfaction for a leave or an instruction at the next turn is not above 1/2."""
    auc = bounds(sections, "mindset/foretells/either/level")
    if auc is None or auc[0] > 0.5:
        return None
    return "Its satisfaction foretells nothing: who is dissatisfied is no likelier to leave or to speak up at the next turn."


def position_decides(sections: Json) -> str | None:
    """More than `POSITION` of the variance of its answers within a slate comes from the slot, sure at 95 %."""
    bias = bounds(sections, "consistency/position/bias")
    if bias is None or bias[0] <= POSITION:
        return None
    much = value(sections, "consistency/position/bias")
    return f"Position decides: {much:.0%} of the differences within a slate come from the slot in which an item stands."


def forgets_itself(sections: Json) -> str | None:
    """Asked the same again, its answers are no more like its own than like another user's: intervals overlap, or they lie below."""
    retest = "consistency/retest/correlation"
    if above(sections, retest, f"{retest}/another_person") is not False:
        return None
    return "Asked again, its users answer no more like themselves than like each other."


def knows_the_answers(sections: Json) -> str | None:
    """Anything held out is in what it was given."""
    leakage, rates = ("held_out_known", "later_known", "popularity_beyond", "training_users_asked"), ("impressions_clicks_known",)
    places = [*(f"leakage/checks/{name}" for name in leakage), *(f"rates/checks/{name}" for name in rates)]
    known = {path.rpartition("/")[2]: count for path in places if (count := value(sections, path))}
    if not known:
        return None
    told = ", ".join(f"{name} {count:,.0f}" for name, count in known.items())
    return f"It was given what it is asked about ({told}): none of its figures mean anything."


def lives_on_titles(sections: Json) -> str | None:
    """Without titles, people and descriptions it loses more than `TITLES` of its lead over a blind guess."""
    whole, masked, blind = (value(sections, f"leakage/ndcg@10/{name}") for name in ("as_it_is", "masked", "as_it_is/uniform"))
    fall = bounds(sections, "leakage/ndcg@10/masked/difference")
    if whole is None or masked is None or blind is None or fall is None or fall[1] >= 0 or whole - masked <= TITLES * (whole - blind):
        return None
    return "It lives on titles: with masked ones most of its skill is gone, so that it may have read this very data set."


SUSPICIONS: tuple[Callable[[Json], str | None], ...] = (
    at_chance,
    no_better_than_popularity,
    copies_popularity,
    always_yes,
    one_person,
    odd_ratings,
    too_kind,
    never_displeased,
    pleased_by_anything,
    foretells_nothing,
    position_decides,
    forgets_itself,
    knows_the_answers,
    lives_on_titles,
)


def suspicions(sections: Json) -> list[str]:
    """The sentences of all that are founded."""
    return [said for suspicion in SUSPICIONS if (said := suspicion(sections)) is not None]

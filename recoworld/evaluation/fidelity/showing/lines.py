"""The rows of the report's table, and where in the report they are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Better = Literal["more", "less", "people"]

HEADINGS = {
    "choice": "which one was taken?",
    "alignment": "yes or no to each?",
    "ratings": "how many stars?",
    "diversity": "unlike each other?",
    "consistency": "the same again?",
    "counterfactual": "does it fall?",
    "policy_agreement": "same order?",
    "mindset": "does it mean a thing?",
    "rates": "how often is what done?",
    "leakage": "did it know?",
    "dialogues": "read as people do?",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """Where a row is found in the report. Paths are `recoworld.evaluation.fidelity.showing.findings.at`'s, within the section."""

    section: str
    words: str
    path: str
    better: Better = "more"
    form: str = ".3f"
    people: str | None = None
    trivial: dict[str, str | float] = field(default_factory=dict)
    """Name -> path, or the number that it is."""
    best: str | None = None
    by_construction: bool = False
    """Whether a behavioural simulator has it from its equations, or was tuned to it: then it is no merit."""


def _choice(words: str, kind: str, metric: str, *, better: Better = "more", form: str = ".3f", best: bool = True) -> Line:
    path = f"{kind}/{metric}"
    trivial: dict[str, str | float] = {"popularity": f"{path}/popularity"}
    if metric != "ece":  # a blind guess is calibrated: of twenty items each is the one with a chance of 5 %
        trivial["blind"] = f"{path}/uniform"
    return Line(
        section="choice",
        words=words,
        path=path,
        better=better,
        form=form,
        trivial=trivial,
        best=f"{path}/best_recommender" if best else None,
    )


def _alignment(words: str, mix: str, says: str, metric: str) -> Line:
    names = {"popularity": "popularity", "always_yes": "always yes", "always_no": "always no", "coin": "a coin"}
    return Line(
        section="alignment",
        words=words,
        path=f"{mix}/{says}/{metric}",
        form=".0%",
        trivial={words: f"{mix}/{key}/{metric}" for key, words in names.items()},
    )


def _foretells(words: str, event: str) -> Line:
    path = f"foretells/{event}"
    trivial: dict[str, str | float] = {"number of the turn": f"{path}/level/turn", "nothing": 0.5}
    return Line(section="mindset", words=words, path=f"{path}/level", trivial=trivial, by_construction=True)


LINES = (
    _choice("NDCG@10 of 20, at random", "random", "ndcg@10"),
    _choice("... as popular", "popularity_matched", "ndcg@10"),
    _choice("... of its genres", "same_genre", "ndcg@10"),
    _choice("first of 20, as popular", "popularity_matched", "accuracy", form=".0%"),
    _choice("first of 5, as popular", "popularity_matched_5", "accuracy", form=".0%"),
    _choice("log-loss, as popular", "popularity_matched", "log_loss", better="less", best=False),
    _choice("calibration error (ECE)", "popularity_matched", "ece", better="less", best=False),
    _alignment("right at 1:1, tuned cut", "1:1", "tuned", "accuracy"),
    _alignment("right at 1:1, as it acts", "1:1", "as_it_acts", "accuracy"),
    _alignment("right at 1:9, tuned cut", "1:9", "tuned", "accuracy"),
    _alignment("F1 at 1:9, tuned cut", "1:9", "tuned", "f1"),
    Line(
        section="ratings",
        words="error of a rating (RMSE)",
        path="rmse",
        better="less",
        form=".2f",
        trivial={"user's mean": "rmse/user_mean", "item's mean": "rmse/item_mean", "both": "rmse/user_and_item"},
    ),
    Line(
        section="ratings",
        words="distance of crowds (KS)",
        path="ks",
        better="less",
        people="ks/human",
        trivial={"the log's own shares": "ks/global_rates", "item's mean": "ks/item_mean", "uniform": "ks/uniform"},
    ),
    Line(section="ratings", words="mean of the stars", path="mean", better="people", form=".2f", people="mean/human"),
    Line(section="ratings", words="1 and 2 stars", path="share_1_2", better="people", form=".1%", people="share_1_2/human"),
    Line(
        section="diversity",
        words="between / within users",
        path="ratio",
        form=".2f",
        people="ratio/human",
        trivial={"one person": "ratio/one_person", "uniform": "ratio/uniform"},
    ),
    Line(
        section="diversity",
        words="... across moods",
        path="across_moods",
        form=".2f",
        people="across_moods/human",
        trivial={"one person": "across_moods/one_person", "uniform": "across_moods/uniform"},
    ),
    Line(
        section="consistency",
        words="alike if asked again (r)",
        path="retest/correlation",
        form=".2f",
        trivial={"another person": "retest/correlation/another_person"},
    ),
    Line(section="consistency", words="alike in other words (r)", path="paraphrase/correlation", form=".2f", trivial={"nothing": 0.0}),
    Line(
        section="consistency",
        words="slot's part in answers",
        path="position/bias",
        better="less",
        form=".0%",
        trivial={"the slot alone": 1.0},
    ),
    Line(
        section="counterfactual",
        words="value, half random",
        path="doses/2/relative_return",
        better="less",
        form=".0%",
        people="doses/2/relative_return/human",
        trivial={"pleased by anything": 1.0},
    ),
    Line(
        section="counterfactual",
        words="value, all random",
        path="doses/4/relative_return",
        better="less",
        form=".0%",
        people="doses/4/relative_return/human",
        trivial={"pleased by anything": 1.0},
    ),
    Line(
        section="counterfactual",
        words="passed over, of items seen",
        path="no_easy_mode/skipped_of_examined",
        better="people",
        form=".0%",
    ),
    Line(
        section="counterfactual",
        words="frustrated turns",
        path="no_easy_mode/frustrated_turns",
        better="people",
        form=".0%",
        people="no_easy_mode/frustrated_turns/human",
    ),
    Line(
        section="policy_agreement",
        words="Kendall's tau, sessions",
        path="kendall_tau",
        form=".2f",
        trivial={"no agreement": 0.0},
    ),
    Line(
        section="policy_agreement",
        words="... with half of the log",
        path="kendall_tau_half_log",
        form=".2f",
        people="kendall_tau_half_log/human",
        trivial={"no agreement": 0.0},
    ),
    Line(
        section="policy_agreement",
        words="... of personalised ones",
        path="kendall_tau_personalised",
        form=".2f",
        people="kendall_tau_personalised/human",
        trivial={"no agreement": 0.0},
    ),
    Line(
        section="policy_agreement",
        words="Kendall's tau, first slates",
        path="kendall_tau_first_slate",
        form=".2f",
        people="kendall_tau_first_slate/human",
        trivial={"no agreement": 0.0},
    ),
    _foretells("foretells leaving (AUC)", "leave"),
    _foretells("foretells a wish (AUC)", "instruction"),
    Line(
        section="mindset",
        words="leaving: least / most happy",
        path="hazard/lowest_over_highest",
        form=".1f",
        trivial={"nothing": "hazard/lowest_over_highest/nothing"},
        by_construction=True,
    ),
    Line(section="mindset", words="variety of instructions", path="variety/form_entropy", form=".0%", trivial={"one form": 0.0}),
    Line(
        section="mindset",
        words="about what was shown",
        path="grounded/all",
        form=".0%",
        trivial={"dealt at random": "grounded/all/chance"},
        by_construction=True,
    ),
    Line(
        section="mindset",
        words="fit the speaker's taste",
        path="consistent/wanted",
        form=".0%",
        trivial={"dealt at random": "consistent/wanted/chance"},
        by_construction=True,
    ),
    Line(section="mindset", words="words of an instruction", path="words/mean", better="people", form=".1f", people="words/mean/human"),
    Line(section="rates", words="clicks a slot", path="clicked", better="people", form=".1%", people="clicked/human"),
    Line(
        section="rates",
        words="clicks a slot v. QK-video",
        path="simulated/clicked",
        better="people",
        form=".1%",
        people="simulated/clicked/tenrec",
        by_construction=True,
    ),
    Line(
        section="rates",
        words="likes a click v. QK-video",
        path="simulated/liked",
        better="people",
        form=".1%",
        people="simulated/liked/tenrec",
        by_construction=True,
    ),
    Line(
        section="rates",
        words="clicks by slot: error",
        path="clicked/position_error",
        better="less",
        people="clicked/position_error/human",
        trivial={"one rate": "clicked/position_error/global_rate"},
    ),
    Line(section="rates", words="turns of a session", path="turns", better="people", form=".1f", people="turns/human"),
    Line(
        section="rates",
        words="which one is clicked (AUC)",
        path="auc",
        trivial={"popularity": "auc/popularity", "position": "auc/position", "nothing": 0.5},
    ),
    Line(
        section="leakage",
        words="NDCG@10 without titles",
        path="ndcg@10/masked",
        trivial={"blind": "ndcg@10/masked/uniform"},
    ),
    Line(section="leakage", words="held-out pairs it was given", path="checks/held_out_known", better="less", form=".0f"),
    Line(
        section="dialogues",
        words="follows judges (Spearman)",
        path="rows/reader/rho",
        form=".2f",
        people="rows/human/rho",
        trivial={"position": "rows/position/rho", "length": "rows/length/rho"},
    ),
    Line(
        section="dialogues",
        words="dissatisfied or not",
        path="rows/reader/balanced_accuracy",
        form=".0%",
        people="rows/human/balanced_accuracy",
        trivial={"majority": "rows/majority/balanced_accuracy", "position": "rows/position/balanced_accuracy"},
    ),
)

"""As terse, and as often frustrated, as real users? Words per message, of a log and of simulated users alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from recoworld.dialogues import Corpus, verdict
from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.sums import Json, figure
from recoworld.evaluation.fidelity.measures.tracking import DISSATISFIED, RESAMPLES, codes
from recoworld.evaluation.intervals import Doubles, drawn_figures
from recoworld.types import Ints

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def count_words(text: str) -> int:
    """Words of a message: letters and digits in a row, "don't" and "sci-fi" one each; each Chinese or Japanese character counts as one."""
    ideographs = len(_IDEOGRAPH.findall(text))
    return ideographs + len(_WORD.findall(_IDEOGRAPH.sub(" ", text) if ideographs else text))


def terseness(source: Corpus | Sequence[str], *, speakers: Ints | None = None, seed: int = 0) -> Json:
    """How long the user's messages are, and how many of them are dissatisfied.

    | key | is |
    |---|---|
    | messages | their number |
    | words.mean, words.q10 ... words.q90 | words per message; a quantile is the least number that so many messages do not pass |
    | dissatisfied | share of the judged messages of which most judges say 1 or 2 |

    source: A corpus, of which the user's messages count; or sentences, e.g. simulated instructions, which nobody judged.
    speakers: Who said each sentence ``[m]``; None: each somebody else. seed: Of the intervals, which resample dialogues, or speakers.
    Raises ConfigError without a message.
    """
    if isinstance(source, Corpus):
        said = [(i, m) for i, dialogue in enumerate(source.dialogues) for m in dialogue.utterances if m.speaker == "user"]
        cluster = codes(np.array([i for i, _ in said], np.int64))
        words = np.array([count_words(m.text) for _, m in said], np.float64)
        low = np.array([verdict(m.satisfaction) < DISSATISFIED if m.satisfaction else np.nan for _, m in said], np.float64)
    else:
        cluster = np.arange(len(source)) if speakers is None else np.unique(speakers, return_inverse=True)[1].reshape(-1)
        words = np.array([count_words(text) for text in source], np.float64)
        low = np.full(len(source), np.nan)
    if not len(words):
        raise ConfigError("terseness: got no message of a user; expected at least one")
    n = int(cluster.max()) + 1
    order = np.argsort(words, kind="stable")
    judged, dissatisfied = np.isfinite(low), np.nan_to_num(low)

    def statistic(times: Doubles) -> Doubles:
        weights = times[cluster]
        rising = np.cumsum(weights[order])
        at = np.searchsorted(rising, np.array(QUANTILES) * rising[-1] - 1e-9)
        heard = weights[judged].sum()
        share = (weights * dissatisfied).sum() / heard if heard else np.nan
        return np.array([(weights * words).sum() / rising[-1], *words[order][at], share])

    drawn = drawn_figures(statistic, n, resamples=RESAMPLES, seed=seed)
    names = ["mean", *(f"q{round(100 * q)}" for q in QUANTILES)]
    lengths = {name: figure(drawn[:, column]) for column, name in enumerate(names)}
    return {"messages": len(words), "words": lengths, "dissatisfied": figure(drawn[:, -1])}

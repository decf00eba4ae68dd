"""How well a reader's satisfactions follow those that people gave, beside what people and trivial readers reach.

| row | is |
|---|---|
| reader | the reader that is measured |
| human | each judge held against the other judges of the same message: a ceiling, and a low one, for fewer judges stand on the other side |
| majority | the level that occurs most, always |
| always dissatisfied | level 1, always |
| position | how far into the dialogue the message comes |
| length | how many words the user says |

Position and length are brought to levels so that each level occurs as often as people give it, and are read in the direction that fits
the labels better. Both are taken from the labels themselves, which no reader sees: these rows are generous, and a reader has to pass them.

The truth is the mean of the judges' labels for rho and their `verdict` for the other figures, as in USS (Sun et al. 2021), whose binary
F1 counts verdicts of 1 and 2 as dissatisfied. A satisfaction `s` in [0, 1] is the level nearest to ``1 + 4 s``, the upper of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recoworld.dialogues import Corpus, Dialogue, DialogueReader, prefixes, verdict
from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.sums import Json, figure
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.terseness import count_words, terseness
from recoworld.evaluation.fidelity.measures.tracking import AGREEMENT, LEVELS, RESAMPLES, agreement, codes, spearman, spearman_codes
from recoworld.evaluation.intervals import Doubles, drawn_figures
from recoworld.types import Ints

__all__ = ["FIGURES", "asks", "measure", "terseness", "tracked"]


FIGURES = ("rho", *AGREEMENT)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cases:
    """Guesses beside the truth, `n` of them."""

    score: Doubles
    """What is ranked ``[n]``."""
    level: Ints
    """The guess as a level, 1 to 5 ``[n]``."""
    mean: Doubles
    """The judges' mean ``[n]``."""
    verdict: Ints
    cluster: Ints
    """Whose dialogue each is ``[n]``, numbered without gaps."""

    def figures(self, *, resamples: int, seed: int) -> Json:
        """`FIGURES`, each with an interval that resamples dialogues."""
        if not len(self.score):
            return {name: figure(np.full(1, np.nan)) for name in FIGURES}
        score, mean, n = codes(self.score), codes(self.mean), int(self.cluster.max()) + 1

        def statistic(times: Doubles) -> Doubles:
            weights = times[self.cluster]
            return np.array([spearman_codes(score, mean, weights), *agreement(self.level, self.verdict, weights)])

        drawn = drawn_figures(statistic, n, resamples=resamples, seed=seed)
        return {name: figure(drawn[:, column]) for column, name in enumerate(FIGURES)}


def asks(witness: Witness) -> int:
    """Judged messages that `measure` lets a simulator read."""
    reads = witness.corpus is not None and isinstance(witness.simulator, DialogueReader)
    return sum(len(dialogue.judged) for dialogue in witness.corpus.dialogues) if reads and witness.corpus else 0


def measure(witness: Witness) -> Json:
    """`tracked` for the witness's corpus; ``{"skipped": why}`` without one, and for simulators that do not read."""
    reader = witness.simulator
    if witness.corpus is None:
        return {"skipped": "no dialogues were given"}
    if not isinstance(reader, DialogueReader):
        return {"skipped": f"{witness.name!r} reads no dialogues: it has no method satisfaction(dialogues)"}
    found = tracked(reader, witness.corpus, seed=witness.panel.seed)
    witness.told(asks(witness))
    return found


def tracked(
    reader: DialogueReader,
    corpus: Corpus,
    *,
    most: int | None = None,
    seed: int = 0,
    own_words: bool = True,
    resamples: int = RESAMPLES,
) -> Json:
    """How well a reader's satisfactions follow a corpus's labels: for each row of the module's table its `FIGURES`, ready for JSON.

    Args:
        reader: Handed all `prefixes` at once, without labels.
        corpus: With judged messages.
        most: Read so many dialogues at most, drawn by `seed`; None for all.
        seed: Of the drawing and of the intervals.
        own_words: Whether the reader sees the judged message too. False is USS's own protocol: its judges rated what came before.
        resamples: For the intervals.

    Messages for which the reader has no answer (NaN) are left out of every row, and counted. Raises ConfigError for a corpus without
    judged messages, and for answers that are not one number in [0, 1] a prefix.
    """
    dialogues = _drawn(corpus, most, seed)
    asked = [prefix for dialogue in dialogues for prefix in prefixes(dialogue, own_words=own_words)]
    given = _answers(reader, asked)
    answered = np.isfinite(given)
    places = [(i, at) for i, dialogue in enumerate(dialogues) for at in dialogue.judged]
    messages = [(i, at, dialogues[i].utterances[at]) for (i, at), kept in zip(places, answered.tolist(), strict=True) if kept]
    labels = [said.satisfaction for _, _, said in messages]
    mean = np.array([np.mean(each) for each in labels], np.float64)
    truth = np.array([verdict(each) for each in labels], np.int64)
    cluster = codes(np.array([i for i, _, _ in messages], np.int64))

    def row(score: Doubles, level: Ints) -> Json:
        return _Cases(score=score, level=level, mean=mean, verdict=truth, cluster=cluster).figures(resamples=resamples, seed=seed)

    def cue(values: list[int]) -> Json:
        score = np.array(values, np.float64)
        score = -score if spearman(score, mean) < 0 else score
        return row(score, _levelled(score, truth))

    read = given[answered]
    common = int(np.bincount(truth, minlength=1).argmax()) or 1
    rows = {
        "reader": row(read, np.floor(1 + (LEVELS - 1) * read + 0.5).astype(np.int64)),
        "human": _judges(labels, cluster).figures(resamples=resamples, seed=seed),
        "majority": row(np.zeros(len(truth)), np.full(len(truth), common)),
        "always dissatisfied": row(np.zeros(len(truth)), np.ones(len(truth), np.int64)),
        "position": cue([at for _, at, _ in messages]),
        "length": cue([count_words(said.text) for _, _, said in messages]),
    }
    counts = {"dialogues": len(dialogues), "messages": len(asked), "unanswered": int((~answered).sum())}
    return {"corpus": corpus.name, "seed": seed, "own_words": own_words, **counts, "rows": rows}


def _drawn(corpus: Corpus, most: int | None, seed: int) -> list[Dialogue]:
    judged = [dialogue for dialogue in corpus.dialogues if dialogue.judged]
    if not judged:
        raise ConfigError(f"corpus {corpus.name!r} has no judged message; expected labels of satisfaction, as in 'uss'")
    if most is None or most >= len(judged):
        return judged
    if most < 1:
        raise ConfigError(f"dialogues: most is {most}; expected at least one dialogue")
    chosen = np.random.Generator(np.random.PCG64(seed)).choice(len(judged), size=most, replace=False)
    return [judged[i] for i in sorted(chosen.tolist())]


def _answers(reader: DialogueReader, asked: Sequence[Dialogue]) -> Doubles:
    given = np.asarray(reader.satisfaction(asked), np.float64)
    if given.size != len(asked):
        raise ConfigError(f"reader: got answers of shape {given.shape} for {len(asked)} dialogues; expected one a dialogue")
    given = given.reshape(-1)
    wrong = np.flatnonzero(~np.isnan(given) & ~((given >= 0) & (given <= 1)))
    if len(wrong):
        name, number = asked[int(wrong[0])].name, given[int(wrong[0])]
        raise ConfigError(f"reader: satisfaction with dialogue {name!r} is {number}; expected a number in [0, 1], or NaN for none")
    return given


def _levelled(score: Doubles, truth: Ints) -> Ints:
    """Scores ``[n]`` as levels, lowest first, so that each level occurs as often as in `truth`; equal scores get one level."""
    ordered = codes(score)
    held = np.bincount(ordered)
    share = ((np.cumsum(held) - held / 2) / max(len(score), 1))[ordered]
    ends = np.cumsum(np.bincount(truth, minlength=LEVELS + 1)[1:LEVELS]) / max(len(score), 1)
    return 1 + (share[:, None] > ends).sum(axis=1)


def _judges(labels: Sequence[tuple[int, ...]], cluster: Ints) -> _Cases:
    """Each judge of each message against the others of that message."""
    cases = [(own, each[:k] + each[k + 1 :], i) for i, each in enumerate(labels) if len(each) > 1 for k, own in enumerate(each)]
    own = np.array([case[0] for case in cases], np.int64)
    return _Cases(
        score=own.astype(np.float64),
        level=own,
        mean=np.array([np.mean(others) for _, others, _ in cases], np.float64),
        verdict=np.array([verdict(others) for _, others, _ in cases], np.int64),
        cluster=codes(cluster[np.array([i for _, _, i in cases], np.int64)]),
    )

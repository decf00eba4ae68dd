"""Consistency: does the same person answer the same question alike, whatever the order, the wording and the day?

Each user sees one slate of ten, of which it took one later. `retest` asks again in another mood and with other luck; `order` shows the
slate in another order; `paraphrase` asks the simulator built anew of a catalogue that says the same in other words
(`recoworld.evaluation.fidelity.asking.rewritten`); `variants` asks simulators that differ in their prompts alone (`Worded`). Each has

| key | is |
|---|---|
| correlation | of the answers within slates: each slate's mean taken off |
| correlation_all | of the answers of all slates, how ready a person is to take anything counted in |
| change | mean absolute change of an item's chance |
| same_pick | how often the item with the highest chance is the same |

An answer is the log-odds of an item being taken; of simulators without `chances`, whether it was clicked, and then `agreement` is how
often both times said the same, beside *chance* (what the rates alone would give). *another_person*: somebody else answering the same
questions. *uniform*: a pick at random.

**Position bias** is the share of the variance within slates that the slot explains, judged by how the same item fares in two slots, less
what chance alone would seem to explain: 1 for who always takes the first, about 0 for who never minds.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from recoworld.evaluation.fidelity.asking.questions import Questions, choices
from recoworld.evaluation.fidelity.asking.rewritten import panel_of, paraphrased
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure, means, moments, pearson, statistic
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.types import Chooser, Floats, Ints, UserSimulator

SLATE = 10
_AGAIN = 1  # salt: another mood, other luck


@runtime_checkable
class Worded(Protocol):
    """A simulator that can be asked in several wordings."""

    def variants(self) -> dict[str, UserSimulator]:
        """The same people under other prompts, by name."""
        ...


def asks(witness: Witness) -> int:
    """User-slates that `measure` takes at most."""
    rounds = 4 + (witness.build is not None)
    if isinstance(witness.simulator, Worded):
        rounds += len(witness.simulator.variants())
    return rounds * len(witness.panel.users)


def measure(witness: Witness) -> Json:
    """See the module's docstring; ``{"skipped": why}`` in the place of what cannot be had."""
    panel = witness.panel
    asked = choices(panel, "random", size=min(SLATE, len(panel.known.catalog)), most=1)
    rng = np.random.Generator(np.random.PCG64([panel.seed, 11]))
    first = _asked(witness, asked)
    order = np.argsort(rng.random(asked.items.shape), axis=1)
    back = np.argsort(order, axis=1)
    moved = witness.chances(asked.users, np.take_along_axis(asked.items, order, axis=1), moods=1)
    moved = np.take_along_axis(moved, back, axis=1)  # item by item again
    others = np.roll(asked.users, 1)  # each question put to the one before
    compared = _Pairs(witness, asked.users, rng)
    found: Json = {"questions": len(asked.users), "shown": asked.items.shape[1]}
    found["retest"] = compared.figures(first, _asked(witness, asked, salt=_AGAIN))
    stranger = compared.figures(first, witness.chances(others, asked.items, moods=1))
    for key, figures in found["retest"].items():
        figures["another_person"] = {bound: stranger[key][bound] for bound in ("value", "low", "high")}
    found["order"] = compared.figures(first, moved)
    found["position"] = position(compared, back, first, moved)
    found["paraphrase"] = _paraphrase(witness, asked, first, compared)
    found["variants"] = _variants(witness, asked, first, compared)
    return found


def _asked(witness: Witness, asked: Questions, *, salt: int = 0) -> Floats:
    return witness.chances(asked.users, asked.items, moods=1, salt=salt)


def _paraphrase(witness: Witness, asked: Questions, first: Floats, compared: _Pairs) -> Json:
    if witness.build is None:
        return {"skipped": f"nobody knows how to build {witness.name!r} of another catalogue"}
    known = paraphrased(witness.panel.known)
    other = witness.beside("paraphrased", witness.build(known, witness.panel.split), panel_of(witness.panel, known))
    return compared.figures(first, _asked(other, asked))


def _variants(witness: Witness, asked: Questions, first: Floats, compared: _Pairs) -> Json:
    if not isinstance(witness.simulator, Worded):
        return {"skipped": f"{witness.name!r} has one wording: it has no method variants()"}
    each = {name: witness.beside(f"worded {name}", simulator) for name, simulator in witness.simulator.variants().items()}
    return {name: compared.figures(first, _asked(other, asked)) for name, other in each.items()}


class _Pairs:
    """Two answers to the same questions, held against each other."""

    def __init__(self, witness: Witness, users: Ints, rng: np.random.Generator) -> None:
        self.users, self.seed, self.rng = users, witness.panel.seed, rng
        self.chooses = isinstance(witness.simulator, Chooser)

    def answers(self, chances: Floats) -> Doubles:
        """Log-odds, or 1 for clicked and 0 for not ``[m, c]``."""
        if not self.chooses:
            return (chances > 0.5).astype(np.float64)
        p = np.clip(chances.astype(np.float64), 1e-6, 1 - 1e-6)
        return np.asarray(np.log(p / (1 - p)))

    def figures(self, one: Floats, two: Floats) -> Json:
        """See the module's docstring."""
        x, y = self.answers(one), self.answers(two)
        inner = moments(x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)).sum(axis=1)
        n, shown = one.shape
        same = self.picks(one) == self.picks(two)
        found = {
            "correlation": statistic(pearson, inner, self.users, seed=self.seed),
            "correlation_all": statistic(pearson, moments(x, y).sum(axis=1), self.users, seed=self.seed),
            **means({"change": np.abs(one.astype(np.float64) - two).mean(axis=1), "same_pick": same}, self.users, seed=self.seed),
        }
        found["same_pick"] |= {"uniform": {"value": 1 / shown}}
        if not self.chooses:
            alike = (x * y + (1 - x) * (1 - y)).mean(axis=1)
            sums = drawn_sums(np.stack([np.ones(n), alike, x.mean(axis=1), y.mean(axis=1)], axis=1), self.users, seed=self.seed)
            _, both, a, b = (sums / sums[:, :1]).T
            found["agreement"] = figure(both) | {"chance": figure(a * b + (1 - a) * (1 - b))}
        return found

    def picks(self, chances: Floats) -> Ints:
        """The slot with the highest chance ``[m]``, ties broken at random."""
        best = chances == chances.max(axis=1, keepdims=True)
        return np.asarray((best * (1 + self.rng.random(chances.shape))).argmax(axis=1))


def slot_effects(order: Ints, values: Doubles, again: Doubles, users: Ints, seed: int) -> tuple[Doubles, Doubles]:
    """What each slot adds to the value of an item in it, over resamples of users ``[1 + resamples, c]``; the effects sum to 0.

    values: of the items in slots 0, 1, ... ``[m, c]``; again: of the same items when item i stood in slot ``order[:, i]``. Least squares on
    the differences, so that what the items are worth plays no part. Also returns by how much noise alone raises the mean of the squared
    effects ``[1 + resamples]``: once on the sample, twice on a resample, which adds its own.
    """
    m, c = order.shape
    design, apart = np.eye(c)[None] - np.eye(c)[order], values - again  # [m, c items, c slots] and [m, c]
    apart -= apart.mean(axis=1, keepdims=True)  # a slate's mean is nothing that slots could explain
    squares, products = design.transpose(0, 2, 1) @ design, np.einsum("mij,mi->mj", design, apart)
    columns = [squares.reshape(m, c * c), products, np.square(apart).sum(axis=1, keepdims=True)]
    normal, right, whole = np.split(drawn_sums(np.concatenate(columns, axis=1), users, seed=seed), [c * c, c * c + c], axis=1)
    level = m / c  # of all solutions the one that sums to 0
    inverse = np.linalg.inv(normal.reshape(-1, c, c) + level + 1e-9 * np.eye(c)) - 1 / (level * c * c)
    effects = (inverse @ right[:, :, None])[:, :, 0]
    rest = np.maximum(whole[:, 0] - (effects * right).sum(axis=1), 0) / max(m * (c - 1) - (c - 1), 1)
    raised = np.trace(inverse, axis1=1, axis2=2) * rest / c
    return effects, raised * np.where(np.arange(len(raised)) > 0, 2, 1)


def position(compared: _Pairs, order: Ints, first: Floats, moved: Floats) -> Json:
    """What the slot does to the answers: first ``[m, c]``, and to the same items in the same order of items, moved to the slots `order`.

    `bias` see the module's docstring. `correlation`: of the answers with the slot's number, negative where the first ones are favoured.
    `by_slot`: the chance of the same item in each slot, and the share of top picks.
    """
    users, seed, (m, c) = compared.users, compared.seed, order.shape
    answers = np.stack([compared.answers(chances) for chances in (first, moved)])
    centred = answers - answers.mean(axis=2, keepdims=True)
    picks = np.stack([compared.picks(chances)[:, None] == np.arange(c) for chances in (first, moved)]).astype(np.float64)
    effects, noise = slot_effects(order, answers[0], answers[1], users, seed)
    both = np.stack([np.square(centred).mean(axis=(0, 2)), (first + moved).mean(axis=1) / 2, np.ones(m)], axis=1)
    variance, chance, n = drawn_sums(both, users, seed=seed).T
    total = np.where(variance > 1e-12 * n, variance / n, np.nan)
    slots = (np.arange(c) - (c - 1) / 2) / np.arange(c).std()
    by_slot = {
        "chance": slot_effects(order, first.astype(np.float64), moved.astype(np.float64), users, seed)[0] + (chance / n)[:, None],
        "picked": slot_effects(order, picks[0], picks[1], users, seed)[0] + 1 / c,
    }
    return {
        "bias": figure((np.square(effects).mean(axis=1) - noise) / total) | {"nothing": {"value": 0.0}},
        "correlation": figure((effects * slots).mean(axis=1) / np.sqrt(total)) | {"nothing": {"value": 0.0}},
        "by_slot": [{"slot": j} | {name: figure(values[:, j]) for name, values in by_slot.items()} for j in range(c)],
    }

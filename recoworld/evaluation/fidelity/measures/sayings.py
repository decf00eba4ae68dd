"""Instructions under scrutiny: are they varied, do they speak of what was shown, do they fit the speaker's taste?

**Grounded** is an instruction that speaks of what is there: too much of a genre or an era, which the slate just shown must hold; a title or
a person that was clicked in it; fewer well-known items where at least half are well known, more where fewer than half are.
**Consistent** is a wish for a genre that is more common in the speaker's visible log than in the crowd's, and an aversion to one that is
less common.

*chance* is the same instructions dealt to other speakers at random: the mean over all of them, which is what infinitely many permutations
of the instructions come to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure, plain_figure, ratio, statistic
from recoworld.evaluation.fidelity.measures.transcripts import Transcript, form_name
from recoworld.instructions import FORMS, WELL_KNOWN
from recoworld.types import Aspect, Bools, Ints, Kind
from recoworld.users import Dataset

WANTED = (Kind.MORE, Kind.ONLY, Kind.SURPRISE)
UNWANTED = (Kind.LESS, Kind.AVOID, Kind.DIFFERENT)


def variety(said: Transcript, catalog: Catalog, seed: int) -> Json:
    """Shares and entropies; an entropy is divided by its largest possible value, so that 1 is even use of all that could be said.

    Of what instructions are about (aspect and value) that is the logarithm of their number, or of the number of things to speak of where
    there are fewer.
    """
    n = len(said.users)
    forms, form = np.unique(said.kind.astype(np.int64) * len(Aspect) + said.aspect, return_inverse=True)
    topic = np.unique(said.aspect.astype(np.int64) << 32 | said.value.astype(np.int64) & 0xFFFFFFFF, return_inverse=True)[1]
    texts = len(set(said.text.tolist()))
    things = len(catalog.genre_names) + len(catalog.eras) + 2 + len(catalog.people_names) + len(catalog)
    most, which = max(len(FORMS), len(forms)), int(forms[np.bincount(form).argmax()])
    common = statistic(lambda s: s.max(axis=1) / s.sum(axis=1), _one_hot(form), said.users, seed=seed)
    return {
        "instructions": n,
        "speakers": len(np.unique(said.users)),
        "distinct_sentences": plain_figure(texts / n) | {"one_sentence": {"value": 1 / n}},
        "form_entropy": _entropy(form, most, said.users, seed) | {"one_form": {"value": 0.0}},
        "about_entropy": _entropy(topic, min(n, things), said.users, seed) | {"one_thing": {"value": 0.0}},
        "most_common_form": common | {"form": form_name(*divmod(which, len(Aspect))), "uniform": {"value": 1 / most}},
        "forms": {form_name(*divmod(int(f), len(Aspect))): int(c) for f, c in zip(forms, np.bincount(form), strict=True)},
    }


def _one_hot(codes: Ints) -> Doubles:
    return np.eye(int(codes.max()) + 1)[codes]


def _entropy(codes: Ints, most: int, users: Ints, seed: int) -> Json:
    def share(sums: Doubles) -> Doubles:
        p = sums / sums.sum(axis=1, keepdims=True)
        return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1) / np.log(most) if most > 1 else np.full(len(p), np.nan)

    return statistic(share, _one_hot(codes), users, seed=seed)


def grounded(said: Transcript, catalog: Catalog, seed: int) -> Json:
    """By aspect, and of all instructions that speak of what was shown."""
    fits = {
        "genre": _fits_genre(said, catalog),
        "era": _fits_era(said, catalog),
        "title": _fits_click(said, said.slates[:, :, None], Aspect.TITLE),
        "person": _fits_click(said, catalog.people[said.slates], Aspect.PERSON),
        "popularity": _fits_popularity(said, catalog),
    }
    apart = said.users[:, None] != said.users[None, :]
    columns = []
    found: Json = {}
    for name, (rows, fit) in fits.items():
        if not rows.size:
            continue
        dealt = (fit & apart[rows]).sum(axis=1) / np.maximum(apart[rows].sum(axis=1), 1)
        columns.append(np.stack([fit[np.arange(len(rows)), rows], np.where(apart[rows].any(axis=1), dealt, np.nan), rows], axis=1))
        found[name] = _beside_chance(columns[-1][:, 0], columns[-1][:, 1], said.users[rows], seed)
    if not columns:
        return {"skipped": "no instruction speaks of what was shown"}
    everything = np.concatenate(columns)
    return {"all": _beside_chance(everything[:, 0], everything[:, 1], said.users[everything[:, 2].astype(np.int64)], seed)} | found


def _beside_chance(own: Doubles, dealt: Doubles, users: Ints, seed: int) -> Json:
    """Shares ``[m]`` of the instructions' own speakers, of others, and their paired difference."""
    good = np.isfinite(dealt)  # not where one user alone has spoken
    sums = drawn_sums(np.stack([own, np.ones(len(own)), np.where(good, dealt, 0), own * good, good], axis=1), users, seed=seed)
    value, chance = ratio(sums[:, 0], sums[:, 1]), ratio(sums[:, 2], sums[:, 4])
    difference = ratio(sums[:, 3] - sums[:, 2], sums[:, 4])
    return {"instructions": len(own)} | figure(value) | {"chance": figure(chance), "difference": figure(difference)}


def _about(said: Transcript, aspect: Aspect, kinds: tuple[Kind, ...]) -> Ints:
    return np.flatnonzero((said.aspect == aspect) & np.isin(said.kind, kinds))


# Each of these gives the instructions in question, as rows of `said` [m], and whether each fits what each speaker saw [m, r].


def _fits_genre(said: Transcript, catalog: Catalog) -> tuple[Ints, Bools]:
    rows = _about(said, Aspect.GENRE, UNWANTED)
    shown = np.asarray(catalog.genres[said.slates].any(axis=1))
    return rows, shown[:, said.value[rows]].T


def _fits_era(said: Transcript, catalog: Catalog) -> tuple[Ints, Bools]:
    rows = _about(said, Aspect.ERA, UNWANTED)
    shown = catalog.decades[said.slates]
    return rows, _each(rows, lambda row: (shown == said.value[row]).any(axis=1), len(shown))


def _fits_click(said: Transcript, names: NDArray[np.int64] | NDArray[np.int32], aspect: Aspect) -> tuple[Ints, Bools]:
    """names: what each slot goes by ``[r, k, p]``."""
    rows = _about(said, aspect, WANTED + UNWANTED)
    clicked = np.where(said.clicked[:, :, None], names, -1).reshape(len(names), names.shape[1] * names.shape[2])
    return rows, _each(rows, lambda row: (clicked == said.value[row]).any(axis=1), len(names))


def _fits_popularity(said: Transcript, catalog: Catalog) -> tuple[Ints, Bools]:
    rows = _about(said, Aspect.POPULARITY, WANTED + UNWANTED)
    many = (catalog.popularity_rank[said.slates] >= WELL_KNOWN).mean(axis=1) >= 0.5
    for_more = np.isin(said.kind[rows], WANTED) == (said.value[rows] > 0)  # well-known items
    return rows, for_more[:, None] != many


def _each(rows: Ints, fits: Callable[[int], Bools], width: int) -> Bools:
    return np.array([fits(row) for row in rows.tolist()], np.bool_).reshape(len(rows), width)


def consistent(said: Transcript, people: Ints, known: Dataset, seed: int) -> Json:
    """Wishes and aversions beside taste: shares that fit, and the gap between wanted and unwanted genres in share of the visible log.

    people: whom instructions are dealt to ``[p]``, ascending: all who played, whether they spoke or not.
    """
    lift = lifts(known, people)
    rows = {"wanted": _about(said, Aspect.GENRE, (Kind.MORE, Kind.ONLY)), "unwanted": _about(said, Aspect.GENRE, (Kind.AVOID, Kind.LESS))}
    found: Json = {}
    columns = []
    for name, which in rows.items():
        own, dealt = _dealt(lift, np.searchsorted(people, said.users[which]), said.value[which])
        sign = lift > 0 if name == "wanted" else lift < 0
        if which.size:
            fits = _dealt(sign.astype(np.float64), np.searchsorted(people, said.users[which]), said.value[which])
            found[name] = _beside_chance(*fits, said.users[which], seed)
        side = np.stack([own, dealt, np.ones(len(which))], axis=1)
        nothing = np.zeros_like(side)
        columns.append(np.concatenate([side, nothing] if name == "wanted" else [nothing, side], axis=1))
    if not found:
        return {"skipped": "no instruction speaks of a genre that is wanted or not"}
    if len(found) == 2:
        owners = said.users[np.concatenate(list(rows.values()))]
        sums = drawn_sums(np.concatenate(columns), owners, seed=seed)
        gap, chance = (ratio(sums[:, i], sums[:, 2]) - ratio(sums[:, 3 + i], sums[:, 5]) for i in (0, 1))
        found["gap"] = figure(gap) | {"chance": figure(chance), "difference": figure(gap - chance)}
    return found


def lifts(known: Dataset, people: Ints) -> Doubles:
    """Share of each genre in the visible logs of these people less its share in the crowd's ``[p, n_genres]``; 0 without a log."""
    log, genres = known.interactions, known.catalog.genres.astype(np.float64)
    starts, ends = log.indptr[people], log.indptr[people + 1]
    counts = np.zeros((len(people), genres.shape[1]))
    np.add.at(counts, np.repeat(np.arange(len(people)), ends - starts), genres[log.items[log.rows(starts, ends)]])
    crowd = np.bincount(log.items, minlength=len(genres)) @ genres / max(len(log), 1)
    length = (ends - starts)[:, None]
    return np.where(length > 0, counts / np.maximum(length, 1) - crowd, 0.0)


def _dealt(table: Doubles, owner: Ints, column: NDArray[np.int32]) -> tuple[Doubles, Doubles]:
    """Of a table ``[p, c]``, the owner's cell in each column, and the mean of the others' ``[m]`` each."""
    own = table[owner, column]
    others = len(table) - 1
    return own, (table.sum(axis=0)[column] - own) / others if others else np.full(len(own), np.nan)

"""Which items have these words: an inverted index in NumPy, and Okapi BM25 over it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import NO_GENRE, Catalog

_QUERY = 64  # words of a query that are read
Numbers = NDArray[np.float64]


class Postings:
    """For each word of some documents, which of them have it, and how often."""

    def __init__(self, documents: Sequence[Iterable[str]], *, distinct: bool = False) -> None:
        """documents: the words of each; distinct: a word counts once a document."""
        found: dict[str, list[tuple[int, int]]] = {}
        self.lengths = np.zeros(len(documents))
        """Words of each document ``[n]``."""
        for document, words in enumerate(documents):
            for word, times in Counter(words).items():
                found.setdefault(word, []).append((document, 1 if distinct else times))
                self.lengths[document] += 1 if distinct else times
        self._rows = {word: np.array(rows, np.int64) for word, rows in found.items()}

    def __getitem__(self, word: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The documents that have a word, ascending, and how often; empty arrays for a word that none has."""
        rows = self._rows.get(word)
        return (rows[:, 0], rows[:, 1]) if rows is not None else (_NONE, _NONE)

    def counts(self, words: Iterable[str]) -> Numbers:
        """How many of these words each document has ``[n]``."""
        out = np.zeros(len(self.lengths))
        for word in words:
            out[self[word][0]] += 1
        return out


class BM25:
    """Okapi BM25 (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond").

    score = sum over the query's words of idf * tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length))

    with idf = ln(1 + (n - df + 1/2) / (df + 1/2)), which is never negative.
    """

    def __init__(self, documents: Sequence[Iterable[str]], *, k1: float = 1.2, b: float = 0.75) -> None:
        """k1: how soon a repeated word counts no more. b: how much longer documents are held back."""
        self.postings, self.k1, self.b = Postings(documents), k1, b
        lengths = self.postings.lengths
        self._norm = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1e-9))

    def scores(self, query: Iterable[str]) -> Numbers:
        """How well each document answers the query, 0 where it has none of its words ``[n]``."""
        n = len(self._norm)
        out = np.zeros(n)
        for word in list(query)[:_QUERY]:
            rows, times = self.postings[word]
            if rows.size:
                idf = np.log1p((n - rows.size + 0.5) / (rows.size + 0.5))
                out[rows] += idf * times * (self.k1 + 1) / (times + self._norm[rows])
        return out


def words_of(text: str) -> list[str]:
    """Its words in lower case, without accents; a plural's last s is left out, and so are the commonest words."""
    folded = unicodedata.normalize("NFKD", text[:2000].casefold()).replace("'", "").replace("’", "")
    found = re.findall(r"\w+", "".join(c for c in folded if not unicodedata.combining(c)))
    return [_singular(word) for word in found if word not in _COMMON]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def document_of(catalog: Catalog, item: int) -> list[str]:
    """The words of an item: its title twice, genres, people, year, decade and description."""
    genres = " ".join(name for name in catalog.genres_of(item) if name != NO_GENRE)
    year, title = int(catalog.years[item]), str(catalog.titles[item])
    when = f"{year} {year // 10 * 10}s" if year else ""
    return words_of(" ".join([title, title, genres, *catalog.people_of(item), when, str(catalog.texts[item])]))


_NONE = np.zeros(0, np.int64)
_COMMON = frozenset(("a", "an", "and", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the", "this", "to", "with"))

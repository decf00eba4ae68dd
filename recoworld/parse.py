"""From a sentence in somebody's own words to the structure of an instruction, by a few simple rules; the way back of
`recoworld.instructions.sentence`.

A sentence is about a title, a person, a genre or a decade that it names (the subject), or about how well known items are; a few
turns of phrase tell what it wants of it. "more comedy, less drama" asks two things: the first is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from recoworld.catalog import NO_GENRE, Catalog
from recoworld.instructions import FORMS
from recoworld.types import Aspect, Instruction, Kind

_SUBJECT = "§"  # what stands for the subject in the rules
_LONGEST = 400  # characters that are read
_MARKS = r'[,.;:!?]+\s(?=(?:[^"]*"[^"]*")*[^"]*$)'  # what parts clauses, outside of quotes
_Rules = tuple[tuple[Kind, str], ...]  # the first that is found holds
_KINDS: _Rules = (
    (
        Kind.AVOID,
        r"\bno (more )?§|\bstop \w+ (me )?§|don't (watch|like|want|show me)|leave (it|§) out|anything but|\bhate|\bnever\b|without §|not §",
    ),
    (Kind.ONLY, r"\bonly\b|\bjust §|nothing (but|else)|keep it to|has to be|stick to §"),
    (Kind.DIFFERENT, r"different|another take|\btwist\b|branch out|enough §|leave § behind|change from|isn't §|else entirely|instead"),
    (Kind.LESS, r"\bless\b|\bfewer\b|too (much|many)|not this much|go easy|a lot of §|everything here"),
    (Kind.SURPRISE, r"surpris"),
    (Kind.MORE, r"\bmore\b"),
    (Kind.MORE, r""),  # who names something and says nothing else of it wants it
)
_FAME: _Rules = (
    (Kind.MORE, r"better known|(not|never) heard of|obscure for me|(too|less) obscure|people know|everybody watch"),
    (Kind.SURPRISE, r"surpris|\bgems?\b|(less|lesser|little|un)[ -]?known|off the beaten|across|out of ideas|take a chance|obscure"),
    (Kind.LESS, r"blockbuster|mainstream|everybody has|know (all|most) of|(fewer|less|not so|too) (\w+ ){0,3}(famous|popular|known|hits)"),
    (Kind.MORE, r"well[ -]known|famous|popular|\bhits\b|classics"),
)
_FAMOUS = {Kind.MORE: 1, Kind.LESS: 1, Kind.SURPRISE: 0}
_NEAREST = {  # what cannot be said, and what comes closest
    Aspect.GENRE: {Kind.SURPRISE: Kind.MORE},
    Aspect.ERA: {Kind.AVOID: Kind.LESS, Kind.DIFFERENT: Kind.LESS, Kind.SURPRISE: Kind.MORE},
    Aspect.TITLE: {Kind.AVOID: Kind.DIFFERENT, Kind.LESS: Kind.DIFFERENT, Kind.ONLY: Kind.MORE, Kind.SURPRISE: Kind.DIFFERENT},
    Aspect.PERSON: {Kind.ONLY: Kind.MORE, Kind.SURPRISE: Kind.MORE},
}
_DECADES = {name: 1920 + 10 * i for i, name in enumerate(["twenties", "thirties", "forties", "fifties", "sixties", "seventies"])}
_DECADES |= {"eighties": 1980, "nineties": 1990}
_GENRE_WORDS = {
    "animation": ("animated", "cartoon", "cartoons"),
    "children's": ("children", "kids", "family"),
    "documentary": ("docs",),
    "film-noir": ("noir", "noirs"),
    "romance": ("romantic", "love stories", "love story"),
    "sci-fi": ("science fiction", "scifi"),
    "comedy": ("funny", "something to laugh"),
    "horror": ("scary",),
}


def understood(text: str, catalog: Catalog, shown: Iterable[int] = ()) -> Instruction | None:
    """The instruction of one user (``n = 1``) that a sentence gives, with the sentence in `texts`; None where it is not understood.

    shown: item indices that may be meant by their titles without quotes or "like" before them.
    """
    words = _normal(text[:_LONGEST])
    clauses = [clause for clause in re.split(_MARKS, words) if clause != words]
    found = next((form for form in (_form(clause, catalog, shown, sure=True) for clause in clauses) if form), None)
    found = found or _form(words, catalog, shown, sure=False)
    if found is None:
        return None
    kind, aspect, value = found
    return Instruction(
        kind=np.array([kind], np.int8),
        aspect=np.array([aspect], np.int8),
        value=np.array([value], np.int32),
        phrasing=np.zeros(1, np.uint32),
        texts=np.array([text], dtype=object),
    )


def _form(words: str, catalog: Catalog, shown: Iterable[int], *, sure: bool) -> tuple[Kind, Aspect, int] | None:
    """What a sentence or clause asks for; sure: only where it has both a subject and a turn of phrase."""
    subject = next(_subjects(words, catalog, shown), None)
    if subject is None:
        kind = None if sure else _first(_FAME, words)
        return None if kind is None else (kind, Aspect.POPULARITY, _FAMOUS[kind])
    named, aspect, value = subject
    rest = words.replace(named, _SUBJECT)
    kind = _first(_KINDS[:-1] if sure else _KINDS, rest)
    if kind is None:
        return None
    kind = _NEAREST[aspect].get(kind, kind)
    return (kind, aspect, value) if (kind, aspect) in FORMS else None


def _subjects(words: str, catalog: Catalog, shown: Iterable[int]) -> Iterator[tuple[str, Aspect, int]]:
    """What the words may be about, likeliest first: the very words, aspect, value."""
    titles, people, genres = _names(catalog)
    seen = {_normal(str(catalog.titles[item])): int(item) for item in shown}
    titles = titles | seen
    for quoted in re.findall(r'"([^"]+)"', words):
        if quoted.strip() in titles:
            yield f'"{quoted}"', Aspect.TITLE, titles[quoted.strip()]
    for title in sorted(seen, key=len, reverse=True):
        if len(title) > 3 and title not in genres and _has(words, title):
            yield title, Aspect.TITLE, titles[title]
    for after in re.finditer(r"\b(?:like|liked|loved|enjoyed|of|to)\s+", words):
        spoken = re.split(r"(?<=\w)(?=\W)|$", words[after.end() :])
        for end in range(len(spoken), 0, -1):
            title = "".join(spoken[:end]).strip()
            if title in titles and title not in genres and len(title) > 3:
                yield title, Aspect.TITLE, titles[title]
    yield from ((name, Aspect.PERSON, place) for name, place in people.items() if name in words and _has(words, name))
    yield from ((name, Aspect.GENRE, place) for name, place in genres.items() if name in words and _has(words, name))
    for decade in re.finditer(r"\b((?:18|19|20)\d0)'?s\b|(?<![\w])'?([0-9]0)'?s\b|\b(" + "|".join(_DECADES) + r")\b", words):
        full, short, named = decade.groups()
        value = int(full) if full else _DECADES[named] if named else int(short) + (2000 if int(short) < 30 else 1900)
        if value in catalog.eras:
            yield decade[0], Aspect.ERA, value


@lru_cache(maxsize=8)
def _names(catalog: Catalog) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Titles, people, and genres with their other names, as `_normal` has them -> index; the latter two longest first.

    Of items that share a title the best known is meant.
    """
    titles = {_normal(str(catalog.titles[item])): item for item in np.argsort(catalog.popularity, kind="stable").tolist()}
    people = {_normal(name): place for place, name in sorted(enumerate(catalog.people_names), key=lambda entry: -len(entry[1]))}
    genres: dict[str, int] = {}
    for place, name in enumerate(map(_normal, catalog.genre_names)):
        if name == _normal(NO_GENRE):
            continue
        for word in (name, *_GENRE_WORDS.get(name, ())):
            many = word[:-1] + "ies" if word.endswith("y") else word + "s"
            for form in (word, many, word.replace("-", " "), many.replace("-", " ")):
                genres.setdefault(form, place)
    return titles, people, dict(sorted(genres.items(), key=lambda entry: -len(entry[0])))


def _normal(text: str) -> str:
    """In lower case, with plain quotes and single spaces."""
    return " ".join(text.casefold().translate({0x2019: "'", 0x2018: "'", 0x201C: '"', 0x201D: '"', 0xA7: " "}).split())


def _has(words: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words) is not None


def _first(rules: _Rules, words: str) -> Kind | None:
    return next((kind for kind, pattern in rules if re.search(pattern, words)), None)

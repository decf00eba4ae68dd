"""What a text may be, as a tree: how long it gets, how many there are, a draw, and a regular expression for engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Literal:
    """This text."""

    text: str


@dataclass(frozen=True)
class Chars:
    """One character out of sorted ranges of code points, both ends included."""

    ranges: Ranges


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Choice:
    """One of them."""

    options: tuple[Tree, ...]


@dataclass(frozen=True)
class Repeat:
    """`low` to `high` times the same."""

    part: Tree
    low: int
    high: int


Tree = Literal | Chars | Chain | Choice | Repeat


def longest(tree: Tree) -> int:
    """Characters of the longest text."""
    match tree:
        case Literal(text):
            return len(text)
        case Chars():
            return 1
        case Chain(parts):
            return sum(map(longest, parts))
        case Choice(options):
            return max(map(longest, options))
        case Repeat(part, _, high):
            return high * longest(part)


def count(tree: Tree) -> int:
    """How many texts there are, where no text can be had in two ways; of long repetitions a part."""
    match tree:
        case Literal():
            return 1
        case Chars(ranges):
            return sum(high - low + 1 for low, high in ranges)
        case Chain(parts):
            return _product(map(count, parts))
        case Choice(options):
            return sum(map(count, options))
        case Repeat(part, low, high):
            return sum(count(part) ** times for times in range(low, min(high, low + 16) + 1))


def regex(tree: Tree) -> str:
    """A regular expression that Python's `re.fullmatch` and xgrammar read alike."""
    match tree:
        case Literal(text):
            return "".join(_escaped(c, "\\^$.|?*+()[]{}") for c in text)
        case Chars(ranges):
            return "[" + "".join("-".join(_escaped(chr(end), "\\^-[]") for end in sorted({*pair})) for pair in ranges) + "]"
        case Chain(parts):
            return "".join(map(regex, parts))
        case Choice(options):
            return "(?:" + "|".join(map(regex, options)) + ")"
        case Repeat(part, low, high):
            inner = regex(part) if isinstance(part, Chars) else f"(?:{regex(part)})"
            return inner + (f"{{{low}}}" if low == high else f"{{{low},{high}}}")


def draw(tree: Tree, pick: Callable[[int], int], words: tuple[str, ...] = ()) -> str:
    """A text of the tree; `pick(n)` gives numbers in [0, n). Long runs of characters are made of `words` where they fit."""
    match tree:
        case Literal(text):
            return text
        case Chars(ranges):
            return _nth(ranges, pick(count(tree)))
        case Chain(parts):
            return "".join(draw(part, pick, words) for part in parts)
        case Choice(options):
            sizes = [min(count(option), 1000) for option in options]
            place = pick(sum(sizes))
            for option, size in zip(options, sizes, strict=True):
                if place < size:
                    return draw(option, pick, words)
                place -= size
        case Repeat(part, low, high):
            if isinstance(part, Chars) and high >= 8 and (text := _phrase(part, low, high, pick, words)):
                return text
            return "".join(draw(part, pick, words) for _ in range(low + pick(high - low + 1)))
    raise AssertionError("unreachable")


def _phrase(part: Chars, low: int, high: int, pick: Callable[[int], int], words: tuple[str, ...]) -> str:
    """Some words, between `low` and `high` characters in all; "" where they do not fit."""
    wanted = max(low, 1 + pick(min(high, 60)))
    text = ""
    while words and len(text) < wanted:
        text = f"{text} {words[pick(len(words))]}".lstrip()
    text = text[:high].rstrip()
    return text if len(text) >= low and all(any(a <= ord(c) <= b for a, b in part.ranges) for c in text) else ""


def _nth(ranges: Ranges, place: int) -> str:
    for low, high in ranges:
        if place <= high - low:
            return chr(low + place)
        place -= high - low + 1
    raise IndexError(place)


def _product(numbers: map[int]) -> int:
    out = 1
    for number in numbers:
        out *= number
    return out


def _escaped(c: str, special: str) -> str:
    return f"\\{c}" if c in special else f"\\x{ord(c):02x}" if c < " " or "\x7f" <= c <= "\x9f" else c

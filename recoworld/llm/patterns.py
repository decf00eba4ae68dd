r"""Regular expressions as small trees: those of bounded length that every engine's grammar reads alike.

Read are literals, ``[classes]``, ``.``, ``\d``, ``\w``, ``(groups)``, ``a|b``, ``?``, ``{n}`` and ``{m,n}``. `*` and `+` are refused, for
a small model would fill its whole reply with them.
"""

from __future__ import annotations

from recoworld.errors import ConfigError
from recoworld.llm.trees import Chain, Chars, Choice, Literal, Ranges, Repeat, Tree, longest

MOST = 4096
"""Characters at most that a pattern may match."""
_LAST = 0x10FFFF
_UNSAFE = ((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x9F), (0xD800, 0xDFFF))
"""What JSON would have to escape, what nobody can see, and half characters."""
_CLASSES = {"d": ((48, 57),), "w": ((48, 57), (65, 90), (95, 95), (97, 122))}


def parse(pattern: str) -> Tree:
    """The tree of a pattern ``^...$``; characters that JSON would escape are taken out of its classes. Raises ConfigError."""
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")) or len(pattern) < 2:
        raise ConfigError(f"pattern {pattern!r}: expected ^...$, for engines disagree about patterns without anchors")
    reader = _Reader(pattern)
    tree = reader.choice()
    if reader.at != len(pattern) - 1:
        raise reader.error(f"cannot read {pattern[reader.at]!r}")
    if longest(tree) > MOST:
        raise ConfigError(f"pattern {pattern!r}: may match {longest(tree)} characters; expected {MOST} at most")
    return tree


class _Reader:
    """A pattern between its anchors, read from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at, self.end = pattern, 1, len(pattern) - 1

    def error(self, what: str) -> ConfigError:
        return ConfigError(f"pattern {self.pattern!r}: {what} at character {self.at + 1}; what can be used: recoworld.llm.patterns")

    def next(self) -> str:
        """The character here, "" at the end."""
        return self.pattern[self.at] if self.at < self.end else ""

    def take(self) -> str:
        c = self.next()
        if not c:
            raise self.error("ends too early")
        self.at += 1
        return c

    def choice(self) -> Tree:
        options = [self.chain()]
        while self.next() == "|":
            self.at += 1
            options.append(self.chain())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def chain(self) -> Tree:
        parts: list[Tree] = []
        while self.next() not in ("", "|", ")"):
            parts.append(self.repeated(self.atom()))
        return parts[0] if len(parts) == 1 else Chain(tuple(parts))

    def atom(self) -> Tree:
        c = self.take()
        if c == "(":
            if self.pattern.startswith("?:", self.at):
                self.at += 2
            tree = self.choice()
            if self.take() != ")":
                raise self.error("expected ')'")
            return tree
        if c == "[":
            return self.chars()
        if c == ".":
            return Chars(_without(((0, _LAST),), _UNSAFE))
        if c == "\\":
            c = self.take()
            if c in _CLASSES:
                return Chars(_CLASSES[c])
            if c.isalnum():
                raise self.error(f"cannot read '\\{c}'")
        elif c in "*+?{}^$]":
            raise self.error(f"cannot read {c!r}")
        if not _without(((ord(c), ord(c)),), _UNSAFE):
            raise self.error(f"{c!r} would be escaped in JSON")
        return Literal(c)

    def repeated(self, tree: Tree) -> Tree:
        c = self.next()
        if c and c in "*+":
            raise self.error(f"{c!r} has no upper bound; write {{m,n}}")
        if c == "?":
            self.at += 1
            return Repeat(tree, 0, 1)
        if c != "{":
            return tree
        inside, closed, _ = self.pattern[self.at + 1 : self.end].partition("}")
        low, comma, high = inside.partition(",")
        if not (closed and low.isdecimal() and (high.isdecimal() or not comma)) or (comma and int(high) < int(low)):
            raise self.error(f"expected {{n}} or {{m,n}}, got '{{{inside}{closed}'")
        self.at += len(inside) + 2
        return Repeat(tree, int(low), int(high or low))

    def chars(self) -> Tree:
        negated = self.next() == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        while self.next() != "]":
            c, escaped = self.one()
            if escaped and c in _CLASSES:
                ranges += _CLASSES[c]
            elif self.next() == "-" and self.pattern[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last, _ = self.one()
                if last < c:
                    raise self.error(f"{c}-{last} is no range")
                ranges.append((ord(c), ord(last)))
            else:
                ranges.append((ord(c), ord(c)))
        self.at += 1
        given = tuple(sorted(ranges))
        kept = _without(((0, _LAST),), (*given, *_UNSAFE)) if negated else _without(given, _UNSAFE)
        if not kept:
            raise self.error("a class without any character that JSON holds unescaped")
        return Chars(kept)

    def one(self) -> tuple[str, bool]:
        """A character of a class, and whether a backslash was before it."""
        c = self.take()
        if c != "\\":
            return c, False
        c = self.take()
        if c in "nrt":
            return {"n": "\n", "r": "\r", "t": "\t"}[c], False
        if c in "xu":
            digits = self.pattern[self.at : self.at + (2 if c == "x" else 4)]
            try:
                value = chr(int(digits, 16))
            except ValueError:
                raise self.error(f"cannot read '\\{c}{digits}'") from None
            self.at += len(digits)
            return value, False
        if c.isalnum() and c not in _CLASSES:
            raise self.error(f"cannot read '\\{c}'")
        return c, True


def _without(ranges: Ranges, taken: Ranges) -> Ranges:
    """What is left of the ranges, sorted and joined."""
    left: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if left and low <= left[-1][1] + 1:
            left[-1] = (left[-1][0], max(high, left[-1][1]))
        else:
            left.append((low, high))
    for low, high in taken:
        left = [piece for a, b in left for piece in ((a, min(b, low - 1)), (max(a, high + 1), b)) if piece[0] <= piece[1]]
    return tuple(left)

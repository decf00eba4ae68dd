"""The tools as a chat API wants them described."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recoworld.catalog import NO_GENRE, Catalog
from recoworld.text import clean

Described = dict[str, Any]
MOST = 20
"""Items that a tool lists."""
_GENRES = 40  # named in the schema; of a catalogue with more only some are
_ITEM = {"type": "string", "description": "an id or a title"}


def tool_schemas(catalog: Catalog, rankers: Iterable[str]) -> tuple[Described, ...]:
    """One entry a tool, as OpenAI's ``tools`` has them."""
    genres = [clean(name, 30) for name in catalog.genre_names if name != NO_GENRE]
    genre: Described = {"type": "string", "description": "a genre"} | ({"enum": genres} if 0 < len(genres) <= _GENRES else {})
    named = list(rankers)
    tools = [
        _tool(
            "search",
            "Find items by words of their title, genres, people, year or description.",
            {
                "query": {"type": "string", "description": "a few words"},
                "by": {
                    "type": "string",
                    "enum": ["words", "meaning"],
                    "default": "words",
                    "description": "words: items that have them; meaning: also items that are like those",
                },
                "limit": _count(8),
            },
            ["query"],
        ),
        _tool("similar", "Find items that are like one.", {"item": _ITEM, "limit": _count(8)}, ["item"]),
        _tool("lookup", "All that is known of some items.", {"items": _items(10)}, ["items"]),
        _tool(
            "top",
            "The best known items that the user has not met, of a genre, a decade, or among the little known.",
            {
                "genre": genre,
                "era": {"type": "string", "description": 'a decade such as "1990s"'},
                "popularity": {"type": "string", "enum": ["any", "well known", "little known"], "default": "any"},
                "limit": _count(10),
            },
            [],
        ),
        _tool(
            "user_history",
            "What the user has met, latest first: before this session and in it.",
            {"which": {"type": "string", "enum": ["liked", "disliked", "session", "all"], "default": "all"}, "limit": _count(10)},
            [],
        ),
        _tool(
            "recommend",
            "Show the user a slate, best first: one item for each slot, none twice. This ends your turn; the user's reply comes next.",
            {
                "items": _items(100),
                "message": {"type": "string", "maxLength": 500, "description": "a sentence to the user, if you like"},
            },
            ["items"],
        ),
    ]
    if named:
        ask = {"by": {"type": "string", "enum": named, "default": named[0]}, "items": _items(100), "limit": _count(10)}
        ask["items"] = {**ask["items"], "description": "what to rank: ids or titles; left out: everything that the user has not met"}
        tools.insert(-1, _tool("rank", "The order in which a trained recommender would show items to this user.", ask, []))
    return tuple(tools)


def _tool(name: str, description: str, properties: dict[str, Any], required: list[str]) -> Described:
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _count(default: int) -> Described:
    return {"type": "integer", "minimum": 1, "maximum": MOST, "default": default}


def _items(most: int) -> Described:
    return {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": most, "description": "ids or titles"}

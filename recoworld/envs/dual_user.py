"""The user's seat, taken from outside: its actions as a space, and as the reply that a world takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.instructions import FORMS, compliance
from recoworld.luck import Luck
from recoworld.parse import understood
from recoworld.slates import as_array
from recoworld.types import LEVELS, Aspect, Feedback, History, Instruction, Ints, Kind, Mindset, Slates
from recoworld.users import Dataset, Split
from recoworld.world import World

ACTS = ("not looked at", "passed over", "took", "liked", "commented on", "shared")
"""What a user does with a slot, by the number in an action; from 2 on it took the item, too."""
_TAKEN = 2
_WORDS = 400  # characters of a sentence that are read
Action = Mapping[str, Any]


def user_action_space(world: World) -> spaces.Dict:
    """What a user may do with a slate of `k` slots.

    | key | space | holds |
    |---|---|---|
    | acts | MultiDiscrete 6 ``[k]`` | the strongest act on each slot, a place in `ACTS` |
    | watch | Box 0..1 ``[k]`` | share of the duration watched; counts where the item was taken |
    | leave | Discrete 2 | 1: the user leaves after this slate, and says nothing |
    | form | Discrete | 0: nothing is said; i: an instruction of the form `recoworld.instructions.FORMS` ``[i - 1]`` |
    | value | Discrete | what it is about, see `instruction_of` |
    """
    catalog = world.catalog
    values = max(len(catalog), len(catalog.genre_names), len(catalog.eras), len(catalog.people_names))
    return spaces.Dict(
        {
            "acts": spaces.MultiDiscrete(np.full(world.slate_size, len(ACTS))),
            "watch": spaces.Box(0.0, 1.0, (world.slate_size,), np.float32),
            "leave": spaces.Discrete(2),
            "form": spaces.Discrete(len(FORMS) + 1),
            "value": spaces.Discrete(values),
        }
    )


def instruction_of(form: int, value: int, catalog: Catalog) -> Instruction:
    """The instruction (``n = 1``) of an action; value: a place among the genres, the eras, the people or the items, modulo their number.

    Of popularity it says nothing: more and less are about what is well known, surprise about what is not. Where the catalogue has no eras
    or people, nothing is said.
    """
    if not form:
        return Instruction.none(1)
    kind, aspect = FORMS[form - 1]
    options: dict[Aspect, Any] = {
        Aspect.GENRE: range(len(catalog.genre_names)),
        Aspect.ERA: catalog.eras,
        Aspect.PERSON: range(len(catalog.people_names)),
        Aspect.TITLE: range(len(catalog)),
        Aspect.POPULARITY: (0,) if kind == Kind.SURPRISE else (1,),
    }
    among = options[aspect]
    if not len(among):
        return Instruction.none(1)
    return Instruction(
        kind=np.array([kind], np.int8),
        aspect=np.array([aspect], np.int8),
        value=np.array([among[value % len(among)]], np.int32),
        phrasing=np.zeros(1, np.uint32),
    )


def feedback_of(action: Action, slates: Slates, standing: Instruction, catalog: Catalog) -> Feedback:
    """The reply to one slate ``[1, k]``. Besides the keys of the space an action may have "words": what the user says, in its own words;
    where `form` is 0 they are read by `recoworld.parse`.

    Raises ConfigError for what is no action.
    """
    k = slates.shape[1]
    known = {"acts", "watch", "leave", "form", "value"}
    given: object = action
    if not isinstance(given, Mapping) or not known <= set(given) or set(given) - known - {"words"}:
        got = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise ConfigError(f"the user's action: got {got[:80]}; expected {', '.join(sorted(known))}, and words if it likes")
    acts = _numbers(action["acts"], "acts", "iu", k, len(ACTS) - 1)[None]
    watch = _numbers(action["watch"], "watch", "fiu", k, 1)[None].astype(np.float32)
    leave, form = (int(_numbers([action[key]], key, "iub", 1, high)[0]) for key, high in (("leave", 1), ("form", len(FORMS))))
    value = int(_numbers([action["value"]], "value", "iu", 1, 2**31 - 1)[0])
    words = action.get("words", "")
    if not isinstance(words, str):
        raise ConfigError(f"the user's action: words is {type(words).__name__}; expected text")
    taken = acts >= _TAKEN
    said = Instruction.none(1) if leave else _said(form, value, words[:_WORDS], slates, catalog)
    return Feedback(
        examined=acts > 0,
        clicked=taken,
        liked=acts == 3,
        commented=acts == 4,
        shared=acts == 5,
        watch=np.where(taken, watch * catalog.durations[slates], 0).astype(np.float32),
        left=np.array([bool(leave)]),
        followed=compliance(standing, catalog, slates),
        instruction=said,
    )


def _said(form: int, value: int, words: str, slates: Slates, catalog: Catalog) -> Instruction:
    if not words.strip():
        return instruction_of(form, value, catalog)
    if not form:
        return understood(words, catalog, slates[0].tolist()) or Instruction.none(1)
    structure = instruction_of(form, value, catalog)
    if not structure.kind[0]:
        return structure
    fields = {name: getattr(structure, name) for name in ("kind", "aspect", "value", "phrasing")}
    return Instruction(**fields, texts=np.array([words], dtype=object))


def _numbers(value: Any, what: str, kinds: str, n: int, high: float) -> NDArray[Any]:
    array = as_array(value, what).reshape(-1)
    if array.shape != (n,) or array.dtype.kind not in kinds or not np.isfinite(array).all() or (array < 0).any() or (array > high).any():
        raise ConfigError(f"the user's action: {what} is {str(value)[:60]}; expected {n} number{'s' * (n > 1)} from 0 to {high}")
    return array


class OutsideUser:
    """A simulator that says what somebody else has decided; of its mindset nothing is known."""

    name = "outside"

    def __init__(self) -> None:
        self.reply: Feedback | None = None
        """To the slate that comes next."""

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        """NaN for each level: nobody knows them."""
        n = len(users)
        nothing = np.zeros((n, 0), np.float32)
        return Mindset(levels=np.full((n, len(LEVELS)), np.nan, np.float32), interest=nothing, intent=np.full(n, -1, np.int16))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        """The reply that was left here. Raises ConfigError where there is none."""
        if self.reply is None:
            raise ConfigError("the user's seat is taken from outside, and nobody has acted; step the user first")
        return self.reply, mindset


def build(dataset: Dataset, split: Split, config: dict[str, Any], *, cached: Any = None) -> OutsideUser:
    """An empty seat. Raises ConfigError for settings: it has none."""
    if config:
        raise ConfigError(f"simulator_config: got {', '.join(config)}; a user that is played from outside has no settings")
    return OutsideUser()

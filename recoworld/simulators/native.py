"""The compiled kernel of `BehavioralSimulator.respond` (`_native.c`), where it was built.

It computes the equations that `recoworld.simulators.behavioral` defines, in an order of its own: numbers agree to float32 precision, and
what a user does agrees unless a draw falls within that precision of its threshold. A user's reply does not depend on the batch.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recoworld import instructions
from recoworld.errors import ConfigError
from recoworld.luck import Keys
from recoworld.simulators import reflection
from recoworld.types import Bools, Floats, History, Instruction, Slates

if TYPE_CHECKING:
    from recoworld.simulators.behavioral import BehavioralMindset, BehavioralSimulator

_EQUATIONS = 4  # as in _native.c; raise both with every change there, so that a stale build is not used
_BOOL, _FLOAT, _INT = np.dtype(np.bool_), np.dtype(np.float32), np.dtype(np.int32)  # np.empty looks a type up, a dtype it takes
# of what the kernel reads, in its order
_TYPES = (np.int64, np.int64, np.uint64, *[np.float32] * 6, np.int16, np.uint8, np.int8, np.int8, np.int32, np.int64)
_SILENT = (None, None, None)
_SHARED_FROM = 1024  # users from which on a second thread pays


class Response(NamedTuple):
    """What the kernel answers, as `Feedback` and `BehavioralMindset` hold it."""

    acts: Bools
    """Examined, clicked, liked, commented, shared ``[5, n, k]``."""
    watch: Floats
    followed: Floats
    left: Bools
    levels: Floats
    interest: Floats
    satiation: Floats
    instruction: Instruction
    response: Floats


class Kernel:
    """`respond` for the people of one simulator whose taste is held in tables."""

    def __init__(self, module: Any, simulator: BehavioralSimulator) -> None:
        tables = {name: np.ascontiguousarray(table) for name, table in _tables(simulator).items()}
        self._respond = module.Kernel(_coefficients(simulator), tables).respond

    def __call__(self, mindset: BehavioralMindset, history: History, slates: Slates, keys: Keys) -> Response:
        """The replies to slates ``[n, k]``; keys: of this turn's stream (`Luck.stream`). Raises ValueError for indices out of range."""
        n, k = slates.shape
        standing, silence = history.standing, Instruction.none(n)
        person = (mindset.bias, mindset.effort, mindset.talkative, mindset.intent)
        told = _SILENT if standing is silence else (standing.kind, standing.aspect, standing.value)
        state = (mindset.levels, mindset.interest, mindset.satiation)
        inputs = (slates, history.users, keys, *state, *person, history.exposures, *told, history.age)
        acts, watch, said = np.empty((5, n, k), _BOOL), np.empty((n, k), _FLOAT), np.empty((4, n), _INT)
        followed, left, levels = np.empty(n, _FLOAT), np.empty(n, _BOOL), np.empty((n, 5), _FLOAT)
        interest, satiation = np.empty(mindset.interest.shape, _FLOAT), np.empty(mindset.interest.shape, _FLOAT)
        response = np.empty((n, k, 6), _FLOAT)
        outputs = (acts, response, watch, followed, left, levels, interest, satiation, said)
        try:
            speaking = self._respond(*inputs, *outputs) if n < _SHARED_FROM else self._shared(n, *inputs, *outputs)
        except BufferError:  # other types or strides than the usual ones
            speaking = self._respond(*map(_plain, inputs, _TYPES), *outputs)
        instruction = silence
        if speaking:
            kind, aspect, value, phrasing = said
            instruction = Instruction(
                kind=kind.astype(np.int8), aspect=aspect.astype(np.int8), value=value.copy(), phrasing=phrasing.astype(np.uint32)
            )
        return Response(acts, watch, followed, left, levels, interest, satiation, instruction, response)

    def _shared(self, n: int, *arguments: Any) -> int:
        """The first half of the users here, the second in a thread of its own: the kernel lets go of the interpreter."""
        there: list[int] = []
        worker = Thread(target=lambda: there.append(self._respond(*arguments, n // 2, n)))
        worker.start()
        try:
            here = self._respond(*arguments, 0, n // 2)
        finally:
            worker.join()
        # the worker failed: say why here, in this thread
        return int(here + (there[0] if there else self._respond(*arguments, n // 2, n)))


def kernel_of(simulator: BehavioralSimulator, wanted: bool | None, *, derived: bool) -> Kernel | None:
    """The simulator's kernel, or None for NumPy; `derived`: it is of a subclass, whose equations may be its own.

    wanted: None for where it can be had, True to insist (raises ConfigError), False for NumPy.
    """
    if wanted is False or (wanted is None and derived):
        return None
    module = _module()
    if module is None:
        obstacle = "it is not built, or not for this version; install with a C compiler, or run `python setup.py build_ext --inplace`"
    elif simulator.taste.attraction is None or simulator.taste.stars is None:
        users, items = len(simulator.taste.users), len(simulator.taste.items)
        obstacle = f"it needs whole tables of attraction and stars, which are not held for {users} users times {items} items"
    else:
        return Kernel(module, simulator)
    if wanted:
        raise ConfigError(f"native=True: no compiled kernel: {obstacle}")
    return None


@lru_cache(maxsize=1)
def _module() -> Any:
    """`recoworld.simulators._native`, None where there is none of these equations."""
    try:
        module = import_module("recoworld.simulators._native")
    except ImportError:
        return None
    return module if module.EQUATIONS == _EQUATIONS else None


def _coefficients(simulator: BehavioralSimulator) -> dict[str, float]:
    """By the names that they have in _native.c."""
    return {
        **{name: float(value) for name, value in simulator._c.items()},
        "rating_noise": float(simulator._rating_noise),
        "drift": float(simulator._drift),
        "gain": float(simulator._gain),
        "leave_offset": float(simulator._leave_base),
        "sense_at": float(simulator._sense_at),
        "well_known": instructions.WELL_KNOWN,
        "related_from": instructions.RELATED[0],
        "related_to": instructions.RELATED[1],
        "chance": float(reflection._CHANCE),
    }


def _tables(simulator: BehavioralSimulator) -> dict[str, Any]:
    """Likewise; their shapes are there too."""
    catalog, taste = simulator.catalog, simulator.taste
    return {
        "attraction": taste.attraction,
        "stars": taste.stars,
        "home": taste.home,
        "centre": simulator._centre,
        **{name: getattr(catalog, name) for name in ("features", "durations", "genres", "decades", "eras", "popularity_rank", "people")},
        "wear": simulator._wear,
        "stale": simulator._stale,
        "actions": simulator._actions[:, 0],
        "speeds": simulator._speeds[0],
        "speeds_under": simulator._speeds_under[0],
        "leave_weights": simulator._leave_weights,
        "at_none": instructions._AT_NONE,
        "per_share": instructions._PER_SHARE,
        "weights": reflection._WEIGHTS,
        "source": reflection._SOURCE,
        "kinds": reflection._KINDS,
        "aspects": reflection._ASPECTS,
    }


def _plain(array: NDArray[Any] | None, dtype: type) -> NDArray[Any] | None:
    return None if array is None else array.astype(dtype, order="C", casting="same_kind")

"""The compiled kernel against the NumPy code that defines it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.catalog import Catalog, build_catalog
from recoworld.errors import ConfigError
from recoworld.instructions import FORMS
from recoworld.luck import Luck, combine
from recoworld.simulators import native
from recoworld.simulators.behavioral import BehavioralMindset, BehavioralSimulator
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.taste import Taste
from recoworld.types import Aspect, Feedback, History, Instruction, Kind
from recoworld.world import World, response_of

pytestmark = pytest.mark.skipif(
    native._module() is None, reason="the compiled kernel is not built here: python setup.py build_ext --inplace, with a C compiler"
)

Case = tuple[BehavioralMindset, History, np.ndarray, Luck]


def invented(*, genres: int, years: bool, people: bool, n_users: int = 40, n_items: int = 60) -> BehavioralSimulator:
    """A simulator of a made-up catalogue, with whatever columns a data set may lack."""
    rng = np.random.default_rng(genres)
    of = [rng.choice(genres, rng.integers(1, min(genres, 3) + 1), replace=False) for _ in range(n_items)]
    cast = [rng.choice(20, rng.integers(0, 4), replace=False) for _ in range(n_items)]
    catalog = build_catalog(
        name="invented",
        ids=[str(i) for i in range(n_items)],
        titles=[f"Film {i}" for i in range(n_items)],
        genres=[tuple(f"genre {g}" for g in item) for item in of],
        years=rng.choice([0, 1931, 1977, 1999, 2004], n_items).tolist() if years else None,
        people=[tuple(f"person {p}" for p in item) for item in cast] if people else None,
        popularity=rng.integers(0, 50, n_items),
        durations=rng.uniform(20, 300, n_items),
    )
    taste = Taste(
        users=rng.random((n_users, 3), np.float32),
        items=rng.random((n_items, 3), np.float32),
        raters=rng.random((n_users, 3), np.float32),
        rated=rng.random((n_items, 3), np.float32),
        home=rng.normal(0, 0.1, (n_users, catalog.features.shape[1])).astype(np.float32),
        noise=0.9,
        attraction=rng.uniform(0, 1.4, (n_users, n_items)).astype(np.float32),
        stars=rng.uniform(1, 5, (n_users, n_items)).astype(np.float32),
    )
    return BehavioralSimulator(catalog, taste, BehavioralConfig(), native=True)


SIMULATORS = {
    "mini": lambda: make_world(dataset="mini").simulator,
    "no years": lambda: invented(genres=9, years=False, people=True),
    "no people": lambda: invented(genres=4, years=True, people=False),
    "one genre": lambda: invented(genres=1, years=False, people=False),
}


@pytest.fixture(scope="module", params=SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> BehavioralSimulator:
    return SIMULATORS[request.param]()


def in_numpy(simulator: BehavioralSimulator) -> BehavioralSimulator:
    return BehavioralSimulator(simulator.catalog, simulator.taste, simulator.config, native=False)


def instructions(catalog: Catalog, n: int, rng: np.random.Generator) -> Instruction:
    """Any form about anything, for two users in three."""
    kind, aspect, value = np.zeros(n, np.int8), np.zeros(n, np.int8), np.zeros(n, np.int32)
    most = {
        Aspect.GENRE: len(catalog.genre_names),
        Aspect.POPULARITY: 2,
        Aspect.PERSON: max(1, len(catalog.people_names)),
        Aspect.TITLE: len(catalog),
    }
    for i in np.flatnonzero(rng.random(n) < 2 / 3):
        kind[i], aspect[i] = FORMS[rng.integers(len(FORMS))]
        eras = catalog.eras if len(catalog.eras) else np.array([1990])
        value[i] = rng.choice(eras) if aspect[i] == Aspect.ERA else rng.integers(most[Aspect(aspect[i])])
    return Instruction(kind=kind, aspect=aspect, value=value, phrasing=np.zeros(n, np.uint32))


def case(simulator: BehavioralSimulator, n: int, k: int, seed: int, *, silent: bool = False) -> Case:
    """`n` users in any state that there could be, and some that there could not."""
    rng = np.random.default_rng(seed)
    catalog, d = simulator.catalog, simulator.catalog.features.shape[1]
    users, keys = rng.integers(len(simulator.taste.users), size=n), combine(seed, np.arange(n))
    mindset = replace(
        simulator.begin(users, Luck(keys)),
        levels=rng.random((n, 5), np.float32),
        interest=rng.normal(0, 0.4, (n, d)).astype(np.float32),
        satiation=rng.uniform(0, 0.6, (n, d)).astype(np.float32),
    )
    history = History(
        users=users,
        turn=np.zeros(n, np.int64),
        items=np.zeros((n, 1), np.int32),
        acts=np.zeros((n, 1), np.int8),
        slate=np.zeros((n, k), np.int32),
        response=np.zeros((n, k, 6), np.float32),
        exposures=rng.choice(np.array([0, 0, 0, 1, 2, 5, 255], np.uint8), (n, len(catalog))),
        standing=Instruction.none(n) if silent else instructions(catalog, n, rng),
        age=rng.integers(0, 4, n),
    )
    return mindset, history, np.argsort(rng.random((n, len(catalog))), axis=1)[:, :k], Luck(keys)  # a view, as recommenders return


def flat(answer: tuple[Feedback, BehavioralMindset]) -> dict[str, np.ndarray]:
    parts = (*answer, answer[0].instruction)
    values = {f"{type(part).__name__}.{field.name}": getattr(part, field.name) for part in parts for field in fields(part)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("k", [1, 5, 10])
def test_it_does_what_numpy_does(simulator: BehavioralSimulator, k: int) -> None:
    definition, rows, odd, spoken = in_numpy(simulator), 0, 0, set()
    sizes = [1] * 400 + [7] * 100 + [500] * 20
    for seed, n in enumerate(sizes):
        inputs = case(simulator, n, k, 1000 * k + seed, silent=seed % 4 == 0)
        of_c, (feedback, after) = flat(simulator.respond(*inputs)), definition.respond(*inputs)
        of_numpy = flat((replace(feedback, response=response_of(inputs[2], feedback, simulator.catalog)), after))
        assert of_c.keys() == of_numpy.keys()
        same = np.ones(n, np.bool_)
        for name, mine in of_c.items():
            assert (mine.dtype, mine.shape) == (of_numpy[name].dtype, of_numpy[name].shape), name
            if mine.dtype.kind != "f":
                same &= (mine == of_numpy[name]).reshape(n, -1).all(axis=1)
        for name, mine in of_c.items():
            if mine.dtype.kind == "f":
                np.testing.assert_allclose(mine[same], of_numpy[name][same], rtol=1e-4, atol=2e-6, err_msg=name)
        spoken |= set(zip(of_c["Instruction.kind"].tolist(), of_c["Instruction.aspect"].tolist(), strict=True))
        rows, odd = rows + n, odd + int((~same).sum())
    assert odd < 1e-4 * rows, f"{odd} of {rows} rows differ"
    lacking = {Aspect.ERA} if not len(simulator.catalog.eras) else set()
    lacking |= {Aspect.PERSON} if not len(simulator.catalog.people_names) else set()
    sayable = {form for form in FORMS if form[1] not in lacking}
    if len(simulator.catalog.genre_names) == 1:
        sayable.remove((Kind.ONLY, Aspect.GENRE))  # nobody comes with the only one there is in mind
    assert k == 1 or spoken == {(0, 0)} | sayable  # the test has been everywhere


def test_a_users_reply_does_not_depend_on_the_batch(simulator: BehavioralSimulator) -> None:
    mindset, history, slates, luck = case(simulator, 500, 10, 3)
    together = flat(simulator.respond(mindset, history, slates, luck))
    for rows in [np.array([i]) for i in range(0, 500, 7)] + [np.arange(500)[::-1], np.arange(90, 160)]:
        apart = flat(simulator.respond(mindset.take(rows), history.take(rows), slates[rows], Luck(luck.keys[rows])))
        for name, value in apart.items():
            assert value.tobytes() == np.ascontiguousarray(together[name][rows]).tobytes(), name


@pytest.mark.parametrize("n", [1, 500])
def test_it_changes_no_argument(simulator: BehavioralSimulator, n: int) -> None:
    mindset, history, slates, luck = case(simulator, n, 5, 4)
    before = pickle.dumps((mindset, history, slates, luck.keys))
    simulator.respond(mindset, history, slates, luck)
    assert pickle.dumps((mindset, history, slates, luck.keys)) == before


def test_silence_is_one_value(simulator: BehavioralSimulator) -> None:
    mindset, history, slates, luck = case(simulator, 3, 5, 5, silent=True)
    feedback, _ = simulator.respond(replace(mindset, talkative=np.zeros(3, np.float32)), history, slates, luck)
    assert feedback.instruction is Instruction.none(3)


def test_any_layout_is_read(simulator: BehavioralSimulator) -> None:
    mindset, history, slates, luck = case(simulator, 70, 5, 6)
    expected = flat(simulator.respond(mindset, history, slates, luck))
    other = replace(mindset, levels=mindset.levels.astype(np.float64), interest=np.asfortranarray(mindset.interest))
    got = flat(simulator.respond(other, history, np.asfortranarray(slates).astype(">i8"), luck))
    for name, value in expected.items():
        assert value.tobytes() == got[name].tobytes(), name


def test_what_cannot_be_shown_raises(simulator: BehavioralSimulator) -> None:
    mindset, history, slates, luck = case(simulator, 70, 5, 7, silent=True)
    last, far, n_items, n_users = np.arange(70) == 69, np.iinfo(np.int64), len(simulator.catalog), len(simulator.taste.users)
    bad: list[tuple[Any, Any, Any]] = [
        (mindset, history, np.where(last[:, None], item, slates)) for item in (-1, n_items, far.min, far.max)
    ]
    bad += [(mindset, replace(history, users=np.where(last, user, history.users)), slates) for user in (-1, n_users, far.min, far.max)]
    genres = len(simulator.catalog.genre_names)
    for form in ((1, 1, genres), (1, 1, -1), (1, 5, n_items), (5, 5, -1), (7, 1, 0), (-1, 1, 0), (1, 6, 0), (1, -1, 0)):
        kind, aspect, value = (np.full(70, number, dtype) for number, dtype in zip(form, (np.int8, np.int8, np.int32), strict=True))
        standing = Instruction(kind=kind, aspect=aspect, value=value, phrasing=np.zeros(70, np.uint32))
        bad.append((mindset, replace(history, standing=standing), slates))
    levels, interest, bias, intent = mindset.levels[:, :4], mindset.interest[:69], mindset.bias[:69], mindset.intent[:, None]
    for changes in ({"levels": levels}, {"interest": interest}, {"bias": bias}, {"intent": intent}):
        bad.append((replace(mindset, **changes), history, slates))
    bad += [(mindset, replace(history, exposures=history.exposures[:, 1:]), slates), (mindset, history, slates[:69])]
    bad += [(mindset, history, slates[:, :0])]
    for arguments in bad:
        with pytest.raises(ValueError):
            simulator.respond(*arguments, luck)
    with pytest.raises(TypeError):
        simulator.respond(mindset, history, slates.astype(np.float64), luck)


def test_sessions_go_the_same_way() -> None:
    """Twenty turns of a world: but for knife edges, the same people leave after the same turns."""
    compiled = make_world(dataset="mini")
    assert isinstance(compiled.simulator, BehavioralSimulator)
    assert compiled.simulator._kernel is not None
    numpy = World(compiled.dataset, compiled.split, in_numpy(compiled.simulator))
    users = np.arange(400) % len(compiled.dataset.users)
    slates = [np.argsort(np.random.default_rng(t).random((400, len(compiled.catalog))), axis=1)[:, :10] for t in range(20)]
    lives = []
    for world in (compiled, numpy):
        world.reset(users, users)
        turns = [world.step(slate) for slate in slates]
        lives.append(np.concatenate([np.column_stack([turn.feedback.left, turn.feedback.clicked]) for turn in turns], axis=1))
    assert (lives[0] != lives[1]).any(axis=1).sum() <= 2


def test_who_gets_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = invented(genres=3, years=True, people=True)
    parts = (simulator.catalog, simulator.taste, simulator.config)

    class Own(BehavioralSimulator):
        def hazard(self, levels: np.ndarray) -> np.ndarray:
            return np.zeros(len(levels), np.float32)

    assert BehavioralSimulator(*parts)._kernel is not None
    assert BehavioralSimulator(*parts, native=False)._kernel is None
    assert Own(*parts)._kernel is None
    assert Own(*parts, native=True)._kernel is not None
    sparse = replace(simulator.taste, attraction=None, stars=None)
    assert BehavioralSimulator(simulator.catalog, sparse, simulator.config)._kernel is None
    with pytest.raises(ConfigError, match="tables"):
        BehavioralSimulator(simulator.catalog, sparse, simulator.config, native=True)
    monkeypatch.setattr(native, "_module", lambda: None)
    assert BehavioralSimulator(*parts)._kernel is None
    with pytest.raises(ConfigError, match="C compiler"):
        BehavioralSimulator(*parts, native=True)


def test_a_simulator_can_be_sent_to_another_process(simulator: BehavioralSimulator) -> None:
    expected = flat(simulator.respond(*case(simulator, 7, 5, 8)))
    for other in (pickle.loads(pickle.dumps(simulator)), copy.deepcopy(simulator)):
        assert other._kernel is not None
        got = flat(other.respond(*case(simulator, 7, 5, 8)))
        assert all(got[name].tobytes() == value.tobytes() for name, value in expected.items())

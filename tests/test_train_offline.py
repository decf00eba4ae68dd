"""Learning from logged sessions: what was seen is rebuilt bit for bit, and RLlib's offline algorithms learn from it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.configs.training import TrainConfig
from recoworld.envs.codec import observe
from recoworld.errors import ConfigError, DataMissing
from recoworld.luck import Luck, combine
from recoworld.session import Said, Session
from recoworld.session_io import read_sessions, write_jsonl
from recoworld.session_log import SessionLog
from recoworld.training import launch
from recoworld.training.logged import Transitions, transitions
from recoworld.training.recording import Recording, logging_policy, record
from recoworld.training.views import View, known_catalog
from recoworld.types import Act
from recoworld.world import World

# RLlib registers its environment anew with each Algorithm, and leaves files open
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Overriding environment:UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WORLD: dict[str, Any] = {"dataset": "mini", "max_turns": 6, "history_length": 40, "slate_size": 5}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(**WORLD)


@pytest.fixture(scope="module")
def played(world: World) -> tuple[list[Session], list[list[dict[str, Any]]]]:
    """Sessions of forty training users, and what was seen before each turn and after the last, session by session."""
    users, seeds = world.split.train[:40], np.arange(40, dtype=np.uint64) + np.uint64(2**63)
    policy = logging_policy(Recording(share=0.4), world)
    world.reset(users, seeds)
    log = SessionLog(world, seeds, policy="mixed")
    seen: list[list[dict[str, Any]]] = [[] for _ in users]
    rows = np.arange(len(users))

    def look() -> None:
        observations = observe(world)
        for place, row in enumerate(rows):
            seen[row].append({key: value[place].copy() for key, value in observations.items()})

    look()
    while rows.size:
        turn = world.step(policy.recommend(observe(world), Luck(combine(1, seeds[rows], world.state.history.turn))))
        log.add(rows, turn)
        look()
        going = ~(turn.feedback.left | world.cut)
        rows = rows[going]
        if rows.size:
            world.keep(going)
    return log.sessions(), seen


@pytest.fixture(scope="module")
def rebuilt(world: World, played: tuple[list[Session], Any]) -> Transitions:
    return transitions(world, played[0])


# what was seen


def test_observations_are_rebuilt_bit_for_bit(world: World, played: tuple[list[Session], Any], rebuilt: Transitions) -> None:
    sessions, seen = played
    lengths = [session.n_turns for session in sessions]
    assert min(lengths) < max(lengths) == world.max_turns, "some should leave, and some stay to the end"
    assert any(turn.instruction for session in sessions for turn in session.turns)
    at = np.arange(len(rebuilt))
    before, after = rebuilt.look(at), rebuilt.look(at, after=True)
    assert before.keys() == seen[0][0].keys()
    for key, value in before.items():
        expected = np.stack([one[key] for own in seen for one in own[:-1]])
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected, err_msg=key)
        np.testing.assert_array_equal(after[key], np.stack([one[key] for own in seen for one in own[1:]]), err_msg=key)


def test_turns_are_those_of_the_log(played: tuple[list[Session], Any], rebuilt: Transitions) -> None:
    turns = [turn for session in played[0] for turn in session.turns]
    assert rebuilt.slates.tolist() == [list(turn.items) for turn in turns]
    assert rebuilt.clicked.tolist() == [list(turn.clicked) for turn in turns]
    np.testing.assert_array_equal(rebuilt.rewards, np.array([turn.reward for turn in turns], np.float32))
    assert rebuilt.left.tolist() == [turn.left for turn in turns]
    assert np.bincount(rebuilt.session).tolist() == [session.n_turns for session in played[0]]


def test_another_view_sees_the_same(world: World, played: tuple[list[Session], Any], rebuilt: Transitions) -> None:
    view = View("vector", "proto")
    vectors = transitions(world, played[0], view)
    every = np.arange(len(rebuilt))
    expected = view.encode(rebuilt.look(every), known_catalog(world.dataset, world.split))
    np.testing.assert_array_equal(vectors.look(every), expected)


def test_sessions_of_people_and_sessions_still_open(world: World, played: tuple[list[Session], Any], rebuilt: Transitions) -> None:
    bare = [
        replace(session, opening=None, turns=tuple(replace(turn, mindset=None) for turn in session.turns[:2])) for session in played[0]
    ]
    first = transitions(world, bare)
    kept = np.concatenate([np.flatnonzero(rebuilt.session == i)[:2] for i in range(len(bare))])
    for key, value in first.look(np.arange(len(first)), after=True).items():
        np.testing.assert_array_equal(value, rebuilt.look(kept, after=True)[key])


def test_the_world_is_left_as_it_is(world: World, played: tuple[list[Session], Any]) -> None:
    world.reset(world.split.train[:3], np.arange(3))
    keys = world.state.keys.copy()
    transitions(world, played[0][:5])
    np.testing.assert_array_equal(world.state.keys, keys)


def test_returns() -> None:
    log = SimpleNamespace(rewards=np.array([1, 2, 4, 8, 16], np.float32), session=np.array([0, 0, 0, 1, 1]))
    assert Transitions.returns(log, 0.5).tolist() == [1 + 1 + 1, 2 + 2, 4, 8 + 8, 16]  # type: ignore[arg-type]


def test_logs_that_do_not_fit(world: World, played: tuple[list[Session], Any]) -> None:
    session = max(played[0], key=lambda one: one.n_turns)
    turn = session.turns[0]

    def first(**changes: Any) -> Session:
        return replace(session, turns=(replace(turn, **changes), *session.turns[1:]))

    some = tuple([True] + [False] * 4)
    said = {"kind": "more", "phrasing": 0, "text": "more"}
    genres = len(world.catalog.genre_names)
    for wrong, words in (
        (replace(session, dataset="ml-1m"), "data set 'ml-1m'; expected 'mini'"),
        (replace(session, user="nobody"), "unknown user 'nobody'"),
        (first(slate=("no such film", *turn.slate[1:])), "unknown item 'no such film'"),
        (first(slate=(turn.slate[1], *turn.slate[1:])), "an item twice"),
        (first(left=True), "left before the last turn"),
        (first(told=True), "an instruction was in force"),
        (first(clicked=some, examined=(False,) * 5), "not looked at"),
        (first(watch=(1e9,) * 5), "seconds watched"),
        (first(watch=(-1.0,) * 5), "seconds watched"),
        (first(instruction=Said(aspect="genre", value=genres, **said)), f"genre {genres}; expected 0 to {genres - 1}"),
        (first(instruction=Said(aspect="title", value=-1, **said)), "title -1"),
        (replace(session, turns=session.turns + session.turns), "12 turns; expected at most 6"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            transitions(world, [played[0][0], wrong])
        assert "session 1: got" in str(caught.value)
    with pytest.raises(ConfigError, match=r"slates of \[5\] items; expected 4: set world\.slate_size"):
        transitions(make_world(**WORLD | {"slate_size": 4}), played[0])
    with pytest.raises(ConfigError, match=r"set world\.instruction_turns"):
        transitions(make_world(**WORLD, instruction_turns=1), played[0])
    with pytest.raises(ConfigError, match="no sessions"):
        transitions(world, [])


def test_a_recording_is_of_training_users_and_repeatable(world: World, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    recording = Recording(policy="popularity", share=0.5, sessions=len(world.split.train) + 3)
    assert record(tmp_path / "a.parquet", world, recording) == recording.sessions
    record(tmp_path / "b.parquet", world, recording)
    sessions = read_sessions(tmp_path / "a.parquet")
    assert sessions == read_sessions(tmp_path / "b.parquet")
    assert {session.user_index for session in sessions} == set(world.split.train.tolist())
    assert [session.seed for session in sessions[-4:]] == [0, 1, 1, 1]
    assert sessions[0].policy == "popularity+random"
    slates = {session.turns[0].items for session in sessions}
    assert len(slates) > len(sessions) // 2, "half of the slots are random"


# RLlib's offline API


@pytest.fixture(scope="module")
def from_log() -> Any:
    """The module `recoworld.training.from_log`, where the extras are installed."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("ray.rllib")
    return pytest.importorskip("recoworld.training.from_log")


def test_batches_are_passes_over_the_log(from_log: Any) -> None:
    def drawn(shard: int, shards: int, start: int, batches: int) -> list[int]:
        numbers = from_log.Batches(None, 7, shard, shards, start).numbers(10, 4)
        return [int(row) for _ in range(batches) for row in next(numbers)]

    alone = drawn(0, 1, 0, 10)
    assert [sorted(alone[i : i + 10]) for i in (0, 10, 20, 30)] == [list(range(10))] * 4
    assert alone[:10] != alone[10:20]
    assert drawn(0, 1, 3, 2) == alone[12:20], "goes on where it was"
    two = [drawn(shard, 2, 0, 5) for shard in (0, 1)]
    assert [row for i in range(5) for shard in two for row in shard[4 * i : 4 * i + 4]] == alone
    assert sorted(next(from_log.Batches(None, 7, 0, 1, 0).numbers(3, 7)).tolist())[:2] == [0, 0], "batches larger than the log"


def test_proto_actions_stand_for_their_slates(from_log: Any) -> None:
    # items at right angles: their least-squares direction is their sum
    catalog = SimpleNamespace(features=np.eye(6, dtype=np.float32), popularity_rank=np.zeros(6, np.float32))
    found = from_log.protos(np.array([[0, 3], [5, 1]]), catalog)
    expected = np.zeros((2, 7))
    expected[0, [0, 3]] = expected[1, [5, 1]] = 0.5**0.5
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_held_out_users_are_refused(from_log: Any, world: World, played: tuple[list[Session], Any], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", played[0])
    assert len(from_log.Rows(world, View("dict", "slate"), [str(tmp_path / "train.jsonl")], 0.9)) > 40
    test = int(world.split.test[0])
    session = replace(played[0][0], user=str(world.dataset.users.ids[test]), user_index=test)
    write_jsonl(tmp_path / "test.jsonl", [*played[0], session])
    with pytest.raises(ConfigError, match="sessions of 1 validation and test users"):
        from_log.Rows(world, View("dict", "slate"), [str(tmp_path / "test.jsonl")], 0.9)
    with pytest.raises(DataMissing):
        from_log.Rows(world, View("dict", "slate"), [str(tmp_path / "nothing.parquet")], 0.9)


SMALL: dict[str, dict[str, Any]] = {
    "bc": {"algorithm": "bc"},
    "marwil": {"algorithm": "bc", "settings.beta": 1.0},
    "cql": {"algorithm": "cql", "settings.hidden": [16], "settings.samples": 2},
    "sqn": {"algorithm": "sqn"},
    "sac": {"algorithm": "sqn", "settings.variant": "sac"},
    "supervised": {"algorithm": "sqn", "settings.rl": 0},
}


def small(name: str, **settings: Any) -> TrainConfig:
    """A training of seconds."""
    common = {"world": WORLD, "settings.batch": 32, "settings.updates": 3, "settings.log": {"sessions": 60}, "iterations": 2}
    return TrainConfig.of(None, common | SMALL[name] | {f"settings.{key}": value for key, value in settings.items()})


@pytest.fixture(scope="module")
def cluster(from_log: Any) -> Iterator[None]:
    """Ray, once for the module."""
    import ray

    folder = tempfile.mkdtemp(prefix="rw-")  # short: sockets lie in it
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


def test_cql_clones_first_and_only_first(cluster: None, folder: Path) -> None:
    from ray.rllib.utils.metrics import ALL_MODULES
    from ray.tune.result import TRAINING_ITERATION

    config = small("cql", warm_up=4)
    algorithm = launch.algorithm_config(config, folder).build_algo()
    learner = algorithm.learner_group._learner
    counts: list[float] = []
    compute = learner.compute_loss_for_module

    def watched(**kwargs: Any) -> Any:
        out = compute(**kwargs)
        counts.append(float(learner.metrics.peek((ALL_MODULES, TRAINING_ITERATION))))
        return out

    learner.compute_loss_for_module = watched
    for iteration in range(3):
        _train(algorithm, config, iteration)
    assert counts == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert learner.config.bc_iters == 5, "so four gradients clone"
    algorithm.stop()


def _train(algorithm: Any, config: TrainConfig, iteration: int) -> dict[str, Any]:
    from recoworld.training.seeding import seed_everything

    seed_everything(algorithm, config.seed, iteration)
    learned: dict[str, Any] = algorithm.train()["learners"]["default_policy"]
    return learned


@pytest.mark.parametrize("name", SMALL)
def test_each_trains_and_goes_on_from_a_checkpoint(name: str, cluster: None, folder: Path, tmp_path: Path) -> None:
    from recoworld.training.checkpoints import Checkpoints, Reached
    from recoworld.training.export import live_module

    config = small(name)
    algorithm = launch.algorithm_config(config, folder).build_algo()
    before = {key: np.array(value) for key, value in live_module(algorithm).get_state().items()}
    _train(algorithm, config, 0)
    if name == "marwil":  # RLlib's own default moves it by 1e-8 of the way
        algorithm.learner_group.foreach_learner(_settle)
    Checkpoints(tmp_path, 1).save(algorithm, Reached(iteration=1))
    learned = _train(algorithm, config, 1)
    after = {key: np.array(value) for key, value in live_module(algorithm).get_state().items()}
    losses = {key: float(value) for key, value in learned.items() if "loss" in key}
    assert losses
    assert np.isfinite(list(losses.values())).all(), losses
    assert all(np.isfinite(value).all() for value in after.values())
    changed = {key for key in before if np.abs(after[key] - before[key]).max() > 0}
    assert changed, "weights should change"
    if name in ("sqn", "sac"):
        assert "level.weight" in changed, "heads of values should learn"
    if name == "supervised":
        assert "level.weight" not in changed, "nothing but the supervised head should learn"
    algorithm.stop()

    again = launch.algorithm_config(config, folder).build_algo()
    assert Checkpoints(tmp_path, 1).restore(again).iteration == 1
    _train(again, config, 1)
    for key, value in live_module(again).get_state().items():
        np.testing.assert_array_equal(value, after[key], err_msg=key)
    again.stop()


def _settle(learner: Any) -> None:
    learner.moving_avg_sqd_adv_norms_per_module["default_policy"].fill_(2.0)


def test_cloning_makes_the_slates_of_others_likelier(cluster: None, folder: Path, world: World) -> None:
    import torch

    from recoworld.policies.neural import plackett
    from recoworld.training.export import live_module

    record(folder / "more.parquet", world, Recording(sessions=240, share=0.0))
    sessions = read_sessions(folder / "more.parquet")
    write_jsonl(folder / "part.jsonl", sessions[:200])
    held_out = transitions(world, sessions[200:])
    every = np.arange(len(held_out))
    seen = {key: torch.from_numpy(value) for key, value in held_out.look(every).items()}
    algorithm = launch.algorithm_config(small("bc", log=str(folder / "part.jsonl"), updates=20, batch=64)).build_algo()

    def likelihood() -> float:
        with torch.no_grad():
            net = live_module(algorithm).net
            return float(plackett.log_prob(net(seen).scores[:, 0], torch.from_numpy(held_out.slates), net.fits(seen)).mean())

    before = likelihood()
    for _ in range(3):
        algorithm.train()
    assert likelihood() > before + 1.0, "nats a slate"
    algorithm.stop()


def test_a_loss_of_cloning_does_not_hold_met_items_against_it(from_log: Any, world: World) -> None:
    import torch
    from ray.rllib.core import DEFAULT_MODULE_ID
    from ray.rllib.core.columns import Columns

    from recoworld.training.views import SLATE

    spaces = {DEFAULT_MODULE_ID: (SLATE.observation_space(world), SLATE.action_space(world))}
    config = small("bc")
    module = launch.algorithm_of(config)[0].build(config, launch.algorithm_of(config)[1]).get_rl_module_spec(spaces=spaces).build()
    world.reset(world.split.train[:4], np.arange(4))
    seen = {key: torch.from_numpy(value.copy()) for key, value in observe(world).items()}
    met = (seen["history"] * (seen["history_acts"] == Act.RATED)).max(dim=1).values.long() - 1
    slates = torch.stack([met, *(torch.arange(4) + 50 + i for i in range(4))], dim=1)
    out = module.forward_train({Columns.OBS: seen, Columns.ACTIONS: slates})
    likely = module.get_train_action_dist_cls().from_logits(out[Columns.ACTION_DIST_INPUTS]).logp(slates)
    assert (likely > -200).all(), likely


# SQN


def test_the_target_of_double_q_learning(from_log: Any) -> None:
    import torch

    from recoworld.training.sqn import double_q

    after = torch.tensor([[[1.0, 5.0, 2.0], [7.0, 3.0, 4.0]]] * 3)  # head 0 likes item 1 best, head 1 item 0
    target = double_q(
        torch.tensor([10.0, 20.0, 30.0]), torch.tensor([False, False, True]), after, torch.tensor([0, 1, 0]), gamma=0.5
    )
    assert target.tolist() == [10 + 0.5 * 3, 20 + 0.5 * 1, 30]


def test_the_weights_of_the_critic(from_log: Any) -> None:
    import torch

    from recoworld.training.sqn import relative

    assert relative(torch.tensor([1.0, 3.0, -5.0, 0.0])).tolist() == [1.0, 3.0, 0.0, 0.0]
    assert relative(torch.tensor([-1.0, -2.0])).tolist() == [1.0, 1.0]


def test_the_loss_by_hand(from_log: Any) -> None:
    import torch
    from ray.rllib.core.columns import Columns

    from recoworld.training import sqn

    values, following = torch.tensor([[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]] * 2), torch.zeros(2, 3)
    after = torch.tensor([[[0.0, 4.0, 2.0], [0.0, 4.0, 2.0]]] * 2)  # heads agree: the coin does not matter
    module = SimpleNamespace(unwrapped=lambda: SimpleNamespace(values=lambda seen: after))
    learner = SimpleNamespace(
        module={"m": module}, metrics=SimpleNamespace(log_dict=lambda *args, **kwargs: None), _coins=torch.Generator().manual_seed(0)
    )
    config = SimpleNamespace(gamma=0.5, learner_config_dict={"rl": 2.0, "variant": "sqn"})
    batch = {
        sqn.SLATES: torch.tensor([[0, 2], [1, 0]]),
        sqn.CLICKED: torch.tensor([[True, True], [False, True]]),
        Columns.REWARDS: torch.tensor([1.0, 1.0]),
        Columns.TERMINATEDS: torch.tensor([False, True]),
        Columns.NEXT_OBS: {},
    }
    met = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # so the second turn's click does not count
    out = {sqn._NEXT: following, sqn._VALUES: values, sqn._MET: met, sqn.SURPRISE: torch.tensor([0.25, 0.75])}
    loss = sqn.SQNLearner.compute_loss_for_module(learner, module_id="m", config=config, batch=batch, fwd_out=out)
    # two clicks, values 1 and 3, target 1 + 0.5 * 4; and the mean surprise
    assert float(loss) == pytest.approx(np.log(3) + 2.0 * 0.5 * ((1 - 3) ** 2 + (3 - 3) ** 2) / 2 + 0.5)
    batch[sqn.CLICKED] = torch.zeros(2, 2, dtype=torch.bool)
    assert float(sqn.SQNLearner.compute_loss_for_module(learner, module_id="m", config=config, batch=batch, fwd_out=out)) == 0.5


def test_settings_are_checked() -> None:
    pytest.importorskip("ray.rllib")
    with pytest.raises(ConfigError, match="did you mean 'updates'"):
        launch.algorithm_of(small("bc", update=3))
    with pytest.raises(ConfigError, match=r"settings.updates = 1: .*greater than or equal to 2"):
        launch.algorithm_of(small("bc", updates=1))
    endless = TrainConfig.of(None, small("bc").model_dump() | {"iterations": None, "env_steps": 10})
    with pytest.raises(ConfigError, match="learns from a log and makes none; expected iterations or minutes"):
        launch.algorithm_config(endless)
    two = TrainConfig.of(None, small("cql").model_dump() | {"learners": {"num": 2}})
    with pytest.raises(ConfigError, match="RLlib's CQL does not average"):
        launch.algorithm_config(two)
    with pytest.raises(ConfigError, match=r"settings\.log"):
        launch.algorithm_of(small("bc", log={"session": 3}))

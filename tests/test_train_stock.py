"""RLlib's own algorithms on `mini`: what they see and say, that they train, and that what they learned is served as it was."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recoworld import assembly
from recoworld.assembly import make_world
from recoworld.configs.training import Cluster, TrainConfig, trainings
from recoworld.envs.codec import observe
from recoworld.errors import ConfigError, MissingExtra
from recoworld.policies import make_policy
from recoworld.registry import ALGORITHMS
from recoworld.testing.recommenders import RecommenderTests, first_observations, luck_of
from recoworld.training import environment, launch
from recoworld.training.views import SLATE, View, as_vector, mended, nearest
from recoworld.types import Act, Recommender
from recoworld.world import World

# RLlib registers its environment anew with each Algorithm, and leaves files open
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Overriding environment:UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

NAMES = ("ppo", "appo", "impala", "sac", "dqn")
SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"epochs": 1, "minibatch": 64},
    "appo": {},
    "impala": {},
    "sac": {"batch": 32, "warm_up": 0, "steps": 40},
    "dqn": {"batch": 32, "warm_up": 0, "steps": 40},
    "slate-ppo": {"peers": 1},
    "sqn": {},
}


def small(name: str, **changes: Any) -> TrainConfig:
    """A training of seconds."""
    world = {"dataset": "mini", "max_turns": 5, "history_length": 50, "slate_size": 1 if name == "dqn" else 3}
    settings = {**SMALL[name], **({"hidden": (16,)} if name in NAMES else {}), **changes}
    return TrainConfig.of(
        None, {"algorithm": name, "world": world, "settings": settings, "env_runners": {"envs": 8, "fragment": 5}, "iterations": 2}
    )


@pytest.fixture(scope="module")
def serving() -> Any:
    """The module `recoworld.training.serving`, where the extra is installed."""
    pytest.importorskip("ray.rllib")
    return pytest.importorskip("recoworld.training.serving")


@pytest.fixture(scope="module")
def world() -> World:
    """Three users in the middle of their sessions."""
    world = make_world(dataset="mini", slate_size=4, max_turns=6, history_length=30)
    world.reset(np.array([3, 11, 40]), np.array([1, 2, 3]))
    for turn in range(3):
        world.step(np.arange(12).reshape(3, 4) * 7 + turn)
    return world


# views


def test_the_identity(world: World) -> None:
    seen = observe(world)
    slates = np.array([[1, 2, 3, 4]] * 3)
    assert SLATE.encode(seen, world.catalog) is seen
    np.testing.assert_array_equal(SLATE.decode(slates, seen, world.catalog), slates)
    assert SLATE.action_space(world).contains(slates[0])


@pytest.mark.parametrize("view", [("picture", "slate"), ("dict", "words")])
def test_other_views_are_refused(view: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match=r"picture|words"):
        View(*view)


def test_the_vector_column_by_column(world: World) -> None:
    seen, catalog = observe(world), world.catalog
    vectors = as_vector(seen, catalog)
    d = catalog.features.shape[1]
    space = View("vector", "slots").observation_space(world)
    assert vectors.shape == (3, *space.shape)
    for row in range(3):
        assert space.contains(vectors[row])
        items, acts = seen["history"][row] - 1, seen["history_acts"][row]
        shown = acts[acts >= Act.UNSEEN]
        expected = [*seen["profile"][row], 3 / 6, *seen["instruction"][row], *seen["feedback"][row].mean(axis=0)]
        expected += [np.mean(group) for group in (shown >= Act.CLICKED, shown >= Act.LIKED, shown == Act.SKIPPED, shown == Act.UNSEEN)]
        before = items[(acts == Act.RATED)], items[acts == Act.DISLIKED]
        for group in (*before, items[acts >= Act.CLICKED], items[acts == Act.SKIPPED], seen["slate"][row] - 1):
            total = catalog.features[group].sum(axis=0)
            expected += [*(total / max(float(np.linalg.norm(total)), 1e-9))] if len(group) else [0.0] * d
        np.testing.assert_allclose(vectors[row], expected, atol=1e-5)


def test_a_vector_does_not_depend_on_the_batch(world: World) -> None:
    seen = observe(world)
    whole = as_vector(seen, world.catalog)
    for row in range(3):
        alone = as_vector({key: value[row : row + 1] for key, value in seen.items()}, world.catalog)
        np.testing.assert_array_equal(alone[0], whole[row])


def test_slots_give_way_to_the_next_free_item() -> None:
    history = np.array([[0, 3, 4], [0, 0, 0], [1, 2, 3]])  # index + 1: the first user has met items 2 and 3
    slots = np.array([[2, 2, 0], [5, 5, 5], [0, 1, 1]])
    np.testing.assert_array_equal(mended(slots, history, 6), [[4, 5, 0], [5, 0, 1], [3, 4, 5]])


def test_where_everything_is_met_slots_only_do_not_repeat() -> None:
    np.testing.assert_array_equal(mended(np.array([[1, 1, 3]]), np.array([[1, 2, 3, 4]]), 4), [[1, 2, 3]])


def test_a_proto_action_finds_the_nearest_unmet_items(world: World) -> None:
    seen, catalog = observe(world), world.catalog
    table = np.concatenate([catalog.features, catalog.popularity_rank[:, None]], axis=1).astype(np.float64)
    protos = np.random.default_rng(0).uniform(-1, 1, (3, table.shape[1])).astype(np.float32)
    slates = nearest(protos, seen["history"], catalog, 4)
    for row in range(3):
        scores = table @ (protos[row] / np.linalg.norm(protos[row]))
        scores[seen["history"][row][seen["history"][row] > 0] - 1] = -np.inf
        np.testing.assert_allclose(scores[slates[row]], np.sort(scores)[::-1][:4], atol=2e-3)


def test_single_items_need_slates_of_one(world: World) -> None:
    with pytest.raises(ConfigError, match=r"slate_size=1"):
        View("vector", "single").action_space(world)


def test_slates_of_another_size_are_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="4 slots; expected 3"):
        View("vector", "slots").decode(np.zeros((3, 3), np.int64), observe(world), world.catalog)


def test_the_best_of_each_slot_that_is_left(world: World) -> None:
    scores = np.array([[[5.0, 4.0, 3.0, 2.0, 1.0], [5.0, 4.0, 1.0, 2.0, 3.0]]] * 2, np.float32)
    seen = {"slate": np.zeros((2, 4), np.int32), "history": np.array([[0, 0], [2, 5]])}  # the second user has met item 1, then 4
    np.testing.assert_array_equal(View("vector", "slots").best(scores, seen), [[0, 1, 4, 3], [0, 3, 2, 1]])


# environment


@pytest.mark.parametrize("name", NAMES)
def test_one_environment_and_many(name: str) -> None:
    config = small(name)
    context = environment.env_config(config, ALGORITHMS[name].view)
    json.dumps(context)  # plain values
    one, many = environment.create(context), environment.create({**context, "num_envs": 3})
    assert many.single_observation_space == one.observation_space
    assert many.single_action_space == one.action_space
    seen, _ = many.reset(seed=5)
    assert many.observation_space.contains(seen)
    many.action_space.seed(0)
    for _ in range(8):
        seen, rewards, *_ = many.step(many.action_space.sample())
        assert many.observation_space.contains(seen)
        assert rewards.shape == (3,)
    alone, _ = one.reset(seed=5)
    assert one.observation_space.contains(alone)
    one.step(one.action_space.sample())


def test_runners_of_neighbouring_seeds_share_no_session() -> None:
    context = environment.env_config(small("ppo"), SLATE) | {"num_envs": 16}
    first, second = environment.create(context), environment.create(context)
    first.reset(seed=1)
    second.reset(seed=2)
    assert not np.isin(first.world.state.keys, second.world.state.keys).any()


# training


@pytest.fixture(scope="module")
def cluster(serving: Any) -> Iterator[None]:
    """Ray, once for the module."""
    import ray

    folder = tempfile.mkdtemp(prefix="rw-")  # short: sockets lie in it
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    yield
    ray.shutdown()


@pytest.fixture(scope="module", params=NAMES)
def trained(
    request: pytest.FixtureRequest, serving: Any, cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, ...]]:
    """(config, module after training, weights before, results, exported folder) of each algorithm."""
    config = small(request.param)
    algorithm = launch.algorithm_config(config).build_algo()
    module = algorithm.get_module()
    before = {key: value.copy() for key, value in module.get_state().items()}
    results = [algorithm.train() for _ in range(2)]
    folder = tmp_path_factory.mktemp(request.param) / "policy"
    serving.export(config, module, folder)
    yield config, module, before, results, folder
    algorithm.stop()


def test_training_changes_the_weights(trained: tuple[Any, ...]) -> None:
    _, module, before, results, _ = trained
    after = module.get_state()
    assert any(np.abs(after[key] - before[key]).max() > 0 for key in before)
    assert all(np.isfinite(value).all() for value in after.values())
    for result in results:
        assert np.isfinite(result["env_runners"]["episode_return_mean"])
    assert results[-1]["env_runners"]["num_env_steps_sampled_lifetime"] >= 2 * 8 * 5


def test_what_is_loaded_acts_as_what_was_trained(serving: Any, trained: tuple[Any, ...]) -> None:
    config, module, _, _, folder = trained
    data = make_world(config.world_config())
    live, kept = serving.policy_of(config, module), make_policy(f"rllib:{folder.parent}")
    seen = first_observations(data.dataset, data.split, data.split.validation[:20], slate_size=config.world["slate_size"])
    for policy in (live, kept):
        assert isinstance(policy, Recommender)
        policy.fit(data.dataset, data.split)
    slates = kept.recommend(seen, luck_of(seen))
    assert slates.shape == (20, config.world["slate_size"])
    np.testing.assert_array_equal(slates, live.recommend(seen, luck_of(seen)))
    assert {file.name for file in folder.iterdir()} == {"policy.json", "weights.npz"}


def test_exports_are_the_same_byte_by_byte(serving: Any, trained: tuple[Any, ...], tmp_path: Path) -> None:
    config, module, _, _, folder = trained
    serving.export(config, module, tmp_path)
    for name in ("policy.json", "weights.npz"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


# serving


def untrained(name: str, folder: Path) -> Path:
    """A policy as it is born, exported without Ray's processes."""
    import torch
    from ray.rllib.core import DEFAULT_MODULE_ID

    from recoworld.training import serving

    config = small(name)
    algorithm, settings = launch.algorithm_of(config)
    world = make_world(config.world_config())
    spaces = {DEFAULT_MODULE_ID: (algorithm.view.observation_space(world), algorithm.view.action_space(world))}
    torch.manual_seed(0)
    module = algorithm.build(config, settings).get_rl_module_spec(spaces=spaces, inference_only=True).build()
    serving.export(config, module, folder)
    return folder


@pytest.fixture(scope="module")
def folder(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained SAC policy."""
    return untrained("sac", tmp_path_factory.mktemp("sac"))


class Served(RecommenderTests):
    """An exported policy holds to what every recommender does, whatever the size of slates that it was trained on."""

    __test__ = False
    algorithm: str
    place: dict[str, Path] = {}  # noqa: RUF012  # filled once

    @pytest.fixture(autouse=True)
    def _exported(self, serving: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
        if self.algorithm not in self.place:
            self.place[self.algorithm] = untrained(self.algorithm, tmp_path_factory.mktemp(self.algorithm))

    def make(self) -> Recommender:
        """The exported one."""
        return make_policy(f"rllib:{self.place[self.algorithm]}")


class TestServedSlots(Served):
    __test__ = True
    algorithm = "ppo"


class TestServedProto(Served):
    __test__ = True
    algorithm = "sac"


class TestServedSingle(Served):
    __test__ = True
    algorithm = "dqn"


def test_the_mean_of_a_squashed_gaussian_is_squashed(serving: Any) -> None:
    """RLlib 2.60 gives it as it is."""
    import torch
    from ray.rllib.core.distribution.torch.torch_distribution import TorchSquashedGaussian

    class Module(torch.nn.Linear):
        def forward_inference(self, batch: dict[str, Any]) -> dict[str, Any]:
            return {"action_dist_inputs": self(batch["obs"])}

        def get_inference_action_dist_cls(self) -> type:
            return TorchSquashedGaussian

    module = Module(1, 4)
    with torch.no_grad():
        module.weight.zero_()
        module.bias.copy_(torch.tensor([0.5, -2.0, -1.0, -1.0]))
    found = serving.chosen(module, np.zeros((3, 1), np.float32))
    np.testing.assert_allclose(found, np.tanh([[0.5, -2.0]] * 3), rtol=1e-6)


def test_a_folder_that_is_not_there(serving: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        make_policy(f"rllib:{tmp_path / 'nowhere'}")
    with pytest.raises(ConfigError, match=r"holds no policy.json"):
        make_policy(f"rllib:{tmp_path}")
    with pytest.raises(ConfigError, match="no folder is named"):
        make_policy("rllib:")


@pytest.mark.parametrize("damage", ["half", "json", "weights", "version", "object", "foreign", "module", "path", "other data"])
def test_damaged_folders(folder: Path, tmp_path: Path, damage: str) -> None:
    facts, content = json.loads((folder / "policy.json").read_text()), (folder / "weights.npz").read_bytes()
    text = None
    if damage == "half":
        content = content[: len(content) // 2]
    elif damage == "json":
        text = "{"
    elif damage == "weights":
        content = b""
    elif damage == "version":
        facts["version"] = 99
    elif damage == "object":
        facts = [facts]
    elif damage == "foreign":
        facts["config"]["algorithm"] = "this_module_is_not_imported:thing"
    else:
        named = {"module": "this_module_is_not_imported:load", "path": "recbole:/tmp", "other data": "ml-1m"}
        facts["config"]["world"]["dataset"] = named[damage]
    (tmp_path / "policy.json").write_text(text or json.dumps(facts))
    (tmp_path / "weights.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"damaged|version|not ours"):
        make_policy(f"rllib:{tmp_path}")


def test_a_policy_tells_nothing_of_the_machine_and_all_of_its_settings(serving: Any, tmp_path: Path) -> None:
    config = small("sac").model_copy(update={"cluster": Cluster(address="head:6379", temp_dir="/home/me/ray")})
    world = {**config.world, "dataset": "test_train_stock:mini", "data_dir": str(tmp_path / "of-mine")}
    serving.export(config.model_copy(update={"world": world}), _Holds({"a": np.zeros(2, np.float32)}), tmp_path)
    text = (tmp_path / "policy.json").read_text()
    facts = json.loads(text)
    assert "of-mine" not in text
    assert "cluster" not in facts["config"]
    assert facts["config"]["world"]["dataset"] == "mini"  # what it calls itself
    assert facts["config"]["world"]["history_length"] == 50
    assert facts["config"]["world"]["instruction_turns"] == config.world_config().instruction_turns  # a default
    assert facts["config"]["settings"] == launch.algorithm_of(config)[1].model_dump(mode="json")
    assert serving.load(tmp_path).name == "sac"


def mini(*, data_dir: str | None = None) -> Any:
    """A data set by the name of a function."""
    return make_world(dataset="mini").dataset


class _Holds:
    """Stands for a module."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self._weights = weights

    def get_state(self, **_: Any) -> dict[str, Any]:
        return self._weights


def test_python_objects_are_not_exported(serving: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"odd of a sac: got Python objects"):
        serving.export(small("sac"), _Holds({"fine": np.zeros(2), "odd": np.array([{}])}), tmp_path / "policy")
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize("name", ["slate-ppo", "sqn"])
def test_a_slate_aware_policy_knows_the_data_that_it_is_fitted_with(
    serving: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from recoworld import datasets
    from recoworld.training import slate_module

    untrained(name, tmp_path)
    world = make_world(dataset="mini", slate_size=3)
    dataset, split = world.dataset, world.split

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file from somewhere must not choose the data")

    for place in (datasets, slate_module, assembly):
        monkeypatch.setattr(place, "load_dataset", refused)
    slate_module.knowledge_of.cache_clear()
    assembly._people.cache_clear()
    policy = make_policy(f"rllib:{tmp_path}")
    policy.fit(dataset, split)
    assert policy._module.net.catalog is not None
    seen = first_observations(dataset, split, split.test[:2], slate_size=3)
    assert policy.recommend(seen, luck_of(seen)).shape == (2, 3)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nan"])
def test_weights_that_do_not_fit(serving: Any, folder: Path, tmp_path: Path, change: str) -> None:
    config = small("sac")
    world = make_world(config.world_config())
    with np.load(folder / "weights.npz") as arrays:
        weights = dict(arrays)
    name = next(key for key, value in weights.items() if value.ndim == 2)
    if change == "missing":
        del weights[name]
    elif change == "extra":
        weights["more"] = weights[name]
    elif change == "shape":
        weights[name] = weights[name][:-1]
    else:
        weights[name] = np.full_like(weights[name], np.nan)

    serving.export(config, _Holds(weights), tmp_path)
    policy = make_policy(f"rllib:{tmp_path}")
    with pytest.raises(ConfigError, match="do not fit"):
        policy.fit(world.dataset, world.split)


def test_other_data_are_refused(folder: Path) -> None:
    world = make_world(dataset="mini", slate_size=3)
    policy = make_policy(f"rllib:{folder}")
    with pytest.raises(ConfigError, match="split seed"):
        policy.fit(world.dataset, world.dataset.split(seed=1))
    seen = first_observations(world.dataset, world.split, world.split.test[:2], slate_size=3)
    with pytest.raises(ConfigError, match="call fit"):
        policy.recommend(seen, luck_of(seen))


def test_without_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray.rllib", None)
    with pytest.raises(MissingExtra, match=r"recoworld\[rllib\]"):
        make_policy(f"rllib:{tmp_path}")


# configs


@pytest.mark.parametrize("name", [f"mini-{name}" for name in NAMES])
def test_shipped_configs(serving: Any, name: str) -> None:
    assert name in trainings()
    config = TrainConfig.of(name)
    algorithm, settings = launch.algorithm_of(config)
    environment.create(environment.env_config(config, algorithm.view) | {"num_envs": 2})
    algorithm.build(config, settings)


def test_settings_are_checked(serving: Any) -> None:
    with pytest.raises(ConfigError, match="did you mean 'gamma'"):
        launch.algorithm_of(small("ppo", gama=0.9))
    with pytest.raises(ConfigError, match=r"settings.lr"):
        launch.algorithm_of(small("ppo", lr=-1.0))

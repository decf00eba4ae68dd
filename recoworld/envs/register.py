"""The environments' ids. `recoworld.plugin` registers them when Gymnasium is imported."""

from __future__ import annotations

IDS: dict[str, dict[str, str]] = {
    "RecoWorld-Mini-v0": {"dataset": "mini"},
    "RecoWorld-ML1M-v0": {"dataset": "ml-1m"},
    "RecoWorld-ML100K-v0": {"dataset": "ml-100k"},
    "RecoWorld-RecBole-v0": {"dataset": "recbole"},  # needs data_dir=
}
"""Id -> settings of its world. ``gym.make("RecoWorld-Mini-v0", dataset="my-log")`` opens any other data set by name."""


def register_all() -> None:
    """Register every id; those that are registered already stay as they are."""
    from gymnasium.envs.registration import register, registry  # here, for importing Gymnasium is what calls this

    for name, settings in IDS.items():
        if name not in registry:
            register(
                id=name,
                entry_point="recoworld.envs.slate:SlateEnv",
                vector_entry_point="recoworld.envs.vector:SlateVectorEnv",
                kwargs=dict(settings),
            )

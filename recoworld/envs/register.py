"""The environments' ids. `recoworld.plugin` registers them when Gymnasium is imported."""

from __future__ import annotations

import os

IDS: dict[str, dict[str, str]] = {
    "RecoWorld-Mini-v0": {"dataset": "mini"},
    "RecoWorld-ML1M-v0": {"dataset": "ml-1m"},
    "RecoWorld-ML100K-v0": {"dataset": "ml-100k"},
    "RecoWorld-RecBole-v0": {"dataset": "recbole"},  # needs data_dir=
}
"""Id -> settings of its world. ``gym.make("RecoWorld-Mini-v0", dataset="my-log")`` opens any other data set by name."""
ENTRY_POINT = "recoworld.envs.slate:SlateEnv"
FORMS: dict[str, tuple[str, str]] = {
    "RecoWorld": (ENTRY_POINT, "recoworld.envs.vector:SlateVectorEnv"),
    "RecoWorldText": ("recoworld.envs.text:TextEnv", "recoworld.envs.text_vector:TextVector"),
}
"""What each id is registered as, besides itself: ``RecoWorldText-Mini-v0`` is the world of ``RecoWorld-Mini-v0`` in words and tools."""


def own_ids(home: str | None = None) -> dict[str, dict[str, str]]:
    """An id for every imported log, ``RecoWorld-NAME-v0``: its world has the settings that ``recoworld build`` found for it, if it did.

    home: as for `recoworld.datasets.import_log`. Who never imported a log pays two milliseconds.
    """
    from platformdirs import user_data_dir

    root = home or os.environ.get("RECOWORLD_HOME") or user_data_dir("recoworld")
    if not os.path.isdir(os.path.join(os.path.expanduser(root), "datasets")):
        return {}
    from recoworld.datasets.logs import list_imported, preset_path
    from recoworld.registry import DATASETS

    found = {}
    for name in list_imported(home=home):
        if name not in DATASETS:  # a file of that name put there by hand
            preset = preset_path(name, home=home)
            found[f"RecoWorld-{name}-v0"] = {"dataset": name} | ({"config": str(preset)} if preset.is_file() else {})
    return found


def register_all() -> None:
    """Register every id. Those of imported logs follow what is in the folder now; others that are registered already stay as they are."""
    from gymnasium.envs.registration import register, registry  # here, for importing Gymnasium is what calls this

    try:
        own = own_ids()
    except Exception:  # whatever lies in that folder, `import gymnasium` goes on
        own = {}
    for base, settings in {**own, **IDS}.items():
        for form, (entry_point, vector_entry_point) in FORMS.items():
            name = base.replace("RecoWorld", form, 1)
            known = registry.get(name)
            if known is not None and base in own and known.entry_point == entry_point and known.kwargs != settings:
                del registry[name]
            if name not in registry:
                register(id=name, entry_point=entry_point, vector_entry_point=vector_entry_point, kwargs=dict(settings))

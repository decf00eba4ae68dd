"""``recoworld list``: everything that has a name."""

from __future__ import annotations

from typing import Annotated

import typer

from recoworld.cli.errors import told_plainly


@told_plainly()
def list_(
    data_dir: Annotated[str | None, typer.Option(help="Folder of imported logs.", show_default=False)] = None,
) -> None:
    """What there is: environments, data sets, policies, agents, simulators, reward parts, presets."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from recoworld.configs import presets
    from recoworld.datasets import list_imported
    from recoworld.envs.register import IDS, own_ids
    from recoworld.registry import AGENTS, DATASETS, POLICIES, SIMULATORS
    from recoworld.rewards import DEFAULT_WEIGHTS, PARTS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=True)
    table.add_column("kind", style="dim", no_wrap=True)
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("is", no_wrap=True, overflow="ellipsis", ratio=1)
    sections = {
        "environment": {name: f"{settings['dataset']}" for name, settings in IDS.items()}
        | {name.replace("RecoWorld", "RecoWorldText", 1): f"{settings['dataset']}, in words and tools" for name, settings in IDS.items()}
        | {name: f"{settings['dataset']}{', built by you' * ('config' in settings)}" for name, settings in own_ids(data_dir).items()},
        "data set": {name: _first_line(DATASETS[name]) for name in DATASETS}
        | dict.fromkeys(list_imported(home=data_dir), "imported by you"),
        "policy": {name: _first_line(POLICIES[name]) for name in POLICIES}
        | {"...+instruct": "Any policy that scores items, made to follow instructions."},
        "agent": {name: _first_line(AGENTS[name]) for name in AGENTS},
        "simulator": {name: _module_line(SIMULATORS[name]) for name in SIMULATORS},
        "reward part": {name: f"{_first_line(part)} Weight {DEFAULT_WEIGHTS.get(name, 0):g}." for name, part in PARTS.items()},
        "preset": {name: _comment(name) for name in presets()},
    }
    for kind, entries in sections.items():
        for name, words in entries.items():
            table.add_row(kind, name, words)
            kind = ""
        table.add_section()
    Console().print(table)


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0].replace("`", "")


def _module_line(thing: object) -> str:
    """A simulator is described at the head of its module."""
    from sys import modules

    return _first_line(modules[getattr(thing, "__module__", __name__)])


def _comment(preset: str) -> str:
    """The comment at the head of a preset."""
    from importlib import resources

    return (resources.files("recoworld.configs") / f"{preset}.yaml").read_text(encoding="utf-8").split("\n")[0].lstrip("# ")

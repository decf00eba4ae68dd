"""``recoworld build``: from a log of one's own to an environment, in one command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.text import Text

from recoworld.cli import columns
from recoworld.cli.errors import told_plainly
from recoworld.cli.evaluate import INTERRUPTED
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.guess import USUAL, guessed
from recoworld.datasets.logs import home_folder, import_log, preset_path, stamp
from recoworld.datasets.tables import read_header
from recoworld.errors import CacheUnwritable, ConfigError, MissingExtra
from recoworld.files import replacing
from recoworld.text import plain
from recoworld.version import __version__

if TYPE_CHECKING:
    from recoworld.users import Dataset

SECTIONS = "choice,ratings,diversity"
"""Of the report: those that take seconds."""
_SLATE = 10


@told_plainly()
def build(
    log: columns.Log,
    user: Annotated[str | None, columns.USER] = None,
    item: Annotated[str | None, columns.ITEM] = None,
    name: columns.Name = None,
    rating: columns.Rating = None,
    time: columns.Time = None,
    title: columns.Title = None,
    genres: columns.Genres = None,
    year: columns.Year = None,
    items: columns.Items = None,
    like_threshold: columns.LikeThreshold = None,
    encoding: columns.Encoding = "utf-8",
    users: Annotated[int, typer.Option(min=2, help="Users to calibrate on, and to hold the simulated ones against.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of users drawn, questions and bootstrap.")] = 0,
    sections: Annotated[str, typer.Option(help="Of the report, separated by commas, or all: see `recoworld fidelity`.")] = SECTIONS,
    click_rate: Annotated[
        float | None, typer.Option(help="Of what a good recommender shows, if you know it.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; else NAME.report beside the imported logs.", show_default=False)
    ] = None,
    overwrite: columns.Overwrite = False,
) -> None:
    """A log of your own becomes an environment that gym.make opens by name.

    It is imported, its users are fitted, calibrated on what they took later where there are enough of them, and held against the people.
    Columns that are not named are guessed; "" is none. What is finished is kept: the same command goes on where it was interrupted.
    """
    name = name or columns.name_of(log)
    given = {"user": user, "item": item, "rating": rating, "time": time, "title": title, "genres": genres, "year": year}
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        named = _columns(log, items, encoding, given, console.print)
        rest = {"items": items, "like_threshold": like_threshold, "encoding": encoding}
        report = out or home_folder() / f"{name}.report"
        wanted = {"users": users, "seed": seed, "click_rate": click_rate, "version": __version__}
        with Console(stderr=True).status("reading the log") as doing:
            data = _imported(log, name, named | rest, overwrite, console.print)
            doing.update("fitting its users")
            anew = _calibrated(data, report, wanted, console.print)
            doing.update("holding them against the people of the log")
            done = _held_against_people(name, report, users, seed, sections, overwrite or anew, console)
    except KeyboardInterrupt:
        typer.echo("interrupted: what is finished is kept; the same command goes on from there", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _farewell(name, report if done else None, console)


def _columns(log: str, items: str | None, encoding: str, given: dict[str, str | None], say: Callable[..., None]) -> dict[str, Any]:
    """The arguments of `import_log` that name columns; says what was guessed. Raises ConfigError where users or items are not found."""
    header = read_header(Path(log).expanduser(), encoding=encoding)
    about = header if items is None else read_header(Path(items).expanduser(), encoding=encoding)
    open_ = [role for role in USUAL if given[role] is None]
    taken = set(given.values())
    found: dict[str, str] = {}
    for names, roles in ((header, ("user", "item", "rating", "time")), (about, ("title", "genres", "year"))):
        found |= guessed([name for name in names if name not in taken], [role for role in roles if role in open_])
    named = {role: column or None for role, column in {**given, **found}.items()}
    for role in ("user", "item"):
        if not named[role]:
            there = ", ".join(plain(column, 40) for column in header[:40])
            raise ConfigError(f"{log}: no column has a usual name for {role} ids; columns found: {there}; say which with --{role}")
    if found:
        said = ", ".join(f"--{role} {plain(column, 40)}" for role, column in found.items())
        say(f'Columns guessed: {said} (name the right one where a guess is wrong, "" for none).')
    return named


def _imported(log: str, name: str, settings: dict[str, Any], overwrite: bool, say: Callable[..., None]) -> Dataset:
    """The data set: that of the same command before, or imported now. Raises ConfigError where another has the name."""
    from recoworld.datasets import load_dataset

    paths = [Path(path).expanduser() for path in (log, settings["items"]) if path]
    key = {"log": fingerprint(paths, version=1), **settings}
    before, there = _record(name), stamp(name)
    if there is not None and not overwrite:
        if before.get("import") != key or before.get("stamp") != list(there):
            raise ConfigError(f"a log {name!r} was imported before, from another file or otherwise; choose a --name, or --overwrite it")
        data = load_dataset(name)
        say(f"Kept from before: {_size(data)}.")
    else:
        data = import_log(log, name=name, overwrite=overwrite, **settings)
        _write(_record_path(name), json.dumps({"import": key, "stamp": stamp(name)}))
        say(f"Imported: {_size(data)}.")
    if len(data.users) < 2:
        raise ConfigError(f"{log}: the column {settings['user']!r} holds one user; a world needs two or more, some of them to learn from")
    return data


def _calibrated(data: Dataset, report: Path, wanted: dict[str, Any], say: Callable[..., None]) -> bool:
    """Write the preset of the world, and try it out; whether that was done now."""
    from recoworld.assembly import make_world
    from recoworld.configs import WorldConfig
    from recoworld.evaluation.calibration import calibrate

    preset, record = preset_path(data.name), _record(data.name)
    anew = not preset.is_file() or record.get("calibration") != wanted
    if anew:
        settings: dict[str, Any] = {"dataset": data.name, "simulator": "behavioral"}
        if len(data.catalog) < _SLATE:
            settings["slate_size"] = max(1, len(data.catalog) // 2)
        try:
            found = calibrate(dataset=data.name, users=wanted["users"], seed=wanted["seed"], click_rate=wanted["click_rate"])
        except ConfigError as error:
            say(f"Not calibrated, the usual coefficients hold: {plain(error, 400)}.")
        else:
            settings["simulator_config"] = found.config
            found.save(report)
            change = found.facts["test"]["log_loss"]["after" if found.facts["fitted"] else "before"].get("change", {"value": 0.0})["value"]
            fitted = ", ".join(f"{name} {entry['before']:g} to {entry['after']:g}" for name, entry in found.facts["fitted"].items())
            say(f"Calibrated: {fitted or 'nothing to change'}; log-loss on test users {change:+.3f}.")
        heading = f"# The world of {data.name!r}, found by recoworld build, version {__version__}; change what you like.\n"
        _write(preset, heading + yaml.safe_dump(settings, sort_keys=False))
        _write(_record_path(data.name), json.dumps(record | {"calibration": wanted}))
    else:
        say(f"Kept from before: {preset}.")
    world = make_world(WorldConfig.of(str(preset)))
    say(f"Fitted: {len(world.dataset.users):,} simulated users, slates of {world.slate_size}.")
    return anew


def _held_against_people(name: str, report: Path, users: int, seed: int, sections: str, fresh: bool, console: Console) -> bool:
    """The fidelity report; whether there is one."""
    from recoworld.configs import WorldConfig
    from recoworld.evaluation.fidelity.run import fidelity

    config = WorldConfig.of(str(preset_path(name)))
    names = [part.strip() for part in sections.split(",") if part.strip()]
    try:
        found = fidelity(
            config.simulator,
            dataset=name,
            settings=config.simulator_config,
            users=users,
            seed=seed,
            sections=names,
            out=report,
            fresh=fresh,
        )
    except (ConfigError, MissingExtra) as error:
        console.print(f"No report: {plain(error, 400)}.")
        return False
    if found.interrupted:
        raise KeyboardInterrupt
    for finding in found.findings:
        console.print(Text("note: ", style="yellow"), Text(finding), sep="")
    return True


def _farewell(name: str, report: Path | None, console: Console) -> None:
    from recoworld.envs.register import register_all

    register_all()
    console.print(f'\nOpen it:   import gymnasium; env = gymnasium.make("RecoWorld-{name}-v0")')
    console.print(f"Evaluate:  recoworld evaluate --env RecoWorld-{name}-v0 --policies popularity,ease")
    if report is not None:
        console.print(f"Report:    {report / 'fidelity.md'}")


def _size(data: Dataset) -> str:
    from recoworld.cli.data import summary

    return summary(data)


def _record_path(name: str) -> Path:
    return preset_path(name).with_name(f"{name}.build.json")


def _record(name: str) -> dict[str, Any]:
    """What an earlier build of this name did; nothing where it cannot be read."""
    try:
        found = json.loads(_record_path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: str) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    except OSError as error:
        raise CacheUnwritable(f"cannot write {path} ({error.strerror or error}); free the disk, or set RECOWORLD_HOME") from None

"""From a log of one's own to an environment: imported, calibrated where there are enough people, held against them.

What is finished is kept beside the imported log: NAME.npz is the log, NAME.yaml the settings of its world (`preset_path`), and
NAME.build.json of what both were made, by which the same build goes on where it was interrupted, and another one is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.datasets import load_dataset
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.describe import summary
from recoworld.datasets.guess import columns_of
from recoworld.datasets.logs import home_folder, keep_log, preset_path, same_log, stamp, usual_name
from recoworld.datasets.own_log import read_log
from recoworld.errors import ConfigError, MissingExtra
from recoworld.evaluation.build_record import Record
from recoworld.evaluation.calibration import calibrate
from recoworld.evaluation.calibration.run import check_click_rate
from recoworld.evaluation.fidelity.run import fidelity
from recoworld.evaluation.fidelity.sections import chosen
from recoworld.files import check_writable
from recoworld.text import plain
from recoworld.users import Dataset
from recoworld.version import __version__

SECTIONS = ("choice", "ratings", "diversity")
"""Of the report: those that take seconds."""
_SLATE = 10
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Built:
    """A world that `gym.make` opens as ``RecoWorld-NAME-v0``."""

    dataset: Dataset
    preset: Path
    """Its settings."""
    report: Path | None
    """The folder of the fidelity report; None where nothing could be measured."""
    findings: tuple[str, ...] = ()
    """Of the report."""
    held_out: int
    """Users of the group "test" of whom something is hidden from policies; below 2 the log is too small to evaluate on."""


def build_world(
    log: str | Path,
    *,
    name: str | None = None,
    columns: dict[str, str | None] | None = None,
    items: str | Path | None = None,
    like_threshold: float | None = None,
    encoding: str = "utf-8",
    users: int = 1000,
    seed: int = 0,
    sections: tuple[str, ...] = SECTIONS,
    click_rate: float | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    say: Say = print,
    doing: Say = lambda what: None,
) -> Built:
    """Import a log, calibrate its users, and hold them against its people.

    Args:
        log: CSV or Parquet, as `recoworld.datasets.import_log` reads it.
        name: Of the data set and the world; else the file's, as `usual_name` has it.
        columns: For user, item, rating, time, title, genres, year the column's name; None is guessed, "" is none.
        items: A table of items, as there.
        like_threshold: As there.
        encoding: As there.
        users: To calibrate on, and to hold the simulated ones against.
        seed: Of users drawn, questions and bootstrap.
        sections: Of the report: `recoworld.evaluation.fidelity.sections.SECTIONS`, or "all".
        click_rate: Of what a good recommender shows, where you know it.
        out: Folder for the report; else NAME.report beside the imported logs.
        overwrite: Replace a log, a calibration and a report of other settings.
        say: Called with each line that tells what was done.
        doing: Called with what is being done now.

    What can be checked is checked before anything is written. Ctrl-C raises KeyboardInterrupt: the same call goes on from there.
    Raises ConfigError, also for a log of one user, UnknownName, DatasetError.
    """
    log, items = Path(log).expanduser(), None if items is None else Path(items).expanduser()
    name = usual_name(log.stem) if name is None else name
    record, report = Record(name), home_folder() / f"{name}.report" if out is None else Path(out).expanduser()
    wanted = {"users": users, "seed": seed, "click_rate": click_rate, "version": __version__}
    chosen(sections)
    check_click_rate(click_rate)
    _check_folder(report)
    if not overwrite:
        record.refuse_others(wanted, None if out is None else report)
    named, guesses = columns_of(log, columns or {}, items=items, encoding=encoding)
    if guesses:
        said = ", ".join(f"--{role} {plain(str(column), 40)}" for role, column in guesses.items())
        say(f'Columns guessed: {said} (name the right one where a guess is wrong, "" for none).')
    doing("reading the log")
    rest = {"items": None if items is None else str(items), "like_threshold": like_threshold, "encoding": encoding}
    data = _imported(log, record, named | rest, overwrite, say)
    record.reporting(report)
    doing("fitting its users")
    anew = _calibrated(data, record, report, wanted, say)
    doing("holding them against the people of the log")
    findings = _held_against_people(name, report, wanted, sections, overwrite or anew, say)
    split = data.split()
    held_out = int((data.interactions.indptr[split.test + 1] > split.visible_end[split.test]).sum())
    return Built(
        dataset=data,
        preset=preset_path(name),
        report=None if findings is None else report,
        findings=findings or (),
        held_out=held_out,
    )


def _check_folder(report: Path) -> None:
    try:
        check_writable(report)
    except OSError as error:
        raise ConfigError(f"cannot write to {report} ({error.strerror or error}); choose another folder, or free the disk") from None


def _imported(log: Path, record: Record, settings: dict[str, Any], overwrite: bool, say: Say) -> Dataset:
    """The data set: that of an earlier import of the same log, or imported now. Raises ConfigError where another has the name."""
    paths = [log, *([Path(settings["items"])] if settings["items"] else [])]
    name, key = record.name, {"log": fingerprint(paths, version=1), **settings}
    there = None if overwrite else stamp(name)
    if there is not None and record.of_import(key):
        data = load_dataset(name)
        say(f"Kept from before: {summary(data)}.")
        return data
    data = read_log(log, name=name, **settings)
    if len(data.users) < 2:
        raise ConfigError(f"{log}: the column {settings['user']!r} holds one user; a world needs two or more, some of them to learn from")
    if there is None:
        keep_log(data)
    elif not same_log(data, load_dataset(name)):
        raise ConfigError(f"a log {name!r} was imported before, from another file or otherwise; choose a --name, or --overwrite it")
    record.imported(key)
    say(f"{'Imported' if there is None else 'Imported before, with the same content'}: {summary(data)}.")
    return load_dataset(name)


def _calibrated(data: Dataset, record: Record, report: Path, wanted: dict[str, Any], say: Say) -> bool:
    """Write the preset of the world, and try it out; whether that was done now."""
    preset = preset_path(data.name)
    anew = not (preset.is_file() and record.of_calibration(wanted))
    if anew:
        settings: dict[str, Any] = {"dataset": data.name, "simulator": "behavioral"}
        if len(data.catalog) < _SLATE:
            settings["slate_size"] = max(1, len(data.catalog) // 2)
        settings |= _coefficients(data, report, wanted, say)
        heading = f"# The world of {data.name!r}, found by recoworld build, version {__version__}; change what you like.\n"
        record.calibrated(wanted)
        record.write(preset, heading + yaml.safe_dump(settings, sort_keys=False))
    else:
        say(f"Kept from before: {preset}.")
    world = make_world(WorldConfig.of(str(preset)))
    say(f"Fitted: {len(world.dataset.users):,} simulated users, slates of {world.slate_size}.")
    return anew


def _coefficients(data: Dataset, report: Path, wanted: dict[str, Any], say: Say) -> dict[str, Any]:
    """`simulator_config` of the preset; nothing where the usual coefficients hold."""
    try:
        found = calibrate(dataset=data.name, users=wanted["users"], seed=wanted["seed"], click_rate=wanted["click_rate"])
    except ConfigError as error:
        say(f"Not calibrated, the usual coefficients hold: {plain(error, 400)}.")
        return {}
    found.save(report)
    before, after = found.log_loss
    if found.worse:
        say(f"Not calibrated, the usual coefficients are kept: the fit raised the log-loss on test users from {before:.2f} to {after:.2f}.")
        return {}
    fitted = ", ".join(f"{name} {entry['before']:g} to {entry['after']:g}" for name, entry in found.facts["fitted"].items())
    say(f"Calibrated: {fitted or 'nothing to change'}; log-loss on test users {before:.2f} to {after:.2f}.")
    return {"simulator_config": found.config}


def _held_against_people(
    name: str, report: Path, wanted: dict[str, Any], sections: tuple[str, ...], fresh: bool, say: Say
) -> tuple[str, ...] | None:
    """What the fidelity report finds; None where there is none."""
    config = WorldConfig.of(str(preset_path(name)))
    try:
        found = fidelity(
            config.simulator,
            dataset=name,
            settings=config.simulator_config,
            users=wanted["users"],
            seed=wanted["seed"],
            sections=sections,
            out=report,
            fresh=fresh,
        )
    except (ConfigError, MissingExtra) as error:
        say(f"No report: {plain(error, 400)}.")
        return None
    if found.interrupted:
        raise KeyboardInterrupt
    return tuple(found.findings)

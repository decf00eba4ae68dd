"""``recoworld data``: download, check, describe and list data sets, and import a log of your own."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recoworld.cli import columns
from recoworld.cli.errors import told_plainly
from recoworld.datasets import import_log, list_imported, load_dataset
from recoworld.datasets.describe import exposure, summary
from recoworld.registry import DATASETS
from recoworld.text import plain
from recoworld.users import Dataset

app = typer.Typer(name="data", help="Data sets: download, check, describe, import your own log.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A data set: see `list`; or recbole:PATH.", show_default=False)]
DataDir = Annotated[str | None, typer.Option(help="Folder of a local copy.", show_default=False)]


@app.command("list")
@told_plainly()
def list_all() -> None:
    """Names of the built-in data sets and of your imported logs."""
    for name in DATASETS:
        typer.echo(f"{name}\tbuilt in")
    for name in list_imported():
        typer.echo(f"{name}\timported")


@app.command()
@told_plainly()
def download(name: Name) -> None:
    """Have a data set ready for use offline."""
    typer.echo(summary(load_dataset(name)))


@app.command()
@told_plainly()
def check(name: Name, data_dir: DataDir = None) -> None:
    """Read a data set in full; say what was found and OK, or what is wrong with it."""
    typer.echo(summary(load_dataset(name, data_dir=data_dir)) + "\nOK")


@app.command("import")
@told_plainly()
def import_(
    log: columns.Log,
    user: Annotated[str, columns.USER],
    item: Annotated[str, columns.ITEM],
    name: columns.Name = None,
    rating: columns.Rating = None,
    time: columns.Time = None,
    title: columns.Title = None,
    genres: columns.Genres = None,
    year: columns.Year = None,
    items: columns.Items = None,
    like_threshold: columns.LikeThreshold = None,
    encoding: columns.Encoding = "utf-8",
    overwrite: columns.Overwrite = False,
) -> None:
    """Import a log of your own; open it by its name from then on."""
    dataset = import_log(
        log,
        name=name or columns.name_of(log),
        user=user,
        item=item,
        rating=rating,
        time=time,
        title=title,
        genres=genres,
        year=year,
        items=items,
        like_threshold=like_threshold,
        encoding=encoding,
        overwrite=overwrite,
    )
    typer.echo(summary(dataset))


@app.command()
@told_plainly()
def describe(name: Name, data_dir: DataDir = None) -> None:
    """A table of what is in a data set."""
    dataset = load_dataset(name, data_dir=data_dir)
    counts = np.diff(dataset.interactions.indptr)
    years = dataset.catalog.years[dataset.catalog.years > 0]
    share = dataset.catalog.genres.sum(axis=0)
    top = [f"{plain(dataset.catalog.genre_names[g], 40)} {share[g]:,}" for g in np.argsort(-share, kind="stable")[:5]]
    split = dataset.split()
    table = Table(title=plain(dataset.name), show_header=False)
    rows = [
        ("users", f"{len(dataset.users):,}"),
        ("items", f"{len(dataset.catalog):,}, {np.count_nonzero(dataset.catalog.popularity):,} of them met"),
        ("interactions", f"{len(dataset.interactions):,}"),
        ("density", f"{len(dataset.interactions) / (max(len(dataset.users), 1) * len(dataset.catalog)):.4%}"),
        ("per user", f"median {np.median(counts):g}, from {counts.min()} to {counts.max()}" if len(counts) else "none"),
        ("ratings", _histogram(dataset)),
        *exposure(dataset),
        ("genres", f"{len(dataset.catalog.genre_names)}: {', '.join(top)}{', ...' if len(share) > 5 else ''}"),
        ("years", f"{years.min()} to {years.max()}, {len(dataset.catalog) - len(years):,} items without" if len(years) else "none"),
        (f"split, seed {split.seed}", f"users: train {len(split.train):,}, validation {len(split.validation):,}, test {len(split.test):,}"),
        ("visible", f"{int((split.visible_end - dataset.interactions.indptr[:-1]).sum()):,} interactions"),
        ("source", plain(dataset.source, 400)),
    ]
    for label, value in rows:
        table.add_row(label, escape(value))
    Console().print(table)


def _histogram(dataset: Dataset) -> str:
    ratings = dataset.interactions.ratings
    if not dataset.explicit or not len(ratings):
        return "none; every interaction counts as liked"
    values, counts = np.unique(ratings, return_counts=True)
    labels = [f"{value:g}" for value in values]
    if len(values) > 10:
        counts, edges = np.histogram(ratings, bins=10)
        labels = [f"{low:.3g}..{high:.3g}" for low, high in pairwise(edges)]
    width = max(map(len, labels))
    bars = ["█" * round(30 * count / counts.max()) or "▏" for count in counts]
    lines = [f"{label:>{width}} {bar} {count:,}" for label, bar, count in zip(labels, bars, counts, strict=True)]
    return "\n".join([*lines, f"liked from {dataset.like_threshold:g} on: {dataset.liked.mean():.1%}"])

"""The options that say what is in a log of one's own: shared by ``recoworld data import`` and ``recoworld build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recoworld.datasets.logs import usual_name

_TIME = "Column of times: epoch or ISO 8601. Without it the file's order counts; where rows are sorted by item, a random one."
USER, ITEM = typer.Option(help="Column of user ids."), typer.Option(help="Column of item ids.")
Log = Annotated[str, typer.Argument(help="CSV or Parquet file.", show_default=False)]
Name = Annotated[str | None, typer.Option(help="Name to keep it under; else the file's.", show_default=False)]
Rating = Annotated[str | None, typer.Option(help="Column of ratings.")]
Time = Annotated[str | None, typer.Option(help=_TIME)]
Title = Annotated[str | None, typer.Option(help="Column of titles.")]
Genres = Annotated[str | None, typer.Option(help="Column of genres, separated by ; | or ,")]
Year = Annotated[str | None, typer.Option(help="Column of years.")]
Items = Annotated[str | None, typer.Option(help="Table with one row an item, which then has titles, genres, years.")]
LikeThreshold = Annotated[float | None, typer.Option(help="Ratings from here on count as liked.")]
Encoding = Annotated[str, typer.Option(help="Of a CSV file.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier import of this name.")]


def name_of(log: str) -> str:
    """What a log is called if nobody says."""
    return usual_name(Path(log).stem)

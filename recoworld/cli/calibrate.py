"""``recoworld calibrate``: a simulator fitted to people's choices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recoworld.cli.errors import told_plainly


@told_plainly()
def calibrate(
    simulator: Annotated[str, typer.Argument(help="A simulator's name: see `recoworld list`.")] = "behavioral",
    dataset: Annotated[str, typer.Option(help="A data set's name: see `recoworld list`.")] = "mini",
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of a local copy of the data; else $RECOWORLD_DATA.", show_default=False)
    ] = None,
    users: Annotated[int, typer.Option(min=2, help="Training users to fit on, and test users to measure on.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of users and items drawn, moods and bootstrap.")] = 0,
    negatives: Annotated[
        str, typer.Option(help="What stands beside the item taken: random, popularity_matched or same_genre.")
    ] = "random",
    click_rate: Annotated[
        float | None, typer.Option(help="Of what EASE shows, if you know it; else it stays as it was.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for calibrated.yaml (a preset) and calibration.json.", show_default=False)
    ] = None,
) -> None:
    """Fit a simulator to training users' choices; before and after on test users.

    The behavioural simulator's coefficients are fitted, and for any simulator a temperature and a prior on popularity.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from recoworld.evaluation.calibration import calibrate as calibrated

    columns = SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        found = calibrated(
            simulator,
            dataset=dataset,
            data_dir=data_dir,
            users=users,
            seed=seed,
            negatives=negatives,  # type: ignore[arg-type]  # checked there
            click_rate=click_rate,
            out=out,
            told=lambda doing, slates: bar.update(task, description=f"{doing}:", advance=slates),
        )
    console = Console()
    console.print(found)
    if out is not None:
        console.print(f"Written to {out}: calibrated.yaml, calibration.json", soft_wrap=True, highlight=False, markup=False)
        console.print(f"Use it: recoworld evaluate --config {out / 'calibrated.yaml'}", soft_wrap=True, highlight=False, markup=False)

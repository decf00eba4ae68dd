"""``recoworld calibrate``: a simulator fitted to people's choices."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recoworld.cli.errors import told_plainly
from recoworld.cli.evaluate import INTERRUPTED

if TYPE_CHECKING:
    from recoworld.evaluation.calibration import Calibrated


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
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace a calibration of other settings that is in the folder.")] = False,
) -> None:
    """Fit a simulator to training users' choices; before and after on test users.

    The behavioural simulator's coefficients are fitted; of any simulator, which temperature and prior on popularity would mend it.
    """
    from rich.console import Console

    from recoworld.evaluation.calibration import calibrate as calibrated

    done: dict[str, int] = {}
    try:
        with Console(stderr=True).status("reading") as status:

            def told(doing: str, slates: int) -> None:
                done[doing] = done.get(doing, 0) + slates
                status.update(f"{doing}: {done[doing]:,}" if done[doing] else doing)

            found = calibrated(
                simulator,
                dataset=dataset,
                data_dir=data_dir,
                users=users,
                seed=seed,
                negatives=negatives,  # type: ignore[arg-type]  # checked there
                click_rate=click_rate,
                out=out,
                fresh=fresh,
                told=told,
            )
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _farewell(found, out, data_dir)


def _farewell(found: Calibrated, out: Path | None, data_dir: str | None) -> None:
    """The tables; what was written; and how to use it, where it is worth using."""
    from rich.console import Console
    from rich.text import Text

    Console().print(found)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    fitted = bool(found.facts["fitted"])
    if not fitted:
        console.print("Nothing was fitted: there is no preset to use.")
    if found.worse:
        worse = "on test users the fit is worse than before: keep the old coefficients"
        console.print(Text("warning: ", style="yellow"), Text(worse), sep="")
    if out is None:
        return
    console.print(f"Written to {out}: {'calibrated.yaml, ' * fitted}calibration.json")
    if fitted and not found.worse:
        where = "" if data_dir is None else f" --data-dir {shlex.quote(data_dir)}"
        console.print(f"Use it: recoworld evaluate --config {shlex.quote(str(out / 'calibrated.yaml'))}{where}")

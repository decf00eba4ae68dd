"""The report in pictures: one PNG a question, and an overview of all. Colours are Okabe and Ito's, which the colour-blind tell apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recoworld.errors import MissingExtra
from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.showing.findings import at, bounds, value
from recoworld.evaluation.fidelity.showing.labels import label
from recoworld.evaluation.fidelity.showing.show import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recoworld.evaluation.fidelity.showing.report import Report

SIMULATOR, LIGHT, PEOPLE, RECOMMENDER, CROWD, BLIND = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#8C8C8C", "#CFCFCF"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "errorbar.capsize": 2.5,
}
_SIZE, _DPI = (6.2, 4.2), 150
_KINDS = {"random": "at random", "popularity_matched": "as popular", "same_genre": "of its genres"}


def drawn(report: Report) -> dict[str, bytes]:
    """PNG files by name, of what was measured. Raises MissingExtra without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise MissingExtra("matplotlib", "notebooks", "drawing the pictures of a fidelity report") from None
    there = {name: draw for name, draw in PICTURES.items() if at(report.sections, NEEDS[name]) is not None}
    out = {}
    with matplotlib.rc_context(STYLE):
        for name, draw in there.items():
            figure = Figure(figsize=_SIZE, layout="constrained")
            draw(figure.add_subplot(), report.sections)
            out[f"{name}.png"] = _png(figure)
        if there:
            columns = min(3, len(there))
            lines = -(-len(there) // columns)
            figure = Figure(figsize=(5.4 * columns, 4.0 * lines + 0.5), layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.05))
            figure.suptitle(title(report)[:1].upper() + title(report)[1:], x=0.01, ha="left", fontsize=13)
            for place, draw in enumerate(there.values(), 1):
                draw(figure.add_subplot(lines, columns, place), report.sections)
            out["overview.png"] = _png(figure)
    return out


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def choice(axes: Axes, sections: Json) -> None:
    """NDCG@10 by kind of negatives."""
    kinds = [kind for kind in _KINDS if at(sections, f"choice/{kind}/ndcg@10") is not None]
    names = {str(at(sections, f"choice/{kind}/ndcg@10/best_recommender/name")) for kind in kinds}
    series = (
        ("", "simulator", SIMULATOR),
        ("/best_recommender", f"best recommender ({', '.join(sorted(names))})", RECOMMENDER),
        ("/popularity", "popularity", CROWD),
        ("/uniform", "blind guess", BLIND),
    )
    for i, (row, words, colour) in enumerate(series):
        places = [place + 0.2 * (i - 1.5) for place in range(len(kinds))]
        _bars(axes, places, [f"choice/{kind}/ndcg@10{row}" for kind in kinds], sections, label=words, color=colour, width=0.18)
    axes.set_xticks(range(len(kinds)), [_KINDS[kind] for kind in kinds])
    axes.set(title="Which of 20 items did the person take?", xlabel="the 19 others are drawn", ylabel="NDCG@10")
    axes.set_ylim(0, 1)
    axes.grid(False, axis="x")
    axes.legend(ncols=2, loc="upper center")


def reliability(axes: Axes, sections: Json) -> None:
    """What the simulator says beside what came, of items as popular as the one taken."""
    curve = at(sections, "choice/popularity_matched/reliability")
    said = [point["said"] for point in curve]
    came = [point["came"] for point in curve]
    height = [max(c["value"], 1e-4) for c in came]  # 0 has no place on a logarithmic axis
    axes.axline((0, 0), slope=1, color=CROWD, linestyle="--", linewidth=1, label="as said")
    axes.errorbar(said, height, yerr=_error(came), color=SIMULATOR, marker="o", markersize=4.5, label="simulator")
    low = min(min(said), *(c["low"] if c["low"] else c["value"] for c in came if c["value"])) / 1.5
    high = max(max(said), *(c["high"] or c["value"] for c in came)) * 1.4
    axes.set(xscale="log", yscale="log", xlim=(max(low, 1e-4), min(high, 1)), ylim=(max(low, 1e-4), min(high, 1)))
    error = value(sections, "choice/popularity_matched/ece")
    axes.set(title="Do chances mean what they say?", xlabel="chance of being the one taken, as said", ylabel="share taken")
    axes.legend(loc="upper left", title=f"calibration error {error:.3f}", title_fontsize=9, alignment="left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_percent)
        axis.set_minor_formatter("")


def ratings(axes: Axes, sections: Json) -> None:
    """How many stars are given."""
    found = at(sections, "ratings/distribution")
    for offset, key, words, colour in ((-0.2, "human", "people", PEOPLE), (0.2, "simulated", "simulator", SIMULATOR)):
        shares = _shares(found.get(key))
        if shares:
            bars = axes.bar([star + offset for star in range(1, 6)], shares, width=0.38, color=colour, label=words)
            axes.bar_label(bars, [f"{share:.0%}" for share in shares], fontsize=8, padding=2)
    axes.set(title="How many stars?", xlabel="stars", ylabel="share of the ratings")
    axes.set_ylim(0, 1.2 * max([*_shares(found.get("human")), *_shares(found.get("simulated"))], default=1))
    axes.yaxis.set_major_formatter(_percent)
    axes.grid(False, axis="x")
    distance, floor = value(sections, "ratings/ks"), value(sections, "ratings/ks/human")
    among = "" if floor is None else f" (among people {floor:.3f})"
    words = "" if distance is None else f"KS distance {distance:.3f}{among}"
    if axes.containers:
        axes.legend(loc="upper left", title=words, title_fontsize=9, alignment="left")


def diversity(axes: Axes, sections: Json) -> None:
    """How unlike users are."""
    rows = (
        ("/uniform", "blind picks", BLIND),
        ("/one_person", "one person", CROWD),
        ("/human", "people", PEOPLE),
        ("", "simulator", SIMULATOR),
    )
    for place, (row, _, colour) in enumerate(rows):
        figure = at(sections, f"diversity/ratio{row}")
        axes.barh(place, figure["value"] - 1, left=1, xerr=_error([figure]), color=colour, height=0.6)
        end = max(figure["high"] or figure["value"], 1)
        axes.annotate(f"{figure['value']:.2f}", (end, place), (5, 0), textcoords="offset points", va="center")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [words for _, words, _ in rows])
    axes.set(title="Are users unlike each other?", xlabel="distance between users over distance within one (1: all the same)")
    axes.margins(x=0.15)
    axes.grid(False, axis="y")


def doses(axes: Axes, sections: Json) -> None:
    """What a session is worth, and what the log says, as slates get worse."""
    found = at(sections, "counterfactual/doses")
    for key, words, colour, marker, line in (
        ("relative_return", "simulator: value of a session", SIMULATOR, "o", "-"),
        ("relative_first_clicks", "simulator: clicks on the first slate", LIGHT, "^", "--"),
        ("relative_return/human", "people: NDCG@10 in the held-out log", PEOPLE, "s", "-"),
    ):
        points = [at(dose, key) for dose in found]
        if any(value(dose, key) is None for dose in found):
            continue  # there was no value to begin with
        shares, values = [dose["share"] for dose in found], [point["value"] for point in points]
        axes.errorbar(shares, values, yerr=_error(points), color=colour, marker=marker, markersize=5, linestyle=line, label=words)
    policy = at(sections, "counterfactual/policy")
    axes.set(title="Does a worse recommender do worse?", xlabel=f"share of random items in the slates of {policy}")
    axes.set_ylabel("of what undiluted slates reach")
    axes.set_ylim(bottom=0)
    axes.set_xticks([dose["share"] for dose in found])
    axes.xaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_formatter(_percent)
    axes.legend(loc="lower left")


def policies(axes: Axes, sections: Json) -> None:
    """Recommenders as the log and as the simulator judges them."""
    rows = at(sections, "policy_agreement/policies")
    x, y = ([row[key]["value"] for row in rows] for key in ("ndcg@10", "return"))
    axes.errorbar(
        x,
        y,
        xerr=_error([row["ndcg@10"] for row in rows]),
        yerr=_error([row["return"] for row in rows]),
        fmt="o",
        color=SIMULATOR,
        ecolor="#BBD9EC",
        elinewidth=1,
        capsize=0,
        markersize=5,
    )
    tau = bounds(sections, "policy_agreement/kendall_tau")
    words = "" if tau is None else f"Kendall's tau {value(sections, 'policy_agreement/kendall_tau'):.2f} ({tau[0]:.2f} to {tau[1]:.2f})"
    axes.set(title="Are recommenders ranked as in the log?", xlabel="log: NDCG@10 of what people liked later")
    axes.set_ylabel("simulator: value of a session")
    axes.margins(x=0.2, y=0.12)  # room for names
    axes.text(0.02, 0.98, words, transform=axes.transAxes, va="top", fontsize=9)
    label(axes, x, y, [row["name"] for row in rows])


PICTURES: dict[str, Callable[[Axes, Json], None]] = {
    "choice": choice,
    "reliability": reliability,
    "ratings": ratings,
    "diversity": diversity,
    "doses": doses,
    "policies": policies,
}
NEEDS = {
    "choice": "choice/random/ndcg@10",
    "reliability": "choice/popularity_matched/reliability/0",
    "ratings": "ratings/distribution",
    "diversity": "diversity/ratio/value",
    "doses": "counterfactual/doses/0/relative_return/value",
    "policies": "policy_agreement/policies/1",
}
"""What must have been measured for a picture."""


def _bars(axes: Axes, places: list[float], paths: list[str], sections: Json, **style: Any) -> None:
    figures = [at(sections, path) for path in paths]
    axes.bar(places, [figure["value"] for figure in figures], yerr=_error(figures), **style)


def _shares(found: Any) -> list[float]:
    """Shares by star; none where they are undefined."""
    return list(found) if isinstance(found, list) and all(share is not None for share in found) else []


def _error(figures: list[Json]) -> list[list[float]]:
    """Lengths of the intervals' arms, downwards and upwards; none where there is no interval, nor beyond it (`choice.calibration`)."""
    down = [0.0 if f.get("low") is None else max(f["value"] - f["low"], 0.0) for f in figures]
    return [down, [0.0 if f.get("high") is None else max(f["high"] - f["value"], 0.0) for f in figures]]


def _percent(number: float, _: object = None) -> str:
    return f"{100 * number:.3g} %"

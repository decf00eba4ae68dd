"""docs/learning.md: the parts between markers, out of learning.json. What stands around them is written by hand and kept."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recoworld.files import replacing
from recoworld.training.records import Record

PARTS = ("result", "curves", "methods", "worlds", "gaming", "notes")
TEMPLATE = """# What training is worth

Policies trained with RLlib, in the behavioural world, against those who do not learn.

## What was asked

Does a policy that learns keep users longer, and please them more, than the best policy that does not, on people it never met? Is that more
than luck of one seed? Does it hold when the users are not quite those that it learned from? And what does it do to get there: recommend
well, or game the simulator? Training users teach, validation users draw the curves, test users judge; no policy learns from the hidden part
of anybody's log ([ADR 0005](adr/0005-known-and-held-out.md)).

## Result

<!-- result -->
<!-- /result -->

## Curves

<!-- curves -->
<!-- /curves -->

## Per method

<!-- methods -->
<!-- /methods -->

## Changed worlds

The same policies, not trained again, meet the same test users in worlds with other coefficients.

<!-- worlds -->
<!-- /worlds -->

## Does it game the simulator?

A simulator can be exploited. What a policy that does so would show: the same items again and again, slates of one kind, a catalogue of few
items, and a return that rises while held-out ranking, which no simulator computes, falls.

<!-- gaming -->
<!-- /gaming -->

## What it does not show

- The users are simulated. How far they resemble people is on [another page](fidelity.md); who pleases them need not please people.
- The oracle looks one slate ahead with the hidden mindset: it is no upper bound of what planning could reach.
- Few seeds, one split of the users, one data set.
- Changed worlds change the coefficients of one simulator, not its kind.

- The network's idea of a session has the form of this simulator's equations
  ([training](training.md#the-network-of-the-slate-aware-ones)): that is why so few sessions suffice, and says nothing of users who work
  otherwise.

## How it was made

<!-- notes -->
<!-- /notes -->
"""
_METRICS: tuple[tuple[str, str, float, int], ...] = (
    ("turns", "turns", 1, 1),
    ("ctr", "clicks of slots shown, %", 100, 1),
    ("instruction_following", "instructions followed, %", 100, 0),
    ("diversity", "intra-list diversity", 1, 3),
    ("novelty", "novelty, bits", 1, 2),
    ("repeated", "met before, %", 100, 1),
    ("coverage", "catalogue shown, %", 100, 1),
    ("gini", "Gini of exposure", 1, 3),
    ("ndcg@10", "held-out NDCG@10", 1, 3),
)
_MEANING: dict[str, tuple[str, str]] = {
    "turns": ("users stay longer", "users stay for fewer slates"),
    "ctr": ("more of what is shown is clicked", "less of what is shown is clicked"),
    "instruction_following": ("instructions are followed better", "instructions are followed worse"),
    "diversity": ("slates hold more different items", "slates are more of one kind"),
    "novelty": ("less popular items are shown", "more popular items are shown"),
    "repeated": ("more is shown again that the user had met", "less is shown again that the user had met"),
    "coverage": ("more of the catalogue is shown", "less of the catalogue is shown"),
    "gini": ("exposure is concentrated on fewer items", "exposure is spread over more items"),
    "ndcg@10": ("what people came to like in truth is ranked higher", "what people came to like in truth is ranked lower"),
}
"""Metric -> what it means that it rose, and that it fell."""


def write(found: Record, page: Path, out: Path) -> None:
    """Replace the marked parts of the page, or begin one. out: where curves.png lies, for the link."""
    text = page.read_text(encoding="utf-8") if page.exists() else TEMPLATE
    picture = Path(os.path.relpath(out.absolute() / "curves.png", page.absolute().parent)).as_posix()
    for name, content in parts(found, picture).items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, there, rest = text.partition(start)
        if not there or end not in rest:
            raise SystemExit(f"{page} has no {start.strip()} ... {end}; put them where that part belongs, or remove the page")
        text = before + start + content + end + rest.partition(end)[2]
    with replacing(page) as part:
        part.write_text(text, encoding="utf-8")
        part.chmod(0o644)


def parts(found: Record, picture: str) -> dict[str, str]:
    """The marked parts, Markdown."""
    made = (_result(found), _curves(found, picture), _methods(found), _worlds(found), _gaming(found), _notes(found))
    return dict(zip(PARTS, made, strict=True))


def findings(found: Record) -> list[str]:
    """What the figures say, each sentence with its interval; no sentence without a figure."""
    return [*verdicts(found), *robustness(found), *_said(found)]


def verdicts(found: Record) -> list[str]:
    """Does the best trained policy beat the best untrained one, and by how much of the way to the oracle?"""
    best, other = found["methods"][found["best"]], found["untrained"][found["best_untrained"]]
    ours, theirs, margin, share = best["return"], other["return"], best["margin"], best["gap_closed"]
    apart = None not in (ours["low"], theirs["high"]) and ours["low"] > theirs["high"]
    seeds = _count(len(best["seeds"]), "training seed")
    said = [
        f"The best trained policy, {found['best']} ({seeds}), has a return of {shown(ours)} on test users; the best untrained one, "
        f"{found['best_untrained']}, {shown(theirs)}: the intervals {'are disjoint' if apart else 'overlap'}, the paired difference is "
        f"{shown(margin)}{'' if margin['excludes_zero'] else ', which does not exclude 0'}."
    ]
    clear = sum(run["return"]["low"] > theirs["high"] for run in best["runs"] if None not in (run["return"]["low"], theirs["high"]))
    minutes, cores = [run["seconds"] / 60 for run in best["runs"]], {run["machine"]["cores"] for run in best["runs"] if run["machine"]}
    said.append(
        f"Run by run, with intervals of users alone, {clear} of {len(best['runs'])} lie wholly above it. A run took {min(minutes):.0f} to "
        f"{max(minutes):.0f} minutes on {' or '.join(map(str, sorted(cores))) or 'an unknown number of'} cores."
    )
    if share is not None:
        half = "at least half" if share["mean"] >= 0.5 else "less than half"
        said.append(
            f"It closes {shown(share, 100, 0)} % of the gap between that policy and the oracle "
            f"({shown(found['untrained'][found['oracle']]['return'])}): {half}, by the mean."
        )
    return said


def robustness(found: Record) -> list[str]:
    """Two sentences a changed world."""
    rows = {name: row for name, row in found.get("worlds", {}).get("rows", {}).items() if name != "default"}
    said = []
    for name, row in rows.items():
        margin = row["margin"]
        verb = "beats" if margin["mean"] > 0 else "stands below"
        unsure = "" if margin["excludes_zero"] else ", which does not exclude 0"
        said.append(
            f"{name}: {row['chosen']} {verb} the best untrained policy there, {row['best_untrained']} (paired difference "
            f"{shown(margin, sign=True)}{unsure}). Kendall's tau with the ranking in the default world: {shown(row['tau'])}."
        )
    return said


def _said(found: Record) -> list[str]:
    out = []
    for name, row in found["methods"].items():
        for what, moved in (("before training", row.get("moved")), (found["best_untrained"], row["beside_best"])):
            if moved:
                clear = [_sentence(metric, moved[metric]) for metric in _MEANING if (moved.get(metric) or {}).get("excludes_zero")]
                out.append(f"{name} against {what}: " + ("; ".join(clear) or "nothing moved whose interval excludes 0") + ".")
        out += gamed(name, row)
    return out


def gamed(name: str, row: Record) -> list[str]:
    """Whether the return rose while what no simulator computes fell. Empty without figures from before training."""
    moved = row.get("moved")
    if not moved or not moved.get("return") or not moved.get("ndcg@10"):
        return []
    gain, ndcg = moved["return"], moved["ndcg@10"]
    rose = gain["excludes_zero"] and gain["mean"] > 0
    if rose and ndcg["excludes_zero"] and ndcg["mean"] < 0:
        verdict = "the return rose while held-out ranking fell: part of the gain is the simulator's own, not taste"
    elif rose and ndcg["excludes_zero"]:
        verdict = "the return and held-out ranking rose together: the gain is not had by forgetting what people like"
    elif rose:
        verdict = "the return rose and held-out ranking did not move clearly: the gain is in the session, not in knowing taste better"
    else:
        verdict = "the return did not rise clearly, so there is nothing to have been gamed"
    return [f"{name}: {verdict} (return {shown(gain, sign=True)}, NDCG@10 {shown(ndcg, digits=3, sign=True)})."]


def _sentence(metric: str, moved: Record) -> str:
    label, scale, digits = next((label, scale, digits) for key, label, scale, digits in _METRICS if key == metric)
    return f"{_MEANING[metric][moved['mean'] < 0]} ({label} {shown(moved, scale, digits, sign=True)})"


def _result(found: Record) -> str:
    lines = [*_bullets(verdicts(found)), ""]
    rows = [(f"**{name}**, mean of {_count(len(row['seeds']), 'seed')}", row["return"]) for name, row in found["methods"].items()]
    rows += [(name + (" *" if row["privileged"] else ""), row["return"]) for name, row in found["untrained"].items()]
    rows.sort(key=lambda pair: -pair[1]["mean"])
    test = found["test"]
    head = f"return on {test['users']:,} test users" + (f" x {test['seeds']}" if test["seeds"] > 1 else "")
    lines += [*_table(("policy", head), [(name, shown(value)) for name, value in rows]), "", "\\* reads the hidden mindset.", ""]
    return "\n".join(lines)


def _curves(found: Record, picture: str) -> str:
    points = found["validation"]
    rows = [(row["label"], shown(row["return"])) for row in found["lines"]]
    return "\n".join(
        [
            f"![Validation return against steps and minutes]({picture})",
            "",
            wrapped(
                "Bold: mean over seeds, with a t-interval over them; thin: each seed. Horizontal: policies that do not learn, on the same "
                f"{points['users']:,} validation users under the same luck, with a bootstrap interval over users. Minutes are of wall "
                "clock, the curve's own points included."
            ),
            "",
            *_table(("does not learn", "return on validation users"), rows),
            "",
        ]
    )


def _methods(found: Record) -> str:
    rows: list[Sequence[str]] = []
    for name, row in found["methods"].items():
        every = "" if row["gap_closed"] is None else shown(row["gap_closed"], 100, 0)
        rows.append((f"**{name}**", "all", shown(row["return"]), shown(row["margin"], sign=True), every, "", "", ""))
        for run in row["runs"]:
            share = "" if run["gap_closed"] is None else f"{100 * run['gap_closed']:.0f}"
            steps, start = f"{run['env_steps']:,}", run["before_training"]
            began = "" if start is None else f"{start['mean']:.2f}"
            rows.append(("", str(run["seed"]), shown(run["return"]), "", share, f"{run['seconds'] / 60:.1f}", steps, began))
    head = ("method", "seed", "return, test users", f"over {found['best_untrained']}", "gap closed, %", "minutes", "env steps")
    return "\n".join([*_table((*head, "before training, validation users"), rows), "", wrapped(found["intervals"]), ""])


def _worlds(found: Record) -> str:
    worlds = found.get("worlds")
    if not worlds:
        return "Not evaluated.\n"
    rows, names = worlds["rows"], list(worlds["rows"])
    labels = list(rows["default"]["returns"])
    cells = [(_marked(label, found), *(shown(rows[name]["returns"][label]) for name in names)) for label in labels]
    facts = [
        ("Kendall's tau with the default", *("" if name == "default" else shown(rows[name]["tau"]) for name in names)),
        ("best trained over best untrained", *(shown(rows[name]["margin"], sign=True) for name in names)),
        ("gap closed, %", *("" if rows[name]["gap_closed"] is None else shown(rows[name]["gap_closed"], 100, 0) for name in names)),
    ]
    what = _bullets([f"**{name}**: {row['what']} ({_change(row['change'])})." for name, row in rows.items() if name != "default"])
    seeds = ", ".join(f"{name} seed {seed}" for name, seed in worlds["seeds"].items())
    return "\n".join(
        [
            *what,
            "",
            *_table(("return", *names), [*cells, *facts]),
            "",
            f"Trained: {seeds}, so these intervals are of users alone. The oracle is not ranked.",
            "",
            *_bullets(robustness(found)),
            "",
        ]
    )


def _gaming(found: Record) -> str:
    who: list[tuple[str, Mapping[str, Any]]] = []
    for name, row in found["methods"].items():
        who += [(f"{name} before", row["before"])] if "before" in row else []
        who += [(f"**{name}**", row["metrics"])]
    who += [(name, row["metrics"]) for name, row in found["untrained"].items()]
    split = [metric for metric in who[0][1] if metric.startswith("part:")]
    first = [(name, *(shown(metrics.get(metric), scale, digits) for metric, _, scale, digits in _METRICS)) for name, metrics in who]
    second = [(name, *(shown(metrics.get(metric)) for metric in split)) for name, metrics in who]
    return "\n".join(
        [
            *_table(("policy", *(label for _, label, _, _ in _METRICS)), first),
            "",
            "The return, by what it is paid for (weights included):",
            "",
            *_table(("policy", *(metric[5:] for metric in split)), second),
            "",
            wrapped(
                "Before: networks of the same sizes that never learned. They are no blanks: what is known of the items is built in, and "
                "so is where they begin. Coverage and the Gini coefficient are of all sessions together, with an interval over seeds alone."
            ),
            "",
            *_bullets(_said(found)),
            "",
        ]
    )


def _notes(found: Record) -> str:
    machines = {_machine(run["machine"]) for row in found["methods"].values() for run in row["runs"] if run["machine"]}
    commands = [
        f"recoworld train {name} --set seed=K --out RUNS/{name}-seedK   # K = {', '.join(map(str, row['seeds']))}"
        for name, row in found["methods"].items()
    ]
    test, points = found["test"], found["validation"]
    return "\n".join(
        [
            "```bash",
            *commands,
            "python benchmarks/learning.py RUNS --out docs/results/NAME",
            "```",
            "",
            f"RecoWorld {found['version']}, {found['dataset']}; test: {test['users']:,} users, {_count(test['seeds'], 'session')} each, "
            f"seed {test['seed']}; validation: {points['users']:,} users, seed {points['seed']}. "
            f"Trained on: {'; '.join(sorted(machines)) or 'a machine not noted'}.",
            "",
            *_bullets([f"Left out: {row['run']}, {row['why']}." for row in found["left_out"]]),
            *_bullets(found["notes"]),
            "",
        ]
    )


def wrapped(text: str) -> str:
    """As the other pages are."""
    return textwrap.fill(text, 150, subsequent_indent="  " if text.startswith("- ") else "", break_long_words=False, break_on_hyphens=False)


def shown(value: Mapping[str, Any] | None, scale: float = 1, digits: int = 2, *, sign: bool = False) -> str:
    """A figure with its interval, where it has one."""
    if value is None:
        return "-"
    form = f"{'+' if sign else ''}.{digits}f"
    mean = format(value["mean"] * scale, form)
    return mean if value["low"] is None else f"{mean} ({value['low'] * scale:{form}} to {value['high'] * scale:{form}})"


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [wrapped("- " + sentence) for sentence in sentences]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _change(change: str | Mapping[str, Any]) -> str:
    if isinstance(change, str):
        return f"the preset `{change}`"
    return ", ".join(f"`{name}` {value:g}" for name, value in change.items())


def _marked(label: str, found: Record) -> str:
    if label in found["methods"]:
        return f"**{label}**"
    return f"{label} *" if found["untrained"][label]["privileged"] else label


def _machine(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {facts[name]}" for name in ("python", "ray", "torch", "numpy") if name in facts)
    return f"{facts['cores']} cores, {facts['processor']}, {facts['system']} ({versions})"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"

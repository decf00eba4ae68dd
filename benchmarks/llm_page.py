"""Writes the table of docs/llm_users.md anew, out of the JSON files of `llm_users.py` in docs/results/llm-users/.

    python benchmarks/llm_users.py --backend vllm --json docs/results/llm-users/vllm.json
    python benchmarks/llm_page.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from recoworld.files import replacing

DOCS = Path(__file__).resolve().parent.parent / "docs"
START, END = "<!-- table -->\n", "<!-- /table -->"
ROWS: tuple[tuple[str, str, str], ...] = (
    ("user turns/s", "user_turns_per_s", "{:.3g}"),
    ("completion tokens/s, simulator", "tokens_per_s", "{:.0f}"),
    ("the same, bare engine", "raw_engine_tokens_per_s", "{:.0f}"),
    ("share of the bare engine (at least 90 %)", "share_of_raw", "{:.0%}"),
    ("time outside the engine", "share_of_time_outside_the_engine", "{:.1%}"),
    ("user turns/s, one request an item", "naive_user_turns_per_s", "{:.3g}"),
    ("times as fast as that (at least 10)", "times_naive", "{:.1f}"),
    ("times as fast as its requests on items alone", "times_naive_items", "{:.1f}"),
    ("times as fast as it is without a prefix cache", "times_naive_uncached", "{:.1f}"),
    ("items answered/s, generate", "generate_decisions_per_s", "{:.3g}"),
    ("items judged/s, score", "score_decisions_per_s", "{:.3g}"),
    ("times as fast as generate (at least 5)", "score_times_generate", "{:.1f}"),
    ("prompt tokens from the cache", "prefix_cache_hit", "{:.0%}"),
    ("other prompt tokens an item (under 150)", "prompt_tokens_per_response", "{:.0f}"),
    ("completion tokens a user turn", "completion_tokens_per_user_turn", "{:.0f}"),
    ("first replies that could be read (100 %)", "valid_share", "{:.1%}"),
    ("replies the same when asked again", "same_replies_when_asked_again", "{:.0%}"),
)
"""What it is, and what was promised; the figure; how it is written."""


def main(arguments: list[str] | None = None) -> None:
    """Read the figures, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=DOCS / "results" / "llm-users")
    parser.add_argument("--page", type=Path, default=DOCS / "llm_users.md")
    given = parser.parse_args(arguments)
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(given.results.glob("*.json"))}
    text = given.page.read_text(encoding="utf-8") if given.page.exists() else START + END
    before, _, rest = text.partition(START)
    with replacing(given.page) as temporary:
        temporary.write_text(before + START + (table(found) if found else "") + END + rest.partition(END)[2], encoding="utf-8")


def table(found: dict[str, dict[str, Any]]) -> str:
    """One column a run, and below it what each was run with."""
    lines = [f"| figure | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for name, key, form in ROWS:
        lines.append(f"| {name} | {' | '.join('-' if one.get(key) is None else form.format(one[key]) for one in found.values())} |")
    return "\n".join(lines) + "\n\n" + "".join(f"- {said(name, one)}\n" for name, one in found.items())


def said(name: str, one: dict[str, Any]) -> str:
    """A run in a line."""
    stand, versions = one["machine"], ", ".join(f"{package} {number}" for package, number in one["machine"]["versions"].items())
    note = f" {one['note']}" if one.get("note") else ""
    return (
        f"**{name}**: {one['report']['llm']}, {one['users']} users x {one['turns']} turns of {one['slate_size']} items in {one['env']}, "
        f"seed {one['seed']}, policy {one['policy']}; {stand['cores']} cores ({stand['cpu']}), Python {stand['python']}, {versions}.{note}"
    )


if __name__ == "__main__":
    main()

"""The prompt: versioned Jinja2 files in ``prompts/``, any of which a folder of one's own may replace.

What is the same for everybody comes first, then what is the user's own, then what changes from turn to turn, the list last: so an
engine's prefix cache holds the most. A template gets nothing but cleaned and quoted texts (`recoworld.simulators.llm.words`).

| file | is | gets |
|---|---|---|
| system.j2 | the task; who the user is, and what it met before | slots, person (`recoworld.simulators.llm.people.Person`) |
| turn.j2 | what changes: memory, mindset, moment, what was asked, the list | number, story, recent, when, feelings, interest, intent, |
| | | asked, followed, items |
| retry.j2 | what was wrong with the last reply, added to the turn | slots, error |

The filter ``quote`` makes a JSON string.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from recoworld.errors import ConfigError, MissingExtra
from recoworld.llm.model import Message
from recoworld.simulators.llm.words import quoted

VERSION = "user-v1"
FILES = ("system.j2", "turn.j2", "retry.j2")


class Prompts:
    """The templates, loaded and checked. Raises ConfigError for a folder that holds none, or one that cannot be read."""

    def __init__(self, folder: Path | None = None, *, version: str = VERSION, files: Sequence[str] = FILES) -> None:
        """folder: with files in place of the shipped ones. version: the folder in ``prompts/`` that `files` are shipped in."""
        try:
            import jinja2
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError:
            raise MissingExtra("jinja2", "llm", "a language-model user") from None
        shipped = resources.files(__package__) / "prompts" / version
        texts = {name: (shipped / name).read_text(encoding="utf-8") for name in files}
        own = {} if folder is None else _read(folder, files)
        self.version = version if not own else f"{version} with own {', '.join(sorted(own))}"
        environment = ImmutableSandboxedEnvironment(
            loader=jinja2.DictLoader({**texts, **own}),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
            autoescape=False,  # no markup is made of it
        )
        environment.filters["quote"] = quoted
        self._wrong: Any = jinja2.TemplateError
        self._templates = {name: self._checked(name, lambda name=name: environment.get_template(name)) for name in files}

    def render(self, name: str, **facts: Any) -> str:
        """One of the files, filled in. Raises ConfigError that names the file."""
        return str(self._checked(name, lambda: self._templates[name].render(**facts))).strip("\n")

    def _checked(self, name: str, action: Any) -> Any:
        try:
            return action()
        except (self._wrong, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            number = getattr(error, "lineno", None)
            line = f", line {number}" if number else ""
            raise ConfigError(f"prompt {name}{line}: {error}; see recoworld/simulators/llm/prompts.py for what a template gets") from None


def messages(system: str, turn: str, images: list[tuple[int, str]]) -> tuple[Message, ...]:
    """A conversation; images: numbers in the list and URLs, which go behind the text as chat content parts."""
    content: Any = turn
    if images:
        content = [{"type": "text", "text": turn}]
        for number, url in images:
            content += [{"type": "text", "text": f"Item {number}:"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"role": "system", "content": system}, {"role": "user", "content": content}


def _read(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """The templates in a folder. Raises ConfigError where there are none."""
    try:
        texts = {name: (folder / name).read_text(encoding="utf-8") for name in files if (folder / name).is_file()}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompts: cannot read the templates in {str(folder)!r}: {error}") from None
    if not texts:
        raise ConfigError(f"prompts: {str(folder)!r} holds none of {', '.join(files)}; expected a folder with at least one of them")
    return texts

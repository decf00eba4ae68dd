"""Prompts as versioned Jinja2 files: a room keeps them in ``prompts/NAME-vN/``, and a folder of one's own may replace any of them.

A template gets nothing but cleaned and quoted texts (`recoworld.llm.words`); the filter ``quote`` makes a JSON string. What is the same
for everybody comes first and what changes last, so that an engine's prefix cache holds the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from recoworld.errors import ConfigError, MissingExtra
from recoworld.text import quoted


class Prompts:
    """The templates, loaded and checked."""

    def __init__(self, package: str, version: str, files: Sequence[str], *, folder: Path | None = None) -> None:
        """package: whose folder ``prompts/`` ships `files` of this version. folder: with files in place of the shipped ones.

        Raises ConfigError for a folder that holds none, or one that cannot be read, and MissingExtra without Jinja2.
        """
        try:
            import jinja2
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError:
            raise MissingExtra("jinja2", "llm", "a prompt for a language model") from None
        shipped = resources.files(package) / "prompts" / version
        texts = {name: (shipped / name).read_text(encoding="utf-8") for name in files}
        own = {} if folder is None else _read(folder, files)
        self.version = version if not own else f"{version} with own {', '.join(sorted(own))}"
        self._package = package
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
            told = f"see {self._package.replace('.', '/')} for what a template gets"
            raise ConfigError(f"prompt {name}{line}: {error}; {told}") from None


def _read(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """The templates in a folder. Raises ConfigError where there are none."""
    try:
        texts = {name: (folder / name).read_text(encoding="utf-8") for name in files if (folder / name).is_file()}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompts: cannot read the templates in {str(folder)!r}: {error}") from None
    if not texts:
        raise ConfigError(f"prompts: {str(folder)!r} holds none of {', '.join(files)}; expected a folder with at least one of them")
    return texts

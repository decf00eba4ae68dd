"""The house itself: style, types, who imports whom, what an import costs, and that README, lock and CI say the same."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = ROOT / ".ci" / "run"
HEAVY = ["torch", "ray", "transformers", "vllm", "pandas", "pyarrow", "pydantic", "gymnasium"]
OF_EXTRAS = ["implicit", "scipy", "pyarrow", "pandas", "polars", "matplotlib", "nbclient", "nbformat", "ipykernel", "IPython"]
OF_EXTRAS += ["torch", "transformers", "ray", "vllm", "openai", "jinja2"]
ROOMS_OF_EXTRAS = ("recoworld.training.", "recoworld.policies.neural.", "recoworld.policies.sequential.networks.")
"""Rooms whose files need an extra; who comes in by name is told so (`MissingExtra`)."""
NOT_CORE = {"assembly", "cli", "testing"}


def run(*command: str) -> None:
    """Run a tool of this environment in the repository's root; its output is the failure's message."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)[:200]}\n{done.stdout}{done.stderr}", pytrace=False)


def marked(name: str) -> str:
    """The code between the README's markers of this name."""
    found = re.findall(rf"^<!-- {name} -->\n```\w+\n(.*?)\n```\n<!-- /{name} -->$", README, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} blocks marked {name}; expected one"
    return str(found[0])


def test_ruff() -> None:
    run("-m", "ruff", "check", ".")


def test_mypy() -> None:
    run("-m", "mypy")


def test_import_contracts() -> None:
    run("-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-logo")


@pytest.mark.parametrize("path", sorted(p for p in (ROOT / "recoworld").glob("*.py") if p.stem not in NOT_CORE), ids=lambda p: p.stem)
def test_the_core_imports_numpy_and_the_standard_library_alone(path: Path) -> None:
    """At module level, and in functions too but for pyarrow, which one asks for by writing Parquet."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {node for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "." * node.level]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            known = top in sys.stdlib_module_names or top in {"numpy", "recoworld"} or (top == "pyarrow" and node in inner)
            assert known, f"{path.name}:{node.lineno} imports {name}"


def test_importing_the_package_loads_nothing_heavy() -> None:
    run("-c", f"import sys, recoworld; loaded = sorted({set(HEAVY)} & set(sys.modules)); sys.exit(f'loaded: {{loaded}}' if loaded else 0)")


def test_every_module_imports_in_the_base_install() -> None:
    """With every library of an extra made unimportable."""
    script = f"""
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(OF_EXTRAS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (not in the base install)", name=name)
sys.meta_path.insert(0, Absent())
import recoworld
broken = []
for module in pkgutil.walk_packages(recoworld.__path__, "recoworld.", onerror=lambda name: None):
    if module.name.endswith("__main__") or module.name.startswith({ROOMS_OF_EXTRAS}):
        continue
    try:
        importlib.import_module(module.name)
    except BaseException as error:
        broken.append(f"{{module.name}}: {{error!r}}")
sys.exit("\\n".join(broken) or 0)
"""
    run("-c", script)


def test_ci_runs_the_command_of_the_readme() -> None:
    command, script = marked("test-command"), CI.read_text(encoding="utf-8")
    assert "\n" not in command
    assert "-m venv" in command
    assert "-c constraints.txt" in command
    assert "[test]" in command
    assert command.endswith("-m pytest")
    # .ci/run takes the command out of the README and has none of its own.
    assert "test-command" in script
    assert "pip install" not in script
    assert os.access(CI, os.X_OK)


def test_the_demo_command_is_one_line() -> None:
    command = marked("demo-command")
    assert "\n" not in command
    assert "pip install -c constraints.txt . " in command
    assert command.endswith("recoworld demo")


def test_the_quickstart_runs() -> None:
    run("-W", "error", "-c", marked("quickstart"))


def test_the_lock_pins_every_direct_dependency_within_its_range() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = setup["options.extras_require"]
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert canonicalize_name(name) not in pins, f"constraints.txt pins {name} twice"
            pins[canonicalize_name(name)] = version
    for line in (setup["options"]["install_requires"] + "".join(extras.values())).split("\n"):
        if not line.strip() or line.startswith("recoworld["):
            continue
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        if name in {"accelerate", "openai", "jinja2", "gguf", "xgrammar", "openvino-genai"}:  # of the llm extra alone; vLLM decides
            continue
        assert name in pins, f"constraints.txt does not pin {name}"
        assert wanted.specifier.contains(pins[name]), f"constraints.txt pins {name}=={pins[name]}, setup.cfg wants {wanted}"


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout to list the files")
    pattern = re.compile(r"(?<![\w.~*-])/(?:" + "work|root" + r")/")
    found = []
    for path in (ROOT / name for name in names if name):
        if path.is_file() and path != Path(__file__).resolve():
            lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
            found += [f"{path.relative_to(ROOT)}:{i}: {line.strip()[:100]}" for i, line in enumerate(lines, 1) if pattern.search(line)]
    assert not found, "\n".join(found)

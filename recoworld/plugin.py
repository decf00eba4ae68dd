"""Makes Gymnasium know RecoWorld's ids as soon as it is imported, without importing it first.

Gymnasium 1.0 dropped its entry-point plugins. So a file ``recoworld.pth`` in site-packages imports this package when Python starts, as
``import recoworld`` does; that takes a fraction of a millisecond, loads nothing but this file, and waits for an ``import gymnasium``.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _AfterGymnasium:
    """Finds ``gymnasium`` as Python would, and registers the ids once it is loaded."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        specs = (finder.find_spec(fullname, path, target) for finder in sys.meta_path)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self  # type: ignore[assignment]  # a loader by its methods
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader  # type: ignore[union-attr]  # a module being loaded has a spec
        self._loader.exec_module(module)
        _register()


def install() -> None:
    """Register now if Gymnasium is loaded, else as soon as it is. Calling it again changes nothing."""
    if "gymnasium" in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterGymnasium())


def _register() -> None:
    from recoworld.envs.register import register_all

    register_all()

"""The face of a package: names that are imported when they are first asked for."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def lazy_names(package: str, file: str,
               old_names: dict[str, str] | None = None) -> tuple[Callable, Callable, list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` for the package whose ``__init__.py`` is ``file``.

    Its names stand there once, as imports under ``if TYPE_CHECKING:``, where editors and type checkers follow them; at
    run time nobody imports those, and so they are read here. ``old_names`` maps what a name was called before to what
    it is called now.
    """
    where = {}
    for block in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for line in block.body:
                where.update({alias.asname: ("." * line.level + line.module, alias.name) for alias in line.names})
    old_names = old_names or {}

    def getattr_(name: str):
        if old_names.get(name, name) not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = where[old_names.get(name, name)]
        return getattr(import_module(module, package), attribute)

    return getattr_, lambda: [*where, *old_names], list(where)

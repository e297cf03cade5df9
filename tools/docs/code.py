"""Static analysis: Python files and their imports, without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Source:
    """A Python file: its dotted name, its path from the project's root, its text."""

    module: str
    path: str
    text: str

    @classmethod
    def example(cls, module: str, text: str) -> Source:
        """A file that does not exist, for tests of checks."""
        return cls(module, module.replace(".", "/") + ".py", text)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree."""
        return tuple(ast.walk(self.tree))

    @property
    def is_package(self) -> bool:
        return self.path.endswith("/__init__.py")


def sources(*packages: str) -> tuple[Source, ...]:
    """All files of the packages, ordered by name."""
    return tuple(source for package in packages for source in _of(package))


@lru_cache
def _of(package: str) -> tuple[Source, ...]:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        relative = path.relative_to(ROOT)
        parts = relative.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Source(name, relative.as_posix(), path.read_text()))
    return tuple(found)


def imports(source: Source, known: Iterable[str]) -> set[str]:
    """The modules that a file imports, inside functions too; `from a import b` is `a.b` if that is one of `known`."""
    modules, found = set(known), set()
    for node in source.nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _base(source, node)
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else base for name in names}
        elif isinstance(node, ast.Call):
            found |= _dynamic(node)
    return found - {source.module}


def _base(source: Source, node: ast.ImportFrom) -> str:
    """The absolute name of the module after `from`."""
    if not node.level:
        return node.module or ""
    here = source.module.split(".")
    package = here if source.is_package else here[:-1]
    parts = package[: len(package) - node.level + 1] + ([node.module] if node.module else [])
    return ".".join(parts)


def _dynamic(call: ast.Call) -> set[str]:
    """`importlib.import_module("a.b")` and `__import__("a.b")`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("import_module", "__import__") or not call.args:
        return set()
    first = call.args[0]
    return {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()


def import_graph(files: Iterable[Source]) -> dict[str, set[str]]:
    """Imports between these files, by module."""
    files = list(files)
    known = {file.module for file in files}
    return {file.module: imports(file, known) & known for file in files}

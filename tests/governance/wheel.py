"""What a wheel must not hold, read from its files alone: a way to work live orders, an address of a live market."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from router.executors.testnet.profiles import PROFILES

EXECUTORS: Final = {
    "OrderExecutor": "router/executors/base.py",
    "PaperExecutor": "router/executors/paper.py",
    "ShadowExecutor": "router/executors/shadow.py",
    "TestnetExchangeOrderExecutor": "router/executors/testnet/executor.py",
}
"""Every class that may work orders, and where: the protocol and what there is of it."""
WORKS_ORDERS: Final = {"submit", "cancel", "look_up"}
_NO_WAY_OUT: Final = {"error", "limits"}
_TRADING: Final = {
    "send",
    "submit",
    "trade",
    "order",
    "orders",
    "execute",
    "executor",
    "venue",
    "route",
    "client",
    "market",
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_URL = re.compile(r"\b(?:https?|wss?|fix|tcp)://[^\s\"'`<>|)\]}…,]*", re.IGNORECASE)
_NAME = re.compile(
    r"(?<![\w.-])(?:[a-z0-9-]+\.)+(?:com|io|net|org|co|us|eu|id|fi|cc|me|xyz|app|pro|dev|trade|vision|markets|exchange"
    r"|finance|network|cloud|capital)(?![\w-])",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_EXAMPLES: Final = re.compile(r"(^|\.)(localhost|example|invalid|test|example\.(com|net|org))$|^json-schema\.org$")
_PUBLIC: Final = re.compile(r"[.:]")
"""In every host that could be somewhere else, and in a scheme whose host is put in later."""
_PROFILES_FILE: Final = "router/executors/testnet/profiles.py"


def hosts(*, behind_a_header: bool) -> frozenset[str]:
    """Return the sandboxes' hosts; with those that only a header tells from the live host, or without."""
    return frozenset(
        urlsplit(origin).hostname or ""
        for profile in PROFILES.values()
        for origin in profile.origins
        if behind_a_header or profile.paper_header is None
    )


def modules(root: Path) -> Iterator[tuple[str, tuple[ast.AST, ...]]]:
    """Yield every module's name and all nodes of its tree."""
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(root).as_posix(), _nodes(path.read_bytes())


@cache
def _nodes(source: bytes) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(source)))


def unknown_executors(root: Path) -> list[str]:
    """Return every class that works orders, by its own methods or inherited ones, and is not one of the known."""
    classes = [(name, node) for name, nodes in modules(root) for node in nodes if isinstance(node, ast.ClassDef)]
    called: dict[str, list[ast.ClassDef]] = {}
    for _, node in classes:
        called.setdefault(node.name, []).append(node)

    def methods(node: ast.ClassDef, seen: frozenset[str] = frozenset()) -> set[str]:
        own = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        bases = {ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases} - seen
        inherited = (methods(each, seen | bases) for base in bases for each in called.get(base, ()))
        return own.union(*inherited) | (bases & EXECUTORS.keys())

    return [
        f"{name}: class {node.name} works orders"
        for name, node in classes
        if EXECUTORS.get(node.name) != name and (methods(node) & EXECUTORS.keys() or methods(node) >= WORKS_ORDERS)
    ]


def live_names(root: Path) -> list[str]:
    """Return modules and classes called live, errors and limits aside, and functions whose name is to trade live."""
    found = []
    for name, nodes in modules(root):
        named = [Path(name).stem, *Path(name).parent.parts]
        named += [node.name for node in nodes if isinstance(node, ast.ClassDef)]
        found += [f"{name}: {each}" for each in named if "live" in _words(each) and not _words(each) & _NO_WAY_OUT]
        found += [
            f"{name}: {node.name}"
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and "live" in _words(node.name)
            and _words(node.name) & _TRADING
        ]
    return found


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(name)}


def live_words(root: Path) -> list[str]:
    """Return where the environment's name is used for anything but being compared with, typed, or asked for.

    A key of a table, an argument, a default or an assigned value could make it the name of an executor.
    """
    found = []
    for name, nodes in modules(root):
        if not any(_is_live(node) for node in nodes):
            continue
        parents = {child: parent for parent in nodes for child in ast.iter_child_nodes(parent)}
        found += [
            f"{name}: {ast.unparse(parents[node])}"
            for node in nodes
            if _is_live(node) and not _is_harmless(node, parents)
        ]
    return found


def _is_live(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "LIVE" and ast.unparse(node.value).endswith("Environment")
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.strip().lower() == "live"


def _is_harmless(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    parent = parents[node]
    while isinstance(parent, ast.Tuple | ast.Set | ast.List):
        node, parent = parent, parents[parent]
    if isinstance(parent, ast.Dict):
        return node in parent.values  # an intent that asks for it
    if isinstance(parent, ast.Subscript):
        return ast.unparse(parent.value).endswith("Literal")
    if isinstance(parent, ast.Assign):
        owner = parents[parent]
        return isinstance(owner, ast.ClassDef) and owner.name == "Environment"
    return isinstance(parent, ast.Compare)


def foreign_hosts(root: Path) -> list[str]:
    """Return every host in the package and its configuration that is no sandbox, loopback address or example."""
    sandboxes, own = hosts(behind_a_header=True), hosts(behind_a_header=False)
    found = []
    for path in sorted(each for each in root.rglob("*") if each.is_file() and ".dist-info" not in each.parent.name):
        name = path.relative_to(root).as_posix()
        if path.suffix in {".pyc", ".typed"}:
            continue
        allowed = sandboxes if name == _PROFILES_FILE else own
        found += [
            f"{name}: {host}" for text in _texts(path) for host in _hosts_in(text) if not _is_allowed(host, allowed)
        ]
    return found


def _texts(path: Path) -> Iterator[str]:
    """Yield every literal of a module, or the whole text of any other file."""
    if path.suffix != ".py":
        yield path.read_text(encoding="utf-8")
        return
    for node in _nodes(path.read_bytes()):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def _hosts_in(text: str) -> Iterator[str]:
    for match in _URL.finditer(text):
        host = urlsplit(match.group()).hostname
        if host or match.group().lower() in {"https://", "wss://"}:  # a name that is put in later
            yield host or match.group()
    for pattern in (_NAME, _ADDRESS):
        yield from (match.group().lower() for match in pattern.finditer(text))


def _is_allowed(host: str, allowed: frozenset[str]) -> bool:
    if host in allowed or _EXAMPLES.search(host) or not _PUBLIC.search(host):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

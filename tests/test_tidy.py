"""Habits that a linter does not know: sizes, docstrings, a test per module, a clean top level, no leaks."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "router"

MODULE_LINES = 400
FUNCTION_LINES = 60
TOP_LEVEL = {"README.md", "config", "pyproject.toml", "router", "tests", "tools"}
IGNORED = {"__pycache__", "dist", "htmlcov", "var"}  # as in .gitignore; its dotfiles are skipped by their dot
LEAKS = re.compile(
    r"(?<![\w.:/-])/(?:root|home|Users|work|workspace)/(?=[\w.])"  # a path of one machine
    r"|p[y]pi\.org|p[y]thonhosted|n[p]mjs|deb\.d[e]bian"  # a registry: that is the machine's affair, even here
    r"|(?<!\S)--(?:index-url|extra-index-url|find-links)\b"
)


def modules(package: Path) -> Iterator[Path]:
    return (path for path in sorted(package.rglob("*.py")) if "__pycache__" not in path.parts)


def long_modules(package: Path) -> list[str]:
    return [f"{path}: over {MODULE_LINES} lines" for path in modules(package) if lines(path) > MODULE_LINES]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def long_functions(package: Path) -> list[str]:
    return [
        f"{path}:{node.lineno}: {node.name} is over {FUNCTION_LINES} lines"
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES
    ]


def undocumented_modules(package: Path) -> list[str]:
    return [f"{path}: no docstring" for path in modules(package) if not ast.get_docstring(ast.parse(path.read_bytes()))]


def untested_modules(package: Path, tests: Path) -> list[str]:
    """Return the modules without a test at the same place, as risk/gate.py has risk/test_gate.py."""
    wanted = {
        path: tests / path.relative_to(package).with_name(f"test_{path.name}")
        for path in modules(package)
        if path.name not in {"__init__.py", "__main__.py"}
    }
    return [f"{path}: no {test}" for path, test in wanted.items() if not test.is_file()]


def stray_entries(files: Iterable[str]) -> list[str]:
    tops = {file.split("/", 1)[0] for file in files}
    return sorted(top for top in tops if top not in TOP_LEVEL and not top.startswith("."))


def leaks(root: Path, files: Iterable[str]) -> list[str]:
    found = []
    for file in files:
        text = (root / file).read_text(encoding="utf-8", errors="ignore")
        found += [
            f"{file}:{number}: {match.group()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := LEAKS.search(line))
        ]
    return found


def project_files(root: Path) -> list[str]:
    """Return what git tracks; in a copy without git, every file that .gitignore would not name."""
    git = shutil.which("git")
    if git:
        listed = subprocess.run([git, "ls-files", "-z"], cwd=root, capture_output=True, check=False)
        tracked = [name for name in listed.stdout.decode().split("\0") if (root / name).is_file()]
        if tracked:
            return tracked
    tops = [top for top in sorted(root.iterdir()) if not top.name.startswith(".")]
    paths = [path.relative_to(root) for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
    return [path.as_posix() for path in paths if not IGNORED & set(path.parts)]


def test_modules_are_short() -> None:
    assert long_modules(PACKAGE) == []


def test_functions_are_short() -> None:
    assert long_functions(PACKAGE) == []


def test_modules_say_why_they_exist() -> None:
    assert undocumented_modules(PACKAGE) == []


def test_every_module_has_its_test() -> None:
    assert untested_modules(PACKAGE, ROOT / "tests") == []


def test_top_level_is_fixed() -> None:
    assert stray_entries(project_files(ROOT)) == []


def test_no_machine_path_and_no_registry() -> None:
    assert leaks(ROOT, project_files(ROOT)) == []


# The checks themselves: each must be able to fail.


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_long_module_is_found(tmp_path: Path) -> None:
    write(tmp_path / "fits.py", "x = 1\n" * MODULE_LINES)
    path = write(tmp_path / "risk" / "long.py", "x = 1\n" * (MODULE_LINES + 1))
    assert long_modules(tmp_path) == [f"{path}: over 400 lines"]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_long_function_is_found(tmp_path: Path, keyword: str) -> None:
    body = "    x = 1\n"
    write(tmp_path / "fits.py", f"{keyword} fits():\n" + body * (FUNCTION_LINES - 1))
    inner = f"class C:\n    {keyword} long(self):\n" + f"    {body}" * FUNCTION_LINES
    path = write(tmp_path / "long.py", inner)
    assert long_functions(tmp_path) == [f"{path}:2: long is over 60 lines"]


def test_a_module_without_docstring_is_found(tmp_path: Path) -> None:
    write(tmp_path / "good.py", '"""Why."""\n')
    path = write(tmp_path / "bad.py", "# Why.\n")
    assert undocumented_modules(tmp_path) == [f"{path}: no docstring"]


def test_a_module_without_test_is_found(tmp_path: Path) -> None:
    package, tests = tmp_path / "router", tmp_path / "tests"
    for name in ("__init__.py", "__main__.py", "risk/__init__.py", "risk/gate.py", "app.py"):
        write(package / name, "")
    bad = write(package / "market" / "feeds" / "replay.py", "")
    for name in ("test_app.py", "risk/test_gate.py", "market/test_replay.py"):
        write(tests / name, "")
    assert untested_modules(package, tests) == [f"{bad}: no {tests / 'market' / 'feeds' / 'test_replay.py'}"]


def test_a_stray_entry_is_found() -> None:
    assert stray_entries(["README.md", ".ci/run", "router/app.py", "docs/a.md", "setup.cfg"]) == [
        "docs",
        "setup.cfg",
    ]


@pytest.mark.parametrize(
    "leak", ["x = '/~home/ann/router'", "/~root/.venv", "https://pypi~.org/simple", "-~-index-url somewhere"]
)
def test_a_leak_is_found(tmp_path: Path, leak: str) -> None:
    leak = leak.replace("~", "")  # or this file would be found as well
    write(tmp_path / "bad.txt", f"fine: sub/home/x, GET /api/home/, no--index-url\n{leak}\n")
    assert [line.split(": ")[0] for line in leaks(tmp_path, ["bad.txt"])] == ["bad.txt:2"]


def test_a_copy_without_git_is_listed_without_what_is_made(tmp_path: Path) -> None:
    for name in ("router/app.py", "stray.txt", ".venv/x.py", "var/journal.db", "router/__pycache__/app.pyc"):
        write(tmp_path / name, "")
    assert project_files(tmp_path) == ["router/app.py", "stray.txt"]

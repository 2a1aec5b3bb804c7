"""The catalogue names what there is: every control, module, test, limit and count in it exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from router.cli.governance import in_force
from router.governance.catalogue import Entry, catalogue
from router.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = catalogue().values()
IDS = [
    f"{kind}{number:02}" for kind, last in (("P", 24), ("A", 15), ("T", 9), ("G", 10)) for number in range(1, last + 1)
]
COUNTED = Counter(name for entry in ENTRIES for name in entry.counted_as)
_WORDING = re.compile(r"(Max|Drawdown|Daily|Asset|Reduce-only) [a-z -]+")


def missing_modules(entry: Entry) -> list[str]:
    paths = [
        [ROOT / name]
        if "/" in name
        else [ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py"]
        for name in entry.implemented_by
    ]
    return [str(places[0]) for places in paths if not any(place.is_file() for place in places)]


def missing_tests(entry: Entry) -> list[str]:
    return [test for test in entry.tests if not has_test(test)]


def has_test(test: str) -> bool:
    file, *names = test.split("::")
    if not (ROOT / file).is_file():
        return False
    nodes: list[ast.stmt] = ast.parse((ROOT / file).read_bytes()).body
    for name in names:
        found = [node for node in nodes if getattr(node, "name", None) == name]
        if not found:
            return False
        nodes = getattr(found[0], "body", [])
    return bool(names)


def guards_controls() -> list[str]:
    """Return the id of every control in the package, as its class says it."""
    return [
        node.value.value
        for path in sorted((ROOT / "router/safety").glob("*.py"))
        for owner in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "id"
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def risks_violations() -> set[str]:
    """Return every wording of a broken limit in the package."""
    return {
        node.value
        for path in sorted((ROOT / "router/risk").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORDING.fullmatch(node.value)
    }


def test_every_control_of_the_catalogue_is_there_once() -> None:
    assert list(catalogue()) == IDS


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_a_control_is_somewhere_and_tested_or_says_why_not(entry: Entry) -> None:
    assert entry.title
    if entry.not_applicable:
        assert entry == Entry(id=entry.id, title=entry.title, not_applicable=entry.not_applicable)
    else:
        assert entry.implemented_by
        assert entry.tests


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_what_it_names_exists(entry: Entry) -> None:
    assert missing_modules(entry) == []
    assert missing_tests(entry) == []


def test_what_does_not_exist_is_found() -> None:
    real = "tests/governance/test_catalogue.py::test_what_does_not_exist_is_found"
    entry = Entry(
        id="P00",
        title="",
        implemented_by=(
            "router.risk.nothing",
            "router.risk",
            "router.risk.gate",
            "config/none.toml",
            "config/config.toml",
        ),
        tests=(real, f"{real}_at_all", "tests/none.py::test_x", "tests/test_tidy.py", "tests/test_tidy.py::lines::x"),
    )
    assert [Path(name).stem for name in missing_modules(entry)] == ["nothing", "none"]
    assert missing_tests(entry) == list(entry.tests[1:])


def test_every_control_of_the_guard_is_counted_in_exactly_one_place() -> None:
    ids = guards_controls()
    assert len(ids) >= 14
    assert {name: COUNTED[name] for name in ids} == dict.fromkeys(ids, 1)


def test_every_broken_limit_is_counted_in_exactly_one_place() -> None:
    found = risks_violations()
    assert {"Max position size exceeded", "Drawdown limit breached", "Daily loss limit reached"} <= found
    assert {name: COUNTED[name] for name in found} == dict.fromkeys(found, 1)


def test_nothing_is_counted_twice() -> None:
    assert [name for name, times in COUNTED.items() if times > 1] == []


def test_every_limit_has_a_value_in_force() -> None:
    values = in_force(load_settings(ROOT / "config/config.toml", environ={}), {})
    assert [key for entry in ENTRIES for key in entry.limits if key not in values] == []

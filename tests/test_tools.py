"""What tools/router and tools/test do on a bare, broken, busy or moved machine; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNAVAILABLE = 69
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

# Answers as a whole Python would and notes what it was asked; "installs" with $INSTALL; its venv holds
# commands that print their name, folder and arguments, or fail when that begins with $BROKEN.
STAND_IN = """\
#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
*print*) echo 3.12 ;;
"-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    for name in router ruff mypy lint-imports coverage pytest; do
        printf '#!/bin/sh\\necho %s "$PWD" $# "$*"\\n' $name >"$3/bin/$name"
        printf 'case "%s $*" in "${BROKEN:-none}"*) exit 7 ;; esac\\n' $name >>"$3/bin/$name"
        chmod +x "$3/bin/$name"
    done
    ;;
*" install "*) eval "${INSTALL:-:}" ;;
esac
"""


class Machine:
    """A copy of the scripts in a folder with a space, and a PATH that holds only what a test puts there."""

    def __init__(self, home: Path) -> None:
        self.project = home / "the project"
        self.bin = home / "bin"
        self.log = home / "log"
        self.bin.mkdir(parents=True)
        (self.project / "tools" / "requirements").mkdir(parents=True)
        for name in ("router", "test", "setup.sh"):
            shutil.copy(ROOT / "tools" / name, self.project / "tools" / name)
        for name in ("tools/requirements/runtime.txt", "tools/requirements/dev.txt", "pyproject.toml"):
            (self.project / name).write_text(name, encoding="utf-8")
        for name in ("cat", "chmod", "cksum", "cp", "date", "mkdir", "mv", "rm", "rmdir", "sh", "sleep"):
            (self.bin / name).symlink_to(shutil.which(name) or name)

    def add(self, name: str, script: str = STAND_IN) -> None:
        path = self.bin / name
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def start(self, tool: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.bin / "sh", self.project / "tools" / tool, *arguments],
            cwd=self.bin,
            env={"PATH": str(self.bin), "LOG": str(self.log), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, tool: str, *arguments: str, **env: str) -> tuple[int, str, str]:
        process = self.start(tool, *arguments, **env)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def asked(self, what: str) -> int:
        """Return how often a stand-in was called with ``what`` among its arguments."""
        return self.log.read_text(encoding="utf-8").count(what) if self.log.exists() else 0

    def left(self) -> set[str]:
        return {path.name for path in self.project.iterdir() if path.name.startswith(".venv")}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def real_python(tmp_path: Path, module: str, text: str) -> str:
    """Return a script that runs this very Python with one module replaced."""
    folder = tmp_path / module
    folder.mkdir()
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n'


@pytest.mark.parametrize("tool", ["router", "test"])
def test_without_python_says_what_is_needed(machine: Machine, tool: str) -> None:
    code, out, err = machine.run(tool)
    assert (code, out) == (UNAVAILABLE, "")
    assert err == "router: needs Python 3.11 or newer on the PATH\n"
    assert machine.left() == set()


def test_an_old_python_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.add("python3", real_python(tmp_path, "sitecustomize", "import sys\nsys.version_info = (3, 9, 2)\n"))
    code, _, err = machine.run("router")
    assert code == UNAVAILABLE
    assert err == "router: needs Python 3.11 or newer on the PATH; python3 is 3.9\n"


@pytest.mark.parametrize("tool", ["router", "test"])
def test_without_ensurepip_prints_the_line_to_run(machine: Machine, tmp_path: Path, tool: str) -> None:
    machine.add("python3", real_python(tmp_path, "ensurepip", "raise ImportError\n"))
    code, out, err = machine.run(tool)
    assert (code, out) == (UNAVAILABLE, "")
    assert f"    apt-get install python{VERSION}-venv" in err.splitlines()
    assert machine.left() == set()


def test_a_whole_python_is_preferred_to_one_that_lacks_venv(machine: Machine, tmp_path: Path) -> None:
    machine.add("python3.13", real_python(tmp_path, "ensurepip", "raise ImportError\n"))
    machine.add("python3.12", "#!/bin/sh\nexit 127\n")  # an empty shim
    machine.add("python3")
    assert machine.run("router")[0] == 0


def test_first_run_sets_up_and_the_next_starts_at_once(machine: Machine) -> None:
    machine.add("python3")
    code, out, err = machine.run("router", "submit", "a b")
    assert (code, out) == (0, f"router {machine.bin} 2 submit a b\n")  # the caller's folder and arguments
    assert "setting up .venv" in err
    calls = machine.log.read_text(encoding="utf-8")
    assert machine.run("router", "status") == (0, f"router {machine.bin} 1 status\n", "")
    assert machine.log.read_text(encoding="utf-8") == calls  # no Python was started to find that out
    assert machine.left() == {".venv"}


@pytest.mark.parametrize("name", ["tools/requirements/runtime.txt", "pyproject.toml"])
def test_a_changed_requirement_is_installed_into_the_same_venv(machine: Machine, name: str) -> None:
    machine.add("python3")
    machine.run("router")
    installs = machine.asked(" install ")
    (machine.project / name).write_text("changed", encoding="utf-8")
    assert "updating .venv" in machine.run("router")[2]
    assert (machine.asked(" install "), machine.asked("-m venv")) == (2 * installs, 1)


def test_development_adds_to_runtime_and_covers_it(machine: Machine) -> None:
    machine.add("python3")
    machine.run("router")
    assert "updating .venv" in machine.run("test")[2]
    assert machine.asked("dev.txt --require-hashes") == 1
    assert machine.run("router")[2] == ""
    assert machine.run("test")[2] == ""


def test_a_failed_install_is_not_taken_as_done(machine: Machine) -> None:
    machine.add("python3")
    code, out, err = machine.run("router", INSTALL="exit 1")
    assert (code, out) == (UNAVAILABLE, "")
    assert "pip could not install" in err
    assert machine.left() == {".venv"}  # and no lock
    assert machine.run("router")[0] == 0
    assert machine.asked("-m venv") == 2


def test_a_failed_update_is_not_hidden_by_going_back(machine: Machine) -> None:
    machine.add("python3")
    machine.run("test")
    pins = machine.project / "tools" / "requirements" / "runtime.txt"
    before = pins.read_text(encoding="utf-8")
    pins.write_text("changed", encoding="utf-8")
    assert machine.run("router", INSTALL="exit 1")[0] == UNAVAILABLE
    pins.write_text(before, encoding="utf-8")
    assert "setting up .venv" in machine.run("test")[2]


def test_an_interrupted_install_is_not_taken_as_done(machine: Machine) -> None:
    machine.add("python3")
    started = machine.bin / "started"
    process = machine.start("router", INSTALL=f': >"{started}"; sleep 0.3')
    while not started.exists():
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert machine.left() == {".venv"}
    assert "setting up .venv" in machine.run("router")[2]


def test_a_moved_folder_is_set_up_again(machine: Machine) -> None:
    machine.add("python3")
    machine.run("router")
    machine.project = machine.project.rename(machine.project.with_name("elsewhere"))
    assert "setting up .venv" in machine.run("router")[2]


def test_a_vanished_interpreter_is_noticed(machine: Machine) -> None:
    machine.add("python3")
    machine.run("router")
    python = machine.project / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("gone")
    assert machine.run("router")[0] == 0
    assert machine.asked("-m venv") == 2


def test_of_two_first_runs_one_sets_up(machine: Machine) -> None:
    machine.add("python3")
    runs = [machine.start("router", name, INSTALL="sleep 0.2") for name in ("one", "two")]
    errors = [run.communicate(timeout=30)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert "".join(errors).count("ready after") == 1
    assert machine.asked("-m venv") == 1
    assert machine.left() == {".venv"}


def test_the_lock_of_a_dead_run_is_inherited(machine: Machine) -> None:
    machine.add("python3")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock = machine.project / ".venv.lock"
    lock.mkdir()
    (lock / "pid").write_text(f"{dead.pid}\n", encoding="utf-8")
    assert machine.run("router")[0] == 0
    assert machine.left() == {".venv"}


def test_the_lock_of_a_living_run_is_respected(machine: Machine) -> None:
    machine.add("python3")
    lock = machine.project / ".venv.lock"
    lock.mkdir()
    (lock / "pid").write_text(f"{os.getpid()}\n", encoding="utf-8")
    process = machine.start("router")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    shutil.rmtree(lock)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "setting up" in err


def test_checks_run_in_order(machine: Machine) -> None:
    machine.add("python3")
    code, out, _ = machine.run("test")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("==")] == [
        "== format",
        "== lint",
        "== types",
        "== imports",
        "== decisions",
        "== coverage",
        "== tests",
        "== quick",
        "== venues",
    ]


@pytest.mark.parametrize(
    ("broken", "name"), [("no:cacheprovider tests/executors", "venues"), ("no:cacheprovider tests/execution", "quick")]
)
def test_what_runs_beside_the_rest_fails_the_run_too(machine: Machine, broken: str, name: str) -> None:
    machine.add("python3")
    code, out, err = machine.run("test", BROKEN=f"pytest -p {broken}")
    assert code == 7
    assert err.endswith(f"tools/test: {name} failed\n")
    assert "== tests" in out


def test_the_first_failing_check_ends_the_run(machine: Machine) -> None:
    machine.add("python3")
    code, out, err = machine.run("test", BROKEN="ruff check")
    assert code == 7
    assert err.endswith("tools/test: lint failed\n")
    assert "== types" not in out


def test_too_little_coverage_ends_the_run(machine: Machine) -> None:
    machine.add("python3")
    code, out, err = machine.run("test", BROKEN="coverage report")
    assert code == 7
    assert err.endswith("tools/test: coverage failed\n")
    assert "== tests" not in out


def test_arguments_go_to_pytest_alone(machine: Machine) -> None:
    machine.add("python3")
    code, out, _ = machine.run("test", "-k", "a b")
    assert (code, out) == (0, f"pytest {machine.project} 2 -k a b\n")

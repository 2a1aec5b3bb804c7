# shellcheck shell=sh
# Sourced by tools/router and tools/test, which set $root: `ensure runtime` or `ensure dev` makes sure that .venv holds
# what tools/requirements pins, and the project itself. Done means: .venv/stamp-* agrees with the files it was made
# from. The stamps go before the first change and come back after the last, so a broken set-up is never taken as done.

venv=$root/.venv
lock=$root/.venv.lock
pythons="python3.13 python3.12 python3.11 python3.14 python3 python"

ensure() {
    if is_done "$1"; then return; fi
    [ -w "$root" ] || fail "cannot write to $root"
    lock
    # Perhaps another run did the work while this one waited.
    is_done "$1" || set_up "$1"
    unlock
}

say() { printf 'router: %s\n' "$*" >&2; }

# 69 is EX_UNAVAILABLE: nothing of the router's own exit codes.
fail() {
    say "$@"
    exit 69
}

is_done() {
    [ -x "$venv/bin/router" ] && [ -x "$venv/bin/python" ] &&
        [ "$(cat "$venv/stamp-$1" 2>/dev/null)" = "$(fingerprint "$1")" ]
}

# cksum prints the files' full paths too, so a moved folder no longer agrees: scripts in .venv name their interpreter.
fingerprint() {
    if [ "$1" = dev ]; then set -- "$root/tools/requirements/dev.txt"; else set --; fi
    cksum "$root/pyproject.toml" "$root/tools/setup.sh" "$root/tools/requirements/runtime.txt" "$@"
}

set_up() {
    started=$(date +%s)
    runtime=$(fingerprint runtime)
    dev=$(fingerprint dev)
    uv=$(command -v uv) || uv=
    if is_usable; then
        say "updating .venv"
    else
        make_venv
    fi
    rm -f "$venv/stamp-runtime" "$venv/stamp-dev" "$venv/root"
    install -r "$root/tools/requirements/$1.txt" --require-hashes
    install --no-build-isolation -e "$root"
    # Packages may ship files that are not for this Python, which is no failure.
    "$venv/bin/python" -m compileall -qq -j 0 "$venv/lib" >/dev/null 2>&1 || :
    printf '%s\n' "$root" >"$venv/root"
    printf '%s\n' "$runtime" >"$venv/stamp-runtime"
    if [ "$1" = dev ]; then printf '%s\n' "$dev" >"$venv/stamp-dev"; fi
    say "ready after $(($(date +%s) - started)) s"
}

# Usable: made here, whole, and with a way to install.
is_usable() {
    [ "$(cat "$venv/root" 2>/dev/null)" = "$root" ] || return 1
    if [ -n "$uv" ]; then "$venv/bin/python" -c '' 2>/dev/null; else "$venv/bin/python" -c 'import pip' 2>/dev/null; fi
}

make_venv() {
    find_python
    say "setting up .venv with Python $version: once, about half a minute"
    rm -rf "$venv"
    if [ -n "$uv" ]; then
        "$uv" venv --quiet --python "$python" "$venv" >&2 || fail "set-up failed: uv could not make .venv"
    else
        "$python" -m venv "$venv" >&2 || fail "set-up failed: $python could not make .venv"
    fi
}

# Sets $python and $version: the first interpreter that is new enough and, without uv, can make an environment with pip.
find_python() {
    python='' version='' lacking='' old=''
    for candidate in ${PYTHON:+"$PYTHON"} $pythons; do
        # A name on the path may be an empty shim: only what runs counts.
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            old="$old; $candidate is $version"
        elif [ -z "$uv" ] && ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            lacking=${lacking:-$version}
        else
            python=$candidate
            return
        fi
    done
    [ -z "$lacking" ] || fail "Python $lacking lacks its venv module. As root, run:
    apt-get install python$lacking-venv"
    fail "needs Python 3.11 or newer on the PATH$old"
}

# Every dependency is pinned, so nothing is left to resolve. Byte code is written by all cores at the end, not by pip
# on one; and not by the first run, as some environments forbid it and each start would pay.
install() {
    if [ -n "$uv" ]; then
        "$uv" pip install --quiet --python "$venv/bin/python" --no-deps "$@" >&2 ||
            fail "set-up failed: uv could not install, see above"
    else
        "$venv/bin/python" -m pip --quiet --quiet --disable-pip-version-check --no-input \
            install --no-deps --no-compile "$@" >&2 || fail "set-up failed: pip could not install, see above"
    fi
}

# mkdir either makes the lock or fails: one set-up at a time. The lock names its holder, so that a dead one is noticed.
lock() {
    waited=0
    until mkdir "$lock" 2>/dev/null; do
        holder=$(cat "$lock/pid" 2>/dev/null) || holder=
        # Without a pid, the holder may be about to write it.
        if [ -n "$holder" ] || [ "$waited" -ge 5 ]; then
            if ! kill -0 "$holder" 2>/dev/null && inherit "$holder"; then break; fi
        fi
        [ "$waited" -ne 1 ] || say "another set-up is running (pid $holder), waiting"
        [ "$waited" -lt 900 ] || fail "gave up waiting; if pid $holder is no set-up, remove $lock"
        sleep 1
        waited=$((waited + 1))
    done
    trap unlock EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    echo $$ >"$lock/pid"
}

# Of several that wait only one inherits from the dead, and looks again: by now the lock may be someone else's.
inherit() {
    mkdir "$lock/heir" 2>/dev/null || return 1
    if [ "$(cat "$lock/pid" 2>/dev/null)" = "$1" ]; then echo $$ >"$lock/pid"; fi 2>/dev/null
    rmdir "$lock/heir" 2>/dev/null
    [ "$(cat "$lock/pid" 2>/dev/null)" = $$ ]
}

# Moved away in one step, so that nobody meets half a lock.
unlock() {
    trap - EXIT INT TERM HUP
    mv "$lock" "$lock.$$" && rm -rf "$lock.$$"
}

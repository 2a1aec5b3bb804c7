"""Where API keys come from: the environment, files it names, or systemd's credentials; never from configuration.

For ``binance``: ``BINANCE_TESTNET_API_KEY``, ``BINANCE_TESTNET_API_SECRET``, and ``…_API_PASSPHRASE`` where a venue has
one. Each may instead be a file, named by the same variable with ``_FILE``, or a file of the variable's name (in capital
or small letters) in ``$CREDENTIALS_DIRECTORY``. A secret shows in no message and no repr.
This module must not know ccxt or the network.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from router.errors import ConfigError
from router.executors.testnet.guard import loopback_authority
from router.executors.testnet.profiles import Profile

_PARTS = ("API_KEY", "API_SECRET", "API_PASSPHRASE")
_LONGEST = 4096
_PLAIN = re.compile(rb"[\x21-\x7e]{1,%d}" % _LONGEST)
_LOOPBACK = ("loopback" * 8,) * 3  # as long as a real key: a venue checks that


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue knows the account by. ``warnings`` are for the log, without a secret in them."""

    key: str
    secret: str
    passphrase: str = ""
    warnings: tuple[str, ...] = ()

    def parts(self) -> tuple[str, str, str]:
        """Return key, secret and passphrase."""
        return self.key, self.secret, self.passphrase

    def __repr__(self) -> str:
        return "Credentials(…)"


def read_credentials(profile: Profile, environ: Mapping[str, str], *, base_url: str = "") -> Credentials:
    """Return the keys of the venue's sandbox; a loopback venue has keys of its own when none are set.

    Raises:
        ConfigError: one is missing, empty, set twice, unreadable or not plain ASCII.
        LiveHostError: ``base_url`` is no loopback address.
    """
    if base_url:
        loopback_authority(base_url)
    names = [f"{profile.venue.upper()}_TESTNET_{part}" for part in _PARTS[: len(profile.key_fields)]]
    warnings: list[str] = []
    values = [_read(name, environ, warnings) for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if base_url and len(missing) == len(names):
        values = list(_LOOPBACK[: len(names)])
    elif missing:
        raise ConfigError(
            f"{profile.venue}: {' and '.join(missing)} not set. Give the keys of its sandbox in the environment, "
            f"in files named by {names[0]}_FILE and so on, or in systemd's credentials. Never use live keys."
        )
    key, secret, passphrase = (*(value or "" for value in values), "")[:3]
    return Credentials(key=key, secret=secret, passphrase=passphrase, warnings=tuple(warnings))


def _read(name: str, environ: Mapping[str, str], warnings: list[str]) -> str | None:
    """Return one part, or None when nothing gives it."""
    sources = [variable for variable in (name, f"{name}_FILE") if variable in environ]
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        sources += [str(file) for file in (Path(directory, name), Path(directory, name.lower())) if file.exists()]
    if not sources:
        return None
    if len(sources) > 1:
        raise ConfigError(f"{name} is given more than once: by {' and by '.join(sources)}. Keep one.")
    source = sources[0]
    if source == name:
        value = environ[name].encode(errors="surrogateescape")
    elif source == f"{name}_FILE":
        value = _contents(source, Path(environ[source]), warnings)
    else:
        value = _contents(name, Path(source), warnings)
    value = value.strip()  # editors and `echo` end a line
    if not value:
        raise ConfigError(f"{source} is empty; give the key, or remove it.")
    if not _PLAIN.fullmatch(value):
        raise ConfigError(f"{source} holds something else than one word of ASCII; copy the key again.")
    return value.decode()


def _contents(source: str, path: Path, warnings: list[str]) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                warnings.append(f"{path} can be read by every user of this machine; chmod it to 600.")
            return file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{source}: {path} cannot be read: {error.strerror}.") from None

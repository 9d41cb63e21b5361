"""One frozen, validated configuration: defaults, then a TOML file, then the environment, then flags.

The fields of ``Configuration`` are the table from which keys, variables, flags and docs/configuration.md come.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observer.engine.coverage import EVIDENCE
from observer.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENVIRONMENT = "VRRP_OBSERVER_"
"""Prefix of environment variables: ``VRRP_OBSERVER_LISTEN`` sets ``listen``."""

FILE = "VRRP_OBSERVER_CONFIG"
"""Names the TOML file where no flag does."""


def setting(default: Any, usage: str, metavar: str, flags: tuple[str, ...] = (), *, reloads: bool = False) -> Any:
    """A field of the table.

    ``usage`` and ``metavar`` are the flag's help, ``flags`` its names (else made of the key's); ``reloads``: SIGHUP changes it.
    """
    return field(default=default, metadata={"usage": usage, "metavar": metavar, "flags": flags, "reloads": reloads})


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings of the agent; each is a key of the file, an environment variable and a flag of ``run``."""

    interfaces: tuple[str, ...] = setting((), "watch only this interface", "NAME", ("-i", "--interface"), reloads=True)
    """Interfaces to watch; empty: every one that is up and not part of another."""
    listen: str = setting(":9965", "where to serve /metrics", "HOST:PORT", ("-l", "--listen"))
    """Address and port of /metrics, as ``host:port``, ``[v6]:port`` or ``:port``; empty: do not serve."""
    node: str = setting("", "this node's name in evidence, instead of its host name", "NAME")
    """Name of this node in evidence; empty: its host name."""
    hold_back: float = setting(0.25, "wait for observations that are late", "SECONDS")
    """Seconds for which observations wait for others that are late."""
    tls_cert: str = setting("", "serve HTTPS with this certificate chain", "FILE")
    """Certificate chain of the server, in PEM; empty: serve plain HTTP. Read anew when the file changes."""
    tls_key: str = setting("", "the key of that certificate", "FILE")
    """Key of ``tls_cert``, in PEM; empty: it is in the same file. Read anew when the file changes."""
    tls_client_ca: str = setting("", "ask clients for a certificate from these authorities", "FILE")
    """Authorities, in PEM, one of which must have signed a client's certificate; empty: any client may read. /healthz and
    /readyz need none. Read anew when the file changes."""
    evidence: tuple[str, ...] = setting(EVIDENCE, "look only at this on the node", "NAME")
    """What to look at on the node itself, beside the wire; empty: nothing."""
    keepalived_conf: str = setting("", "this node's keepalived.conf: names the check that failed", "FILE")
    """keepalived.conf of this node, which names the check that failed; empty: /etc/keepalived/keepalived.conf."""
    logs: tuple[str, ...] = setting(
        ("/var/log/pods/*keepalived*/*/*.log",), "keepalived's log, or a pattern of its files, or `journal`", "FILE", ("--log",)
    )
    """Files or glob patterns of keepalived's log to follow; `journal` is the node's journal."""
    service_ports: tuple[str, ...] = setting(
        (), "port where the proxy itself listens, where it is not found", "PORT", ("--service-port",)
    )
    """Ports where the proxy itself listens on this node; empty: found from the sockets, or from the redirect rule."""
    haproxy_socket: str = setting("", "HAProxy's stats socket, where it is not in one of the usual places", "FILE")
    """HAProxy's stats socket; empty: OpenShift's or Debian's usual place."""

    recordings: str = setting("", "record the minutes around each flap there", "DIRECTORY")
    """Directory for recordings; default: `recordings` in systemd's STATE_DIRECTORY. Empty, or without that: none are made."""
    record: str = setting("flaps", "when to record: flaps or always", "WHEN")
    """`flaps`: record around flaps (and at SIGUSR1); `always`: record all the time."""
    record_before: float = setting(120.0, "what a recording holds before a flap", "SECONDS")
    """Seconds before a flap that a recording holds, at least."""
    record_after: float = setting(120.0, "what a recording holds after a flap", "SECONDS")
    """Seconds after a flap that a recording holds; it goes on at least until the flap is closed."""
    record_size: float = setting(20.0, "size of one recording", "MEGABYTES")
    """Megabytes of one recording; where more is to be recorded, another follows."""
    record_files: float = setting(50.0, "recordings that are kept", "COUNT")
    """Recordings kept; the oldest go first."""
    record_days: float = setting(14.0, "for how long they are kept", "DAYS")
    """Days for which recordings are kept."""

    def __post_init__(self) -> None:
        if not 0.01 <= self.hold_back <= 10:
            raise ConfigError(f"hold_back is {self.hold_back}: give seconds between 0.01 and 10")
        for interface in self.interfaces:
            if not interface or len(interface) > 15 or "/" in interface or any(char.isspace() for char in interface):
                raise ConfigError(f"interfaces: {interface!r} is not an interface name")
        if any("\ud800" <= char <= "\udfff" for char in self.node):
            raise ConfigError(f"node is {self.node!r}: give UTF-8 text")
        if self.record not in ("flaps", "always"):
            raise ConfigError(f"record is {self.record!r}: give flaps or always")
        for key, least, most in _RECORDS:
            if not least <= getattr(self, key) <= most:
                raise ConfigError(f"{key} is {getattr(self, key):g}: give a number between {least:g} and {most:g}")
        if not self.record_files.is_integer():
            raise ConfigError(f"record_files is {self.record_files:g}: give a whole number")
        if self.listen:
            endpoint(self.listen)
        for name in self.evidence:
            if name not in EVIDENCE:
                raise ConfigError(f"evidence: {name!r} is not one of {', '.join(EVIDENCE)}")
        for port in self.service_ports:
            if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
                raise ConfigError(f"service_ports: {port!r} is not a port number")


_RECORDS = (
    ("record_before", 10, 3600),
    ("record_after", 10, 3600),
    ("record_size", 1, 1000),
    ("record_files", 1, 10_000),
    ("record_days", 0.01, 3650),
)
"""Keys with the least and the greatest value."""

KEYS = tuple(field.name for field in fields(Configuration))


@dataclass(frozen=True, slots=True)
class Effective:
    """A configuration and where each of its values is from."""

    configuration: Configuration
    origins: Mapping[str, str]
    """By key: ``default``, ``file:line``, the environment variable, or ``flag``."""

    def toml(self) -> str:
        """As a file that says the same, each line with where its value is from."""
        lines = {key: f"{key} = {toml(getattr(self.configuration, key))}" for key in KEYS}
        width = max(len(line) for line in lines.values())
        return "".join(f"{line:{width}}  # {self.origins[key]}\n" for key, line in lines.items())


def endpoint(listen: str) -> tuple[str, int]:
    """Host (empty: all addresses) and port of ``listen``. Raises ConfigError."""
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^:\[\]\s]*)):(?P<port>[0-9]{1,5})", listen)
    if match is None or not 0 <= int(match["port"]) <= 65535:
        raise ConfigError(f"listen is {listen!r}: give host:port, [v6 address]:port or :port")
    return match["v6"] or match["host"] or "", int(match["port"])


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """The configuration from all its sources, the later ones winning; ``flags`` that are None were not given.

    Raises ConfigError with the file, line and nearest valid key for a wrong one.
    """
    return effective(path, environment, flags).configuration


def effective(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Effective:
    """As ``load``, with where each value is from. Raises ConfigError."""
    settings: dict[str, Any] = {}
    origins = dict.fromkeys(KEYS, "default")
    path = environment.get(FILE) or None if path is None else path
    if path is not None:
        for key, (value, where) in _file(path).items():
            settings[key], origins[key] = value, where
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT) and name != FILE:
            key = name.removeprefix(ENVIRONMENT).lower()
            if key not in KEYS:
                raise ConfigError(f"environment: {name} is not a setting{_nearest(key, prefix=ENVIRONMENT)}")
            listed = isinstance(getattr(Configuration(), key), tuple)
            settings[key] = _typed(key, text.split(",") if listed else text, f"environment: {name}")
            _checked(key, settings[key], "environment")
            origins[key] = name
    for key, value in flags.items():
        if value is not None:
            settings[key] = _listed(value) if isinstance(value, tuple) else value
            origins[key] = "flag"
    if "recordings" not in settings and (state := environment.get("STATE_DIRECTORY")):
        settings["recordings"], origins["recordings"] = f"{state.split(':')[0]}/recordings", "STATE_DIRECTORY"
    configuration = replace(Configuration(), **settings)
    for key in ("tls_key", "tls_client_ca"):
        if getattr(configuration, key) and not configuration.tls_cert:
            raise ConfigError(f"{origins[key]}: {key} is of no use without tls_cert: give both, or none")
    return Effective(configuration, origins)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = "".join(f"\\u{ord(char):04x}" if char in '"\\' or not char.isprintable() else char for char in value)
        return f'"{escaped}"'
    return str(value)


def _file(path: str) -> dict[str, tuple[Any, str]]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Of its own kind are mistakes of grammar only, not a number of thousands of digits or lists as deep.
        raise ConfigError(f"{path}: {error}") from error
    settings = {}
    for key, value in document.items():
        where = f"{path}:{_line(text, key)}"
        if key not in KEYS:
            raise ConfigError(f"{where}: {key!r} is not a setting{_nearest(key)}")
        settings[key] = _typed(key, value, f"{where}: {key}"), where
        _checked(key, settings[key][0], where)
    return settings


def _typed(key: str, value: Any, where: str) -> Any:
    default = getattr(Configuration(), key)
    # No file, interface or host has one in its name, and the kernel takes none.
    if any("\0" in text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)):
        raise ConfigError(f"{where}: there is a NUL character in it; take it out")
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return _listed(value)
        raise ConfigError(f"{where}: give a list of strings")
    if isinstance(default, float):
        if isinstance(value, bool):
            raise ConfigError(f"{where}: {value!r} is not a number")
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where}: the number is too large") from None
        except (TypeError, ValueError):
            raise ConfigError(f"{where}: {value!r} is not a number") from None
    if not isinstance(value, str):
        raise ConfigError(f"{where}: give a string")
    return value


def _listed(items: Iterable[str]) -> tuple[str, ...]:
    """A list; one blank item alone says that it is empty."""
    return tuple(item.strip() for item in items if item.strip())


def _checked(key: str, value: Any, where: str) -> None:
    """Whether a value is one that a configuration may have; the error names where it came from."""
    try:
        replace(Configuration(), **{key: value})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _nearest(key: str, prefix: str = "") -> str:
    close = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {prefix + close[0].upper() if prefix else close[0]!r}?"
    return f"; settings are {', '.join(prefix + key.upper() if prefix else key for key in KEYS)}"


def _line(text: str, key: str) -> int:
    pattern = re.compile(rf"""\s*(\[+\s*)?["']?{re.escape(key)}["']?\s*[\].=]""")
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.match(line):
            return number
    return 1

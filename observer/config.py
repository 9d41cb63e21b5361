"""One frozen, validated configuration: defaults, then a TOML file, then the environment, then flags."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observer.engine.coverage import EVIDENCE
from observer.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT = "VRRP_OBSERVER_"
"""Prefix of environment variables: ``VRRP_OBSERVER_LISTEN`` sets ``listen``."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings of the agent; each is a key of the file, an environment variable and a flag of ``run``."""

    interfaces: tuple[str, ...] = ()
    """Interfaces to watch; empty: every one that is up and not part of another."""
    listen: str = ":9965"
    """Address and port of /metrics, as ``host:port``, ``[v6]:port`` or ``:port``; empty: do not serve."""
    node: str = ""
    """Name of this node in evidence; empty: its host name."""
    hold_back: float = 0.25
    """Seconds for which observations wait for others that are late."""
    evidence: tuple[str, ...] = EVIDENCE
    """What to look at on the node itself, beside the wire; empty: nothing."""
    keepalived_conf: str = ""
    """keepalived.conf of this node, which names the check that failed; empty: /etc/keepalived/keepalived.conf."""
    logs: tuple[str, ...] = ("/var/log/pods/*keepalived*/*/*.log",)
    """Files or glob patterns of keepalived's log to follow; `journal` is the node's journal."""
    service_ports: tuple[str, ...] = ()
    """Ports where the proxy itself listens on this node; empty: found from the sockets, or from the redirect rule."""
    haproxy_socket: str = ""
    """HAProxy's stats socket; empty: OpenShift's or Debian's usual place."""

    def __post_init__(self) -> None:
        if not 0.01 <= self.hold_back <= 10:
            raise ConfigError(f"hold_back is {self.hold_back}: give seconds between 0.01 and 10")
        for interface in self.interfaces:
            if not interface or len(interface) > 15 or "/" in interface or any(char.isspace() for char in interface):
                raise ConfigError(f"interfaces: {interface!r} is not an interface name")
        if self.listen:
            endpoint(self.listen)
        for name in self.evidence:
            if name not in EVIDENCE:
                raise ConfigError(f"evidence: {name!r} is not one of {', '.join(EVIDENCE)}")
        for port in self.service_ports:
            if not port.isdecimal() or not 0 < int(port) < 65536:
                raise ConfigError(f"service_ports: {port!r} is not a port number")


KEYS = tuple(field.name for field in fields(Configuration))


def endpoint(listen: str) -> tuple[str, int]:
    """Host (empty: all addresses) and port of ``listen``. Raises ConfigError."""
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})", listen)
    if match is None or not 0 <= int(match["port"]) <= 65535:
        raise ConfigError(f"listen is {listen!r}: give host:port, [v6 address]:port or :port")
    return match["v6"] or match["host"] or "", int(match["port"])


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """The configuration from all its sources, the later ones winning; ``flags`` that are None were not given.

    Raises ConfigError with the file, line and nearest valid key for a wrong one.
    """
    settings: dict[str, Any] = {}
    if path is not None:
        settings |= _file(path)
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT):
            key = name.removeprefix(ENVIRONMENT).lower()
            if key not in KEYS:
                raise ConfigError(f"environment: {name} is not a setting{_nearest(key, prefix=ENVIRONMENT)}")
            settings[key] = _typed(
                key, text.split(",") if isinstance(getattr(Configuration(), key), tuple) else text, f"environment: {name}"
            )
            _checked(key, settings[key], "environment")
    settings |= {key: value for key, value in flags.items() if value is not None}
    return replace(Configuration(), **settings)


def _file(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    settings = {}
    for key, value in document.items():
        where = f"{path}:{_line(text, key)}"
        if key not in KEYS:
            raise ConfigError(f"{where}: {key!r} is not a setting{_nearest(key)}")
        settings[key] = _typed(key, value, f"{where}: {key}")
        _checked(key, settings[key], where)
    return settings


def _typed(key: str, value: Any, where: str) -> Any:
    default = getattr(Configuration(), key)
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(item.strip() for item in value if item.strip())
        raise ConfigError(f"{where}: give a list of strings")
    if isinstance(default, float):
        if isinstance(value, bool):
            raise ConfigError(f"{where}: {value!r} is not a number")
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"{where}: {value!r} is not a number") from None
    if not isinstance(value, str):
        raise ConfigError(f"{where}: give a string")
    return value


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

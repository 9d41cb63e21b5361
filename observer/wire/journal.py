"""Observations as the fields of a journal entry, and back: what a recording says that no packet says.

Works on any dataclass of ``Observation`` by its annotations, so that a new kind of observation needs nothing here. Text
stands as it is, everything else as JSON; what is None is left out. Columns of segments are packed, compressed and in base64.
"""

from __future__ import annotations

import base64
import binascii
import enum
import ipaddress
import json
import re
import types
import typing
import zlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np

from observer.model.observations import Observation
from observer.model.segments import TcpSegments

OBSERVATION, COLUMNS = "OBSERVER_OBSERVATION", "OBSERVER_COLUMNS"
"""Fields that name the class of an observation, and that hold its columns."""

_PREFIX = "VRRP_"
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in typing.get_args(Observation)}
_LEVEL = 6
"""Of compression: higher ones gain one hundredth here and take three times as long."""
_LAST = 2**63 - 1
_ADDRESSES = frozenset({"router", "destination", "addresses", "sender", "target", "address"})
_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_UNPACKED = 64 << 20
"""Octets of columns at most."""


def to_fields(observation: Observation) -> dict[str, str]:
    """The fields of one observation; of segments, without their columns (``pack``)."""
    found = {OBSERVATION: type(observation).__name__}
    for field in fields(observation):
        value = getattr(observation, field.name)
        if value is None or isinstance(value, np.ndarray) or field.name == "frames":
            continue
        found[_PREFIX + field.name.upper()] = text(value)
    return found


def from_fields(entry: Mapping[str, str]) -> Observation:
    """The observation that the fields of an entry tell. Raises ValueError for what is none."""
    kind = _KINDS.get(entry.get(OBSERVATION, ""))
    if kind is None:
        raise ValueError(f"no observation is called {entry.get(OBSERVATION)!r}")
    try:
        observation: Any = _made(kind, entry)
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{kind.__name__}: {error}") from None
    if not 0 <= observation.time <= _LAST:
        raise ValueError(f"a time of {observation.time}")
    return typing.cast("Observation", observation)


def _made(kind: Any, entry: Mapping[str, str]) -> Any:
    values: dict[str, Any] = unpack(entry.get(COLUMNS, "")) if kind is TcpSegments else {}
    for field in fields(kind):
        given = entry.get(_PREFIX + field.name.upper())
        if field.name in values or field.name == "frames":
            continue
        if given is not None:
            values[field.name] = _parsed(given) if kind is TcpSegments else _value(_hints(kind)[field.name], given)
        elif field.default is MISSING:
            if "None" not in str(field.type):
                raise ValueError(f"no {field.name}")
            values[field.name] = None
        for address in _listed(values.get(field.name)) if field.name in _ADDRESSES else ():
            ipaddress.ip_address(address)
        if field.name == "mac" and not _MAC.fullmatch(values.get("mac") or "00:00:00:00:00:00"):
            raise ValueError(f"{values['mac']!r} is no MAC address")
    if kind is TcpSegments:
        found = [value for value in values.values() if isinstance(value, np.ndarray)]
        columned = {
            field.name for field in fields(kind) if str(field.type).startswith("NDArray") and "None" not in str(field.type)
        }
        if columned - values.keys() or not found or len({len(column) for column in found}) > 1 or not len(found[0]):
            raise ValueError("columns are missing")
    return kind(**values)


def _listed(value: Any) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def text(value: Any) -> str:
    """A value as a field holds it."""
    if isinstance(value, str) and not isinstance(value, enum.Enum) and value.isprintable() and not value.startswith('"'):
        return value
    return value.value if isinstance(value, enum.StrEnum) else json.dumps(_plain(value), separators=(",", ":"))


def pack(unpacked: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Columns of one length as text: octets of like weight side by side, differences where the values rise, compressed."""
    layout = [(name, column.dtype.str, list(column.shape)) for name, column in unpacked.items()]
    pieces = [_planes(np.diff(column, prepend=column.dtype.type(0)) if name == "times" else column).tobytes()
              for name, column in unpacked.items()]  # fmt: skip
    head = json.dumps(layout, separators=(",", ":")).encode()
    packed = zlib.compress(len(head).to_bytes(4, "little") + head + b"".join(pieces), _LEVEL)
    return base64.b64encode(packed).decode()


def unpack(packed: str) -> dict[str, np.ndarray[Any, Any]]:
    """The inverse of ``pack``. Raises ValueError."""
    try:
        inflater = zlib.decompressobj()
        data = inflater.decompress(base64.b64decode(packed, validate=True), _UNPACKED)
        size = int.from_bytes(data[:4], "little")
        layout, at, found = json.loads(data[4 : 4 + size]), 4 + size, {}
        for name, kind, shape in layout:
            dtype = np.dtype(str(kind))
            if dtype.kind not in "iub" or len(shape) not in (1, 2) or not all(0 <= int(n) < 1 << 24 for n in shape):
                raise ValueError(f"a column of {kind} {shape}")
            count = int(np.prod(shape))
            planes = np.frombuffer(data, np.uint8, count * dtype.itemsize, at).reshape(dtype.itemsize, count)
            column = np.ascontiguousarray(planes.T).view(dtype).reshape(shape)
            found[str(name)] = np.cumsum(column, dtype=dtype) if name == "times" else column
            at += count * dtype.itemsize
    except (binascii.Error, zlib.error, TypeError, KeyError) as error:
        raise ValueError(f"columns that cannot be read: {error}") from None
    return found


def _planes(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    octets = np.ascontiguousarray(column).view(np.uint8).reshape(column.size, column.dtype.itemsize)
    return np.ascontiguousarray(octets.T)


def columns(segments: TcpSegments) -> dict[str, np.ndarray[Any, Any]]:
    """The columns by their names."""
    values = ((field.name, getattr(segments, field.name)) for field in fields(segments))
    return {name: value for name, value in values if isinstance(value, np.ndarray)}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        members = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(member) for name, member in members if member is not None}
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain(member) for member in (sorted(value) if isinstance(value, frozenset | set) else value)]
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    return value.item() if isinstance(value, np.generic) else value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _parsed(given: str) -> Any:
    if not given.startswith('"'):
        return given
    return json.loads(given)


def _value(hint: Any, given: str) -> Any:
    """What a field's text says of a value that is annotated so."""
    if _is_text(hint):
        return _typed(hint, _parsed(given))
    return _typed(hint, json.loads(given))


def _is_text(hint: Any) -> bool:
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return any(isinstance(kind, type) and issubclass(kind, str) for kind in kinds)


def _typed(hint: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _typed(next(kind for kind in inner if kind is not types.NoneType), value)
    if origin in (tuple, frozenset, list):
        kinds = inner if inner and inner[-1] is not Ellipsis and origin is tuple else [inner[0]] * len(value)
        return origin(_typed(kind, member) for kind, member in zip(kinds, value, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {_typed(inner[0], key): _typed(inner[1], member) for key, member in value.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        members = _hints(hint)
        return hint(**{name: _typed(members[name], member) for name, member in value.items() if name in members})
    if hint is Any:
        return value
    if not isinstance(hint, type) or (hint in (int, str, bool) and type(value) is not hint):
        raise ValueError(f"{value!r} is not {getattr(hint, '__name__', hint)}")
    return hint(value)

"""Everything that an engine remembers, as text, and an engine that goes on from there: where a recording begins.

A verdict may rest on what was seen long before a recording's first frame. With the memory of the engine at that point, the
replay is the same engine, and says the same. Works on any class of the engine by its attributes, so that what others add to
the engine is remembered too; a program whose classes differ cannot read it, and begins with what was observed.

No code is in it: only classes of this program's engine, rules and model are made from it, without calling them.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
import sys
import zlib
from collections import OrderedDict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from observer.engine.agenda import Agenda
from observer.engine.engine import Engine
from observer.engine.views import Explain, Views
from observer.model.segments import TcpSegments

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

_PACKAGES = ("observer.engine.", "observer.model.", "observer.rules.")
_LEFT_OUT = {(Views, "explain"), (TcpSegments, "frames")}
"""What the nodes' configurations say is not observed, and may hold passwords; frames hold more than their segments."""

MOST = 500_000
"""Values that are written down at most: a third of a second's work."""

_DAMAGE = (
    json.JSONDecodeError,
    binascii.Error,
    zlib.error,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)

_SCALARS = (bool, int, float, str, type(None))
_FROZEN: dict[type[Any], str] = {tuple: "tuple", frozenset: "frozenset"}
_MAKERS: dict[str, type[Any]] = {name: kind for kind, name in _FROZEN.items()}
_COLUMNS = "iufb"
"""Kinds of numpy's types that are written down."""


def remember(engine: Engine) -> str:
    """The engine's memory. Raises TypeError for a kind of value that cannot be written, OverflowError for too many of them."""
    writer = _Writer()
    plain = writer.plain(engine)
    shapes = {_name(kind): _shape(kind) for kind in writer.kinds}
    return json.dumps({"shapes": shapes, "engine": plain}, separators=(",", ":"))


def recall(memory: str, explain: Explain | None = None) -> Engine:
    """An engine that goes on from a memory. Raises ValueError for one of a version whose classes differ, or none at all."""
    try:
        document = json.loads(memory)
        if any(_shape(_class(name, object)) != shape for name, shape in document["shapes"].items()):
            raise ValueError("it was written by another version")
        engine = _Reader(document["shapes"]).value(document["engine"])
    except _DAMAGE as error:
        raise ValueError(f"it is damaged ({type(error).__name__})") from None
    if type(engine) is not Engine:
        raise ValueError("it is no engine's")
    engine._views = replace(engine._views, explain=explain)
    return engine


def overhear(engine: Engine, heard: Callable[[str, Any], None]) -> None:
    """Tell of everything that the engine asks the configurations: the question as text, and the answer, of tuples and text."""
    views = engine._views
    if views.explain is not None:
        engine._views = replace(views, explain=cast("Explain", _Overheard(views.explain, heard)))


def answering(answers: Mapping[str, Sequence[Any]]) -> Explain:
    """Configurations that answer as they once did: each question to its answers, in order, the last for good."""
    return cast("Explain", _Answering({question: deque(given) for question, given in answers.items()}))


class _Overheard:
    """Passes questions on, whatever they are called."""

    def __init__(self, explain: Explain, heard: Callable[[str, Any], None]) -> None:
        self._explain = explain
        self._heard = heard

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            answer = getattr(self._explain, name)(*arguments)
            self._heard(_question(name, arguments), answer)
            return answer

        return ask


class _Answering:
    def __init__(self, answers: dict[str, deque[Any]]) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: Any) -> Any:
            given = self._answers.get(_question(name, arguments))
            return None if not given else given.popleft() if len(given) > 1 else given[0]

        return answer


def _question(name: str, arguments: tuple[Any, ...]) -> str:
    return f"{name}{arguments!r}"


def _shape(kind: type[Any]) -> int:
    """A number that differs where a class has other attributes: its slots, and the names in its constructor."""
    code = getattr(vars(kind).get("__init__"), "__code__", None)
    return zlib.crc32(repr((_slots(kind), code.co_names if code is not None else ())).encode())


class _Writer:
    """Plain values of one memory; what can change and is met again is a reference."""

    def __init__(self) -> None:
        self.kinds: set[type[Any]] = set()
        """Classes of which there is an object in it."""
        self._count = 0
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []

    def plain(self, value: Any) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind in _FROZEN:
            return {_FROZEN[kind]: self._members(value)}
        if isinstance(value, enum.Enum):
            return {"enum": _name(kind), "value": value.value}
        if isinstance(value, np.generic):
            return value.item()
        if id(value) in self._seen:
            return {"again": self._seen[id(value)]}
        number = self._seen[id(value)] = len(self._kept)
        self._kept.append(value)
        return {"number": number, **self._content(value, kind)}

    def _content(self, value: Any, kind: type[Any]) -> dict[str, Any]:
        """Of what can change, and is therefore the same thing wherever it is met."""
        if kind in (list, set):
            return {kind.__name__: self._members(value)}
        if kind is deque:
            return {"deque": self._members(value), "most": value.maxlen}
        if kind in (dict, OrderedDict):
            self._heavier(len(value))
            return {kind.__name__: [[self.plain(key), self.plain(member)] for key, member in value.items()]}
        if kind is np.ndarray:
            return {"array": value.dtype.str, "shape": list(value.shape), "items": self._packed(value)}
        if kind is Agenda:
            # Its keys are the identities of objects, which are others next time.
            return {"agenda": [[time, self.plain(thing)] for time, thing in value.entries()]}
        if not kind.__module__.startswith(_PACKAGES):
            raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be remembered")
        self.kinds.add(kind)
        names = [name for name in (*_slots(kind), *getattr(value, "__dict__", ())) if hasattr(value, name)]
        attributes = {name: None if (kind, name) in _LEFT_OUT else self.plain(getattr(value, name)) for name in names}
        return {"class": _name(kind), "has": attributes}

    def _members(self, values: Any) -> list[Any]:
        self._heavier(len(values))
        return [member if type(member) in _SCALARS else self.plain(member) for member in values]

    def _packed(self, column: np.ndarray[Any, Any]) -> str:
        if column.dtype.kind not in _COLUMNS:
            raise TypeError(f"a column of {column.dtype} cannot be remembered")
        self._heavier(column.size // 16)
        return base64.b64encode(zlib.compress(np.ascontiguousarray(column).tobytes(), 1)).decode()

    def _heavier(self, by: int) -> None:
        self._count += by
        if self._count > MOST:
            raise OverflowError(f"more than {MOST} values")


class _Reader:
    """The inverse, for classes whose shape is as expected."""

    def __init__(self, shapes: Container[str]) -> None:
        self._shapes = shapes
        self._made: dict[int, Any] = {}

    def value(self, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        match plain:
            case {"again": number}:
                return self._made[number]
            case {"enum": name, "value": value}:
                return _class(name, enum.Enum)(value)
            case {"number": number, **content}:
                return self._changing(number, content)
        [(name, members)] = plain.items()
        return _MAKERS[name](map(self.value, members))

    def _changing(self, number: int, content: dict[str, Any]) -> Any:
        """Made empty and filled then, for what is in it may refer to it."""
        made: Any
        match content:
            case {"list": members}:
                made = self._made[number] = []
                made.extend(map(self.value, members))
            case {"set": members}:
                made = self._made[number] = set(map(self.value, members))
            case {"deque": members, "most": most}:
                made = self._made[number] = deque(maxlen=most)
                made.extend(map(self.value, members))
            case {"dict": members} | {"OrderedDict": members}:
                made = self._made[number] = {} if "dict" in content else OrderedDict()
                made.update((self.value(key), self.value(member)) for key, member in members)
            case {"array": kind, "shape": shape, "items": items}:
                dtype = np.dtype(str(kind))
                if dtype.kind not in _COLUMNS:
                    raise ValueError(f"it has a column of {dtype}")
                octets = zlib.decompressobj().decompress(base64.b64decode(items), int(np.prod(shape)) * dtype.itemsize or 1)
                made = self._made[number] = np.frombuffer(octets, dtype).reshape(shape).copy()
            case {"agenda": entries}:
                made = self._made[number] = Agenda()
                for time, thing in entries:
                    made.set(self.value(thing), time)
            case {"class": name, "has": attributes}:
                if name not in self._shapes:
                    raise ValueError(f"it has a {name} of unknown shape")
                made = self._made[number] = object.__new__(_class(name, object))
                for attribute, member in attributes.items():
                    object.__setattr__(made, str(attribute), self.value(member))
            case _:
                raise ValueError(f"it has a value of an unknown kind: {', '.join(content)}")
        return made


def _slots(kind: type[Any]) -> list[str]:
    found: list[str] = []
    for each in reversed(kind.__mro__):
        slots = vars(each).get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return [name for name in found if name not in ("__weakref__", "__dict__")]


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str, base: type[Any]) -> type[Any]:
    """A class that this program has loaded, and defines itself."""
    module, _, qualified = name.partition(":")
    kind = vars(sys.modules.get(module, sys)).get(qualified)
    if not module.startswith(_PACKAGES) or not isinstance(kind, type) or kind.__module__ != module or not issubclass(kind, base):
        raise ValueError(f"it has a {name}, which is not known here")
    return kind

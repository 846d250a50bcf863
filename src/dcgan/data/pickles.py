"""Pickles taken apart as inert data, for what others publish as pickles: CIFAR-10 and networks' weights.

Python's own loader runs what a pickle names. Here nothing is looked up, imported or called: `inert` follows the
opcodes that plain values, arrays and tensors are written with, keeps names as names and calls as notes of a call, and
refuses every other opcode. What the notes mean is decided by who reads them, from a short list.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

MOST_OPCODES = 2_000_000


class NotInert(Exception):
    """A pickle that is damaged, or holds more than plain values, arrays and tensors."""


@dataclass(frozen=True)
class Name:
    """Something that the pickle would have had imported: "module name"."""

    path: str


@dataclass(eq=False)
class Call:
    """What the pickle would have called, and the state that it would have set on the result."""

    function: Any
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True)
class Persistent:
    """What the pickle says lies elsewhere."""

    identity: Any


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8".split()
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


def inert(stream: IO[bytes]) -> Any:
    """The value of the pickle at the stream's position, which is left behind it.

    The stream is in memory, which bounds what it can say. Raises NotInert.
    """
    machine = _Machine()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number > MOST_OPCODES:
                raise NotInert("too long")
            if opcode.name == "STOP":
                return machine.pop()
            machine.do(opcode.name, argument)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise NotInert(f"damaged ({type(error).__name__})") from error
    raise NotInert("damaged (no end)")


class _Machine:
    """The stack and the memory of a pickle's opcodes."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise NotInert("damaged (a mark without values)")
        return value

    def since_mark(self) -> list[Any]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                values = self.stack[at + 1 :]
                del self.stack[at:]
                return values
        raise NotInert("damaged (no mark)")

    def do(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name.startswith("EMPTY_") and name != "EMPTY_SET":
            stack.append({"DICT": {}, "LIST": [], "TUPLE": ()}[name.removeprefix("EMPTY_")])
        elif name in _TUPLES:
            values = [self.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(reversed(values)))
        elif name == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif name in ("LIST", "DICT"):  # of protocol 0, which fills them one by one
            if self.since_mark():
                raise NotInert("holds a list or dict in an unusual way")
            stack.append([] if name == "LIST" else {})
        elif name in ("APPEND", "APPENDS"):
            values = [self.pop()] if name == "APPEND" else self.since_mark()
            _of_kind(stack[-1], list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = [self.pop(), self.pop()][::-1] if name == "SETITEM" else self.since_mark()
            target = _of_kind(stack[-1], dict)
            for key, value in zip(values[::2], values[1::2], strict=True):
                target[_of_kind(key, str | int | bytes)] = value
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            stack.append(Name(argument))
        elif name == "STACK_GLOBAL":
            # Of texts only: written out, a value that holds itself many times over is as large as one likes.
            attribute, module = _of_kind(self.pop(), str), _of_kind(self.pop(), str)
            stack.append(Name(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(Persistent(self.pop()))
        elif name == "REDUCE":
            arguments, function = _of_kind(self.pop(), tuple), self.pop()
            ordered = function == Name("collections OrderedDict") and not arguments
            stack.append({} if ordered else Call(function, arguments))
        elif name == "BUILD":
            state, target = self.pop(), stack[-1]
            if isinstance(target, Call):
                target.state = state
            elif not isinstance(target, dict):  # an OrderedDict's own attributes are of no interest
                raise NotInert("holds something else than plain values, arrays and tensors")
        else:
            raise NotInert(f"holds something else than plain values, arrays and tensors ({name})")


def uint8_array(value: Any) -> np.ndarray:
    """The array of bytes that numpy's notes in an inert pickle describe; NotInert if they describe another."""
    if not isinstance(value, Call) or not isinstance(value.state, tuple) or len(value.state) != 5:
        raise NotInert("holds no array where one should be")
    _, shape, kind, fortran, content = value.state
    makes = getattr(value.function, "path", "") in {f"numpy.{c}.multiarray _reconstruct" for c in ("core", "_core")}
    is_byte = isinstance(kind, Call) and kind.function == Name("numpy dtype") and kind.arguments[:1] == ("u1",)
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not makes or not is_byte or fortran or not isinstance(content, bytes):
        raise NotInert("holds an array of something else than bytes")
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise NotInert("holds an array without a shape")
    if math.prod(shape) != len(content):
        raise NotInert("holds an array of another size than it says")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _of_kind(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise NotInert("holds something else than plain values, arrays and tensors")
    return value

"""What can be typed after each command, read from the dataclasses that its parser is made of."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal, Union

import tyro

from dcgan.cli import COMMANDS, module_of

PLACES = {"RUN", "PATH", "FILE", "FOLDER", "DIR", "DATA", "IMAGE"}
"""What may be a file or a folder, as metavars have it."""


@dataclass(frozen=True)
class Word:
    """An option, or a positional argument if it has no names."""

    names: tuple[str, ...]
    """As they are typed, with dashes."""
    metavar: str
    help: str
    choices: tuple[str, ...]
    """Values that can be offered; other ones may be as good, such as paths."""
    flag: bool
    """It takes no value."""

    @property
    def place(self) -> bool:
        """Whether its value may be a path."""
        return self.what in PLACES

    @property
    def what(self) -> str:
        """The metavar's name: "RUN" of "RUN [RUN ...]"."""
        return self.metavar.split(" ")[0].strip("[].")

    @property
    def many(self) -> bool:
        """Whether several values may follow one another."""
        return "..." in self.metavar


def words_of(command: str) -> list[Word]:
    """Options and positional arguments of a command, in the order of its help."""
    module = import_module(f"dcgan.cli.{module_of(command)}")
    if command == "train":
        return _words(module.options(), pairs=True)
    (cls,) = (
        item
        for item in vars(module).values()
        if isinstance(item, type) and item.__module__ == module.__name__ and item.__name__.endswith("Options")
    )
    return _words(cls)


def all_words() -> dict[str, list[Word]]:
    """Those of every command."""
    return {command: words_of(command) for command in COMMANDS}


def _words(cls: type[Any], pairs: bool = False) -> list[Word]:
    """pairs: flags that are on by default in some preset can be switched off."""
    found = []
    hints = typing.get_type_hints(cls, include_extras=True)
    for item in dataclasses.fields(cls):
        kind, *notes = typing.get_args(hints[item.name]) if _is(hints[item.name], Annotated) else (hints[item.name],)
        if dataclasses.is_dataclass(kind):
            found += _words(typing.cast(type[Any], kind), pairs)
        elif tyro.conf.Suppress not in notes:
            found += _word(item.name, kind, notes, pairs)
    return found


def _word(field: str, kind: Any, notes: list[Any], pairs: bool) -> list[Word]:
    own: Any = next((note for note in notes if hasattr(note, "metavar")), None)
    metavar, told = (own.metavar or "", str(own.help or "")) if own else ("", "")
    choices, flag = _choices(kind), kind is bool
    if field == "data_root":
        metavar = "FOLDER"
    if metavar in ("DATA", "[DATA]"):
        from dcgan.data.named import NAMES

        choices = tuple(NAMES)
    elif field == "name" and metavar == "NAME":
        from dcgan.reproduce import NAMES as EXPERIMENTS

        choices = tuple(EXPERIMENTS)
    elif field == "preset":
        from dcgan.presets import PRESETS

        choices = tuple(PRESETS)
    if tyro.conf.Positional in notes:
        return [Word((), metavar or field.upper(), told, choices, flag=False)]
    name = (own.name if own and own.name else field).replace("_", "-")
    names = (*(own.aliases or () if own else ()), f"--{name}")
    words = [Word(names, metavar, told, choices, flag)]
    return [*words, Word((f"--no-{name}",), "", f"Not so: {told}", (), flag)] if flag and pairs else words


def _choices(kind: Any) -> tuple[str, ...]:
    """The values of a Literal, also of one that may be None."""
    if _is(kind, Literal):
        return tuple(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) in (Union, types.UnionType):
        return tuple(value for part in typing.get_args(kind) for value in _choices(part))
    return ()


def _is(hint: Any, origin: Any) -> bool:
    return typing.get_origin(hint) is origin

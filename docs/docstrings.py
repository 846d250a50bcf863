"""Griffe extension: the docstrings of this code, which are plain English, as Markdown that reads well on a page.

Where a docstring explains a parameter, a sentence begins with its name and a colon. Each of these becomes an item of
a list, and the words from "Raises" on become a paragraph. The fields of a class become a list, too. A `<` and a
`[` are meant as they are, and InputError leads to what is said of it.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

CODE = re.compile(r"(`[^`]*`)")
INPUT_ERROR = re.compile(r"\bInputError\b")


class PlainEnglish(griffe.Extension):
    """Sets out the docstrings of functions, classes and properties."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        _rewrite(func, [parameter.name for parameter in func.parameters])

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        _rewrite(attr, [])

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        maker = cls.members.get("__init__")
        _rewrite(cls, [p.name for p in maker.parameters] if isinstance(maker, griffe.Function) else [])
        fields = [field for field in cls.members.values() if isinstance(field, griffe.Attribute) and _is_field(field)]
        if cls.docstring and fields:
            cls.docstring.value += "\n\n" + "\n".join(map(_item, fields))
        for field in fields:
            field.docstring = None  # said in the list


def _is_field(member: griffe.Attribute) -> bool:
    return member.annotation is not None and "property" not in member.labels and not member.name.startswith("_")


def _item(field: griffe.Attribute) -> str:
    """A field in a list: name, type, default, and what its docstring says."""
    default = "" if field.value is None or "field(" in str(field.value) else f" = {field.value}"
    told = f": {set_out(' '.join(field.docstring.value.split()), [])}" if field.docstring else ""
    return f"- **{field.name}** `{field.annotation}{default}`{told}"


def _rewrite(thing: griffe.Object, parameters: list[str]) -> None:
    if thing.docstring:
        thing.docstring.value = set_out(thing.docstring.value, parameters)


def set_out(text: str, parameters: list[str]) -> str:
    """A docstring in Markdown: paragraphs, a list of the parameters it explains, code as it is."""
    return "\n\n".join(p if p.startswith("    ") else _paragraph(p, parameters) for p in text.split("\n\n"))


def _paragraph(text: str, parameters: list[str]) -> str:
    text = "".join(part if part[:1] == "`" else _prose(part) for part in CODE.split(text))
    if not parameters:
        return text
    one = "|".join(re.escape(name) for name in sorted(parameters, key=len, reverse=True))
    name = rf"((?:{one})(?:(?:,| and) (?:{one}))*):\s"
    before, *items = re.split(rf"(?:^|(?<=[.?)])\s+){name}", re.sub(rf";\s+{name}", r". \1: ", text))
    if not items:
        return text
    listed = "\n".join(f"- **{name}**: {told}" for name, told in zip(items[::2], items[1::2], strict=True))
    return re.sub(r"(?<=[.?)])\s+(?=(?:Raises|Returns) )", "\n\n", f"{before}\n\n{listed}".lstrip("\n"))


def _prose(text: str) -> str:
    """Words outside of code."""
    return INPUT_ERROR.sub("[InputError][dcgan.errors.InputError]", text.replace("<", "&lt;").replace("[", r"\["))

"""XML documents: elements in order, titles escaped, indented for people who read them."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from .text import clean

Value = str | int


def element(
    tag: str, /, *children: ET.Element, text: Value | None = None, **attributes: Value | None
) -> ET.Element:
    """An element; attributes that are None are left out."""
    made = ET.Element(tag, {key: clean(str(v)) for key, v in attributes.items() if v is not None})
    if text is not None:
        made.text = clean(str(text))
    made.extend(children)
    return made


def texts(**values: Value) -> Iterable[ET.Element]:
    """An element of text for each name."""
    return [element(name, text=value) for name, value in values.items()]


def document(root: ET.Element, doctype: str) -> str:
    """The whole file."""
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {doctype}>\n{body}\n'

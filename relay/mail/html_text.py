"""The text of HTML mails from anywhere. Its cost grows with the length alone, whatever stands in it."""

from __future__ import annotations

import re
from html import unescape
from typing import Final


def text_of_html(html: str) -> str:
    """What stands in an HTML mail, line by line; what it quotes begins with `>`."""
    reader, at = _Html(), 0
    for found in _TAG.finditer(html):
        reader.data(unescape(html[at : found.start()]))
        at = found.end()
        if found["end"]:
            reader.end(found["end"].lower())
        elif found["start"]:
            reader.start(found["start"].lower(), found["attributes"])
    reader.data(unescape(html[at:]))
    return reader.text()


# The parser of the standard library needs seven minutes for a megabyte of comments that never end.
_TAG: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|</(?P<end>[a-z][\w:-]*+)[^<>]*+>|<(?P<start>[a-z][\w:-]*+)(?P<attributes>[^<>]*+)>|<[!?][^<>]*+>",
    re.IGNORECASE | re.DOTALL,
)


_UNSEEN: Final = frozenset({"head", "style", "script", "title", "template"})
_BLOCKS: Final = frozenset(
    {
        *("address", "article", "blockquote", "body", "center", "dd", "div", "dl", "dt", "footer", "form", "header"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "section", "table", "tbody", "tr", "ul"),
    }
)
_APART: Final = frozenset({"p", "h1", "h2", "h3", "h4", "ol", "ul", "table"})
"""Blocks with room around them."""


class _Html:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._apart = False
        self._quotes = self._unseen = self._as_typed = 0

    def start(self, tag: str, attributes: str) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "br":
            self._break()
        elif tag in _BLOCKS:
            self._end_line()
            # Outlook makes a paragraph of each line.
            self._apart |= tag in _APART and "MsoNormal" not in attributes
        elif tag in {"td", "th"} and self._line:
            self._line.append(" ")
        if tag == "blockquote":
            self._quotes += 1
        elif tag == "pre":
            self._as_typed += 1
        elif tag == "li":
            self._line.append("– ")

    def end(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS:
            self._end_line()
            self._apart |= tag in _APART - {"p"}
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        elif tag == "pre":
            self._as_typed = max(0, self._as_typed - 1)

    def data(self, data: str) -> None:
        if self._unseen:
            return
        if self._as_typed:
            first, *more = data.split("\n")
            self._line.append(first)
            for line in more:
                self._break()
                self._line.append(line)
            return
        collapsed = re.sub(r"[ \t\r\n\f]+", " ", data)
        if collapsed.strip(" ") or self._line:
            self._line.append(collapsed if self._line else collapsed.lstrip(" "))

    def text(self) -> str:
        self._end_line()
        return "\n".join(self._lines)

    def _end_line(self) -> None:
        if self._line:
            self._break()

    def _break(self) -> None:
        mark = "> " * min(self._quotes, 5)
        if self._apart and self._lines and self._lines[-1].strip("> "):
            self._lines.append(mark.rstrip())
        self._apart = False
        line = "".join(self._line)
        self._lines.append((mark + (line if self._as_typed else re.sub(r" {2,}", " ", line))).rstrip(" "))
        self._line = []

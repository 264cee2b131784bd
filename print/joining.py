"""Parts of a batch become one PDF, part by part, so that however many there are, only one of them is in memory.

A library that joins any PDFs keeps all their objects until the end, 11 KB for each page (see
docs/decisions/joining-pages.md). These parts were written a moment ago by reportlab: it is enough to number their
objects anew. Their streams go over as they are; numbers are only looked for outside of them.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from itertools import pairwise
from typing import BinaryIO, Final

HEADER: Final = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
"""Its four bytes tell programs that move files that this one is not text."""
PAGE_TREE: Final = b"1 0 R"
"""The object from which the pages of all parts hang."""
ID_BYTES: Final = 16

_TABLE: Final = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*\Z")
_OFFSET: Final = re.compile(rb"^(\d{10}) \d{5} n", re.MULTILINE)
_ROOT: Final = re.compile(rb"/Root (\d+) 0 R")
_INFO: Final = re.compile(rb"/Info (\d+) 0 R")
_PAGES: Final = re.compile(rb"/Pages (\d+) 0 R")
_COUNT: Final = re.compile(rb"/Count (\d+)")
_STREAM: Final = b"\nstream\n"
_REFERENCE: Final = re.compile(rb"\b(\d+) 0 R\b")


class NotOurPartError(ValueError):
    """What was to be joined is no PDF as reportlab writes it."""


class JoinedPdf:
    """A PDF that is being written to a file, which is not closed. The same parts give the same bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0
        self._offsets = array("Q", [0, 0])  # of the objects by their numbers; there is no number 0
        self._trees: list[bytes] = []
        self._pages = 0
        self._catalog = self._info = b""
        self._write(HEADER)

    def add(self, part: bytes, *, in_front: bool = False) -> None:
        """Add the pages of a PDF behind those that are there, or in front of them. Raises NotOurPartError.

        The file gets its information, and what it proposes to viewers, from the part that is added first.
        """
        objects, trailer = _parsed(part)
        info, catalog = _number(_INFO, trailer), objects.pop(_number(_ROOT, trailer))
        tree = _number(_PAGES, catalog)
        if self._catalog:
            for number in {info, *map(int, _REFERENCE.findall(catalog))} - {tree}:
                del objects[number]
        numbers = {number: b"%d 0 R" % new for new, number in enumerate(objects, start=len(self._offsets))}

        def renumbered(text: bytes) -> bytes:
            return _REFERENCE.sub(lambda found: numbers[int(found[1])], text)

        if not self._catalog:
            self._info = numbers[info]
            self._catalog = _PAGES.sub(b"/Pages " + PAGE_TREE, renumbered(catalog))
        self._pages += _number(_COUNT, objects[tree])
        self._trees.insert(0 if in_front else len(self._trees), numbers[tree])
        for number, content in objects.items():
            head, keyword, stream = content.partition(_STREAM)
            text = renumbered(head)
            if number == tree:
                text = text.replace(b"/Type /Pages", b"/Parent " + PAGE_TREE + b" /Type /Pages")
            self._offsets.append(self._size)
            self._write(b"%d 0 obj" % (len(self._offsets) - 1) + text + keyword + stream)

    def finish(self) -> None:
        """Write what stands at the end of the file, once all parts are in it."""
        self._offsets[1] = self._size
        kids = b" ".join(self._trees)
        self._write(b"1 0 obj\n<< /Type /Pages /Count %d /Kids [ %s ] >>\nendobj\n" % (self._pages, kids))
        self._offsets.append(self._size)
        root = len(self._offsets) - 1
        self._write(b"%d 0 obj" % root + self._catalog)
        table, count = self._size, len(self._offsets)
        self._write(b"xref\n0 %d\n0000000000 65535 f \n" % count)
        self._write(b"".join(b"%010d 00000 n \n" % offset for offset in self._offsets[1:]))
        name = self._digest.hexdigest()[: 2 * ID_BYTES].encode()
        self._write(b"trailer\n<< /Size %d /Root %d 0 R /Info %s" % (count, root, self._info))
        self._write(b" /ID [<%s><%s>] >>\n" % (name, name))
        self._write(b"startxref\n%d\n%%%%EOF\n" % table)

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._size += len(content)


def _parsed(part: bytes) -> tuple[dict[int, bytes], bytes]:
    """The objects by their numbers, each without what it begins with, and the trailer."""
    table = _number(_TABLE, part[-64:])
    entries, _, trailer = part[table:].partition(b"trailer")
    ends = [*map(int, _OFFSET.findall(entries)), table]
    objects = {}
    for number, (start, end) in enumerate(pairwise(ends), start=1):
        begin = b"%d 0 obj" % number
        if not part.startswith(begin, start):
            raise NotOurPartError
        objects[number] = part[start + len(begin) : end]
    return objects, trailer


def _number(pattern: re.Pattern[bytes], text: bytes) -> int:
    found = pattern.search(text)
    if found is None:
        raise NotOurPartError
    return int(found[1])

"""The screen on which a volunteer covers what could harm others."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from relay.domain.scan_parts import page_picture
from relay.web.keys import OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import reply_steps
from scanner.reading import Box
from scanner.replies import CheckedPage, CheckedReply
from scanner.screens.replies import DECIDED, GONE, list_replies, page_in_reply, read_picture, size_of

ROUTES: Final = web.RouteTableDef()
WIDTHS: Final = (320, 640)
"""Widths at which a picture is shown to point at it, in CSS pixels: a click without a script comes in these."""
SMALLEST: Final = 0.004
"""Share of the page's width and height that a covered place has at least: what is less was no drawing of a place."""


def _(sentence: str) -> str:
    return sentence


@ROUTES.get("/{language}/replies/page/{page}/cover", name="cover_page")
async def show_covering(request: web.Request) -> web.Response:
    """The picture of a page, to mark what is covered."""
    return await _covering(request)


@ROUTES.post("/{language}/replies/page/{page}/cover", name="cover_page")
async def change_covering(request: web.Request) -> web.Response:
    """Cover one more place, or uncover one. A place is drawn, typed in, or pointed at by two of its corners."""
    reply, one = await page_in_reply(request)
    data = await fields_of(request)
    boxes = list(one.page.covered)
    if (remove := data.get("remove")) is not None:
        # Named by itself, not by its place: the list may have changed since the screen was opened.
        boxes = [box for box in boxes if _typed(box) != remove]
    else:
        corner = _clicked(data, await _height(request, reply, one))
        first = _shares(data.get("first", ""), 2)
        if corner is not None and first is None:
            return await _covering(request, first=corner)
        box = _shares(" ".join(data.get(edge, "") for edge in ("left", "top", "right", "lower")), 4)
        if corner is not None and first is not None:
            box = (*first, *corner)
        if box is None or (placed := _placed(box)) is None:
            return await _covering(request, 422, _("This is no place on the page. Please mark it once more."))
        boxes.append(placed)
    try:
        await reply_steps.cover(
            request.config_dict[STORE], request.config_dict[OFFICE_KEY], one.page.id, boxes, request[VOLUNTEER].id
        )
    except GONE:
        return await list_replies(request, 409, DECIDED)
    raise web.HTTPSeeOther(path_to(request, "cover_page", page=one.page.id))


async def _covering(
    request: web.Request, status: int = 200, complaint: str | None = None, first: tuple[float, ...] | None = None
) -> web.Response:
    reply, one = await page_in_reply(request)
    height = await _height(request, reply, one)
    return render(
        request,
        "scanner/cover.html",
        status,
        page=one.page,
        reply=reply,
        sizes=[(width, round(width * height)) for width in WIDTHS],
        boxes=[(box, _typed(box)) for box in one.page.covered],
        first=first,
        first_typed=_typed(first) if first else "",
        complaint=complaint and words(request)(complaint),
    )


async def _height(request: web.Request, reply: CheckedReply, one: CheckedPage) -> float:
    """The height of the picture of a page, as share of its width."""
    width, height = size_of(await read_picture(request, reply, page_picture(one.page.number)))
    return height / width


def _clicked(data: dict[str, str], height: float) -> tuple[float, float] | None:
    """Where somebody pointed without a script, as shares: the name of the field tells how wide the picture was."""
    for width in WIDTHS:
        x, y = data.get(f"c{width}.x", ""), data.get(f"c{width}.y", "")
        if re.fullmatch(r"\d{1,4}", x, re.ASCII) and re.fullmatch(r"\d{1,4}", y, re.ASCII):
            return min(int(x) / width, 1.0), min(int(y) / (width * height), 1.0)
    return None


def _shares(text: str, count: int) -> tuple[float, ...] | None:
    """That many numbers, per cent of the page, as shares of it."""
    found = text.replace(",", ".").split()
    if len(found) != count or not all(re.fullmatch(r"\d{1,3}(\.\d{0,6})?", one, re.ASCII) for one in found):
        return None
    shares = tuple(float(one) / 100 for one in found)
    return shares if max(shares) <= 1 else None


def _placed(box: tuple[float, ...]) -> Box | None:
    """The place between two corners, whichever they are; None where it is too small to be one."""
    (left, right), (top, lower) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    return (left, top, right, lower) if min(right - left, lower - top) >= SMALLEST else None


def _typed(box: tuple[float, ...]) -> str:
    """The shares as they stand in a form, in per cent."""
    return " ".join(f"{share * 100:.3f}" for share in box)

"""`relay reply`: the answers are listed, shown and released without a browser."""

from __future__ import annotations

from typing import Any

from relay.cli.exits import Exit
from relay.domain.reply_code import Side
from relay.store import tables
from scanner.codes import CodeRead, Method, PageCodes
from tests.cli.conftest import Command, Done
from tests.workplaces import ENGLISH, House, Sent, sure


async def waiting(house: House) -> tuple[Sent, str, str]:
    """A letter, its code, and the id of an answer whose code was read in a less sure way."""
    sent = await house.posted(ENGLISH, name="Mary Sender")
    code = await house.code(sent)
    await house.split(PageCodes((CodeRead(code, 1, Side.A, Method.READABLE),)), words=("Dear", "frend"))
    assert await house.assemble()
    reply = await house.row(tables.replies)
    assert reply.state == "held"
    return sent, code, reply.id


def listed(done: Done) -> list[Any]:
    return [(one["id"], one["state"], one["doubt"], one["prisoner"], one["pages"]) for one in done.objects]


async def test_no_reply_is_said(command: Command) -> None:
    assert await command("reply", "list") == Done(0, "No reply waits, and none was released yet.\n", "")
    assert await command("reply", "list", "--json") == Done(0, "", "")


async def test_replies_are_listed_first_those_that_wait(house: House, command: Command) -> None:
    _, _, held = await waiting(house)
    other = await house.posted(ENGLISH)
    await house.split(sure(await house.code(other)), sure(await house.code(other), 1, Side.B))
    while await house.assemble():
        pass
    released = await house.row(tables.replies, letter_id=other.id)
    name = ENGLISH.prisoner.name
    assert listed(await command("reply", "list", "--json")) == [
        (held, "held", "method", name, 1),
        (released.id, "released", None, name, 2),
    ]
    lines = (await command("reply", "list")).out.splitlines()
    assert [line[17:] for line in lines] == [
        f"{held[:8]} held (method) {name}: 1 page",
        f"{released.id[:8]} released {name}: 2 pages",
    ]


async def test_reply_is_shown_with_how_it_was_read(house: House, command: Command) -> None:
    sent, code, reply = await waiting(house)
    (said,) = (await command("reply", "show", reply[:8], "--json")).objects
    (letter,) = said.pop("letters")
    assert (letter["id"], letter["name"]) == (sent.id, "Mary Sender")
    said.pop("since")
    assert said == {
        "id": reply,
        "state": "held",
        "doubt": "method",
        "prisoner": ENGLISH.prisoner.name,
        "facility": ENGLISH.facility.name,
        "pages": [
            {
                "page": 1,
                "code": code,
                "sheet": 1,
                "side": "A",
                "method": "readable",
                "by_hand": False,
                "ticks": {},
                "text": "Dear frend?",
            }
        ],
        "missing": said["missing"],
    }
    text = (await command("reply", "show", reply)).out
    assert text.splitlines()[2:4] == [f"Page 1: {code} sheet 1 side A, read by readable", "    Dear frend?"]


async def test_reply_is_released_in_the_name_of_a_volunteer(house: House, command: Command) -> None:
    sent, _, reply = await waiting(house)
    done = await command("reply", "release", reply[:8], "--as", "anna", "--json")
    assert done == Done(0, f'{{"id": "{reply}", "state": "released"}}\n', "")
    assert await house.state(sent) == "delivered"
    (event,) = [one for one in await house.rows(tables.events, record_id=reply) if one.target == "checked"]
    assert event.actor == f"volunteer:{house.volunteers['anna']}"
    again = await command("reply", "release", reply, "--as", "anna")
    assert again == Done(Exit.REFUSED, "", f"the reply {reply[:8]} does not wait for a look\n")


async def test_reply_that_is_not_there_is_said(command: Command) -> None:
    done = await command("reply", "show", "0123456789")
    assert done == Done(Exit.NOT_FOUND, "", "there is no reply 0123456789\n")
    done = await command("reply", "release", "0123", "--as", "anna")
    assert done == Done(Exit.NOT_FOUND, "", "a reply is named by at least 8 characters of its id\n")


async def test_unknown_volunteer_releases_nothing(house: House, command: Command) -> None:
    _, _, reply = await waiting(house)
    done = await command("reply", "release", reply, "--as", "nobody")
    assert done == Done(Exit.NOT_FOUND, "", "there is no volunteer nobody\n")
    assert (await house.row(tables.replies)).state == "held"

"""`relay reply`: the answers, those that wait for a look and those that were released."""

from __future__ import annotations

from typing import Any

import click

from relay.app import Relay
from relay.cli.installed import with_relay
from relay.cli.named import SHORT, record_named, volunteer_named
from relay.cli.speaking import say, say_json
from relay.domain.letters import Transcript
from relay.domain.lives import ReplyState
from relay.domain.reasons import REPLY_DOUBTS
from relay.store import tables
from relay.store.leases import owning
from scanner import jobs, replies, reply_steps
from scanner.replies import CheckedReply, ListedReply


class ReplyNotWaitingError(Exception):
    """Nobody has to look at the reply, or somebody did already."""


id_of_reply = click.argument("given", metavar="ID")


@click.group()
def reply() -> None:
    """Replies: the pages that answer one letter."""


@reply.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per reply and line.")
def reply_list(*, as_json: bool) -> None:
    """List the replies that wait for a look, the oldest first, and after them those that were released last."""

    async def work(relay_: Relay) -> list[dict[str, Any]]:
        async with relay_.store.database.reading() as connection:
            held, released = await replies.held(connection), await replies.released(connection)
        return [
            *(_listed(one, ReplyState.HELD) for one in held),
            *(_listed(one, ReplyState.RELEASED) for one in released),
        ]

    found = with_relay(work)
    for one in found:
        if as_json:
            say_json(one)
        else:
            what = f"{one['pages']} {'page' if one['pages'] == 1 else 'pages'}"
            doubt = f" ({one['doubt']})" if one["doubt"] else ""
            say(f"{one['since']:%Y-%m-%d %H:%M} {one['id'][:SHORT]} {one['state']}{doubt} {one['prisoner']}: {what}")
    if not found and not as_json:
        say("No reply waits, and none was released yet.")


@reply.command("show")
@id_of_reply
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def reply_show(given: str, *, as_json: bool) -> None:
    """Show a reply: whom it answers, how its pages were read, what is missing, and what was transcribed.

    The first 8 characters of an id name a reply. The pictures are in the office.
    """

    async def work(relay_: Relay) -> dict[str, Any]:
        async with relay_.store.database.reading() as connection:
            reply_id = await record_named(connection, tables.replies, given, "reply", replies.NoSuchReplyError)
            return _shown(await replies.one(connection, reply_id, relay_.office_key))

    shown = with_relay(work)
    if as_json:
        say_json(shown)
        return
    doubt = f" ({REPLY_DOUBTS[shown['doubt']]})" if shown["doubt"] else ""
    say(f"{shown['id']} {shown['state']}{doubt}")
    say(f"From {shown['prisoner']}, {shown['facility']}, to {', '.join(one['name'] for one in shown['letters'])}")
    for page in shown["pages"]:
        how = "by hand" if page["by_hand"] else f"read by {page['method']}"
        ticked = "".join(f", {tick} {'ticked' if clear else 'not clear'}" for tick, clear in page["ticks"].items())
        say(f"Page {page['page']}: {page['code'] or 'no code'} {_side(page['sheet'], page['side'])}, {how}{ticked}")
        for line in page["text"].splitlines():
            say(f"    {line}")
    for sheet, side in shown["missing"]:
        say(f"Missing: {_side(sheet, side)}")


@reply.command("release")
@id_of_reply
@click.option("--as", "login", required=True, metavar="LOGIN", help="The volunteer who has looked at it.")
@click.option("--complete", is_flag=True, help="Sides that did not come are empty: the sender is not told of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def reply_release(given: str, login: str, *, complete: bool, as_json: bool) -> None:
    """Let a reply that waits for a look go to its sender."""

    async def work(relay_: Relay) -> dict[str, Any]:
        store, office = relay_.store, relay_.office_key
        async with store.database.reading() as connection:
            reply_id = await record_named(connection, tables.replies, given, "reply", replies.NoSuchReplyError)
            volunteer_id = await volunteer_named(connection, login)
        try:
            await reply_steps.check(store, reply_id, volunteer_id, complete=complete)
        except reply_steps.ReplyNotHeldError:
            raise ReplyNotWaitingError(f"the reply {reply_id[:SHORT]} does not wait for a look") from None
        async with owning(store.database, relay_.installation.runtime) as owner:
            while await jobs.assemble_next(store, owner, office, relay_.screener):
                pass
        async with store.database.reading() as connection:
            row = tables.replies.select().where(tables.replies.c.id == reply_id)
            return {"id": reply_id, "state": (await connection.execute(row)).one().state}

    done = with_relay(work)
    say_json(done) if as_json else say(f"The reply {done['id'][:SHORT]} is {done['state']}.")


def _listed(one: ListedReply, state: ReplyState) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": state,
        "doubt": one.doubt,
        "since": one.since,
        "prisoner": one.prisoner,
        "facility": one.facility,
        "pages": one.pages,
    }


def _shown(one: CheckedReply) -> dict[str, Any]:
    return _listed(one.listed, one.state) | {
        "letters": [
            {"id": letter.id, "name": letter.printed_name, "written_at": letter.written_at} for letter in one.letters
        ],
        "pages": [
            {
                "page": page.page.number,
                "code": page.code,
                "sheet": page.page.sheet,
                "side": page.page.side,
                "method": page.page.method,
                "by_hand": page.page.by_hand,
                "ticks": {tick.tick: tick.clear for tick in page.ticks},
                "text": Transcript(pages=(page.shown,)).text(),
            }
            for page in one.pages
        ],
        "missing": one.missing,
    }


def _side(sheet: int | None, side: str | None) -> str:
    return f"sheet {sheet or '?'} side {side or '?'}"

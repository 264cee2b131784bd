"""What the tests of the inbox share: conversations that began in prison, and writing back."""

from __future__ import annotations

from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.directory import Entry
from relay.domain.letters import LetterBody, Wants
from relay.domain.lives import Actor, LetterState, Record, Who
from relay.domain.reply_code import new_reply_code
from relay.sealing import ContentKey, InboxSecret
from relay.store import directory, tables
from relay.store.database import new_id
from relay.store.inboxes import conversation_of
from relay.store.letters import letter_context
from relay.store.sealed import save_key
from relay.store.transitions import begin
from tests.workplaces import ENGLISH, Client, House, Screen, Sent, get


async def begun(
    house: House, person: Entry = ENGLISH, *, address: str | None = None, phrase: str | None = None
) -> Sent:
    """What stands in the place of a first letter where the prisoner wrote first."""
    phrase = phrase or new_claim_phrase("en")
    secret, key = InboxSecret.from_phrase(phrase), ContentKey.new(letter_context(new_id()))
    body = LetterBody(text="", printed_name="", address=address)
    async with house.store.database.writing() as connection:
        known = await directory.by_slug(connection, person.prisoner.slug)
        assert known is not None
        await begin(
            connection,
            Record.LETTER,
            LetterState.BEGUN,
            by=Actor(Who.VOLUNTEER, house.volunteers["anna"]),
            at=house.clock(),
            id=key.context.id,
            conversation_id=await conversation_of(connection, house.store, secret, known.prisoner_id),
            prisoner_id=known.prisoner_id,
            created_at=house.clock(),
            language="en",
            wants=Wants.FULL if address else Wants.NOTHING,
            body=key.encrypt(body.model_dump_json().encode()),
            submission_hash=key.context.id,
        )
        await save_key(connection, key, [house.store.office, secret.key.public])
        code = new_reply_code()
        await connection.execute(tables.reply_orders.insert().values(code=code, sheets=0))
        await connection.execute(tables.reply_order_letters.insert().values(code=code, letter_id=key.context.id))
    return Sent(key.context.id, phrase, person)


async def put_beside(house: House, reply: str, letter: Sent, *, forwarded: bool = False) -> None:
    """Let a released reply stand beside this letter of the same inbox."""
    async with house.store.database.writing() as connection:
        row = tables.replies.update().where(tables.replies.c.id == reply)
        await connection.execute(row.values(letter_id=letter.id, forwarded=forwarded))


async def writing_back(house: House, letter: Sent) -> str:
    """Where the next letter of the conversation of a letter is written."""
    conversation = (await house.row(tables.letters, id=letter.id)).conversation_id
    return f"{letter.inbox}/write/{conversation}"


async def previewed(client: Client, place: str, form: dict[str, str]) -> Screen:
    """The preview of a letter that is written back."""
    written = (await get(client, place)).screen.fields
    answer = await client.post(place, data=written | form | {"action": "preview"}, allow_redirects=False)
    return Screen(await answer.text())

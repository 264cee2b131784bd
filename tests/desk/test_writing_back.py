"""The next letter of a conversation: written from the inbox, and queued without another confirmation."""

from __future__ import annotations

import asyncio

import pytest

from relay.domain.claim_phrase import new_claim_phrase
from relay.sealing import InboxSecret, SealBrokenError
from relay.store import tables
from relay.store.letters import read_body
from tests.desk.inboxes import begun, previewed, writing_back
from tests.desk.letters import photo, with_files
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, Client, House, Sent, both_engines, get, post

TEXT = "Dear John,\n\nthank you for your answer.\nMary"
SENT = "Sent. Your letter is with the volunteers now; here you can follow it."


async def written_back(house: House, desk: Client, letter: Sent, text: str = TEXT) -> Sent:
    """The letter that was written back after this one."""
    place = await writing_back(house, letter)
    shown = await previewed(desk, place, {"text": text})
    answer = await post(desk, place, shown.fields | {"action": "send"})
    assert (answer.status, answer.location) == (303, f"{letter.inbox}?sent")
    newest = max(await house.rows(tables.letters), key=lambda row: row.created_at)
    return Sent(newest.id, letter.phrase, letter.person)


@both_engines
async def test_letter_goes_to_the_same_prisoner_without_a_phrase_and_without_an_address_field(
    house: House, desk: Client
) -> None:
    first = await house.posted(address=ADDRESS, name="Mary M.")
    house.clock.advance(days=3)
    form = (await get(desk, await writing_back(house, first))).screen
    assert form.heading == "A letter to John Sample"
    assert set(form.fields) == {"text", "nonce", "printed_name", "card", "photos"}
    assert form.fields["printed_name"] == "Mary M."
    second = await written_back(house, desk, first)
    rows = {row.id: row for row in await house.rows(tables.letters)}
    assert rows[second.id].conversation_id == rows[first.id].conversation_id
    assert (rows[second.id].state, rows[second.id].wants) == ("queued", "full")
    async with house.store.database.reading() as connection:
        body = await read_body(connection, second.id, house.office_key)
        assert body == await read_body(connection, second.id, first.secret.key)
    assert (body.text, body.printed_name, body.address) == (TEXT, "Mary M.", ADDRESS)
    kinds = [row.kind for row in await house.rows(tables.outbox, letter_id=second.id)]
    assert kinds == ["queued"], "nothing has to be confirmed"
    screen = (await get(desk, f"{first.inbox}?sent")).screen
    assert SENT in screen.text
    assert " ".join(TEXT.split()) in screen.text


async def test_same_form_sent_twice_at_once_is_one_letter(house: House, desk: Client) -> None:
    first = await house.posted()
    place = await writing_back(house, first)
    fields = (await previewed(desk, place, {"text": TEXT})).fields | {"action": "send"}
    answers = await asyncio.gather(*(post(desk, place, fields) for _ in range(4)))
    assert [answer.status for answer in answers] == [303] * 4
    assert len(await house.rows(tables.letters)) == 2
    await post(desk, place, fields | {"text": "Another text"})
    assert len(await house.rows(tables.letters)) == 3


async def test_photos_go_along_and_survive_a_mistake(house: House, desk: Client) -> None:
    first = await house.posted()
    place = await writing_back(house, first)
    fields = (await get(desk, place)).screen.fields
    form = with_files(fields | {"text": "", "action": "preview"}, ("a.jpg", photo()))
    mistaken = await post(desk, place, form)
    assert (mistaken.status, mistaken.screen.wrong[-1]) == (422, "The letter is empty.")
    shown = await post(desk, place, mistaken.screen.fields | {"text": TEXT, "action": "preview"})
    answer = await post(desk, place, shown.screen.fields | {"action": "send"})
    assert answer.status == 303
    newest = (await house.rows(tables.blobs, record="letter"))[0].record_id
    assert newest != first.id
    screen = (await get(desk, first.inbox)).screen
    assert screen.images == [f"{first.inbox}/letter/{newest}/1-small.jpg"]


async def test_nothing_is_stored_before_it_is_sent(house: House, desk: Client) -> None:
    place = await writing_back(house, await house.posted())
    before = await house.count()
    await previewed(desk, place, {"text": TEXT})
    assert await house.count() == before


async def test_what_a_browser_adds_changes_nothing(house: House, desk: Client) -> None:
    """Address and phrase are those of the inbox, whatever a form says."""
    first = await house.posted(address=ADDRESS)
    place = await writing_back(house, first)
    shown = await previewed(desk, place, {"text": TEXT})
    more = {"address": "other@supporter.example", "phrase": new_claim_phrase("en"), "wants": "notice"}
    await post(desk, place, shown.fields | more | {"action": "send"})
    assert len(await house.rows(tables.inboxes)) == 1
    newest = max(await house.rows(tables.letters), key=lambda row: row.id != first.id)
    async with house.store.database.reading() as connection:
        body = await read_body(connection, newest.id, first.secret.key)
    assert (body.address, newest.wants) == (ADDRESS, "full")


async def test_address_that_was_never_confirmed_gets_no_mails(house: House, desk: Client) -> None:
    first = await house.posted()
    house.clock.advance(minutes=1)
    await house.submit(phrase=first.phrase, address=ADDRESS)
    house.clock.advance(minutes=1)
    second = await written_back(house, desk, first)
    row = await house.row(tables.letters, id=second.id)
    assert row.wants == "nothing"
    async with house.store.database.reading() as connection:
        assert (await read_body(connection, second.id, first.secret.key)).address is None


async def test_conversation_that_began_in_prison_is_answered(house: House, desk: Client) -> None:
    first = await begun(house, address=ADDRESS)
    house.clock.advance(minutes=1)
    screen = (await get(desk, first.inbox)).screen
    assert "This conversation began with a letter from prison. May 4, 2031" in screen.text
    assert await writing_back(house, first) in screen.links
    place = await writing_back(house, first)
    assert (await get(desk, place)).screen.fields["printed_name"] == ""
    shown = await previewed(desk, place, {"text": TEXT, "printed_name": "Mary"})
    assert (await post(desk, place, shown.fields | {"action": "send"})).status == 303
    assert {row.state for row in await house.rows(tables.letters)} == {"begun", "queued"}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("moved", "John Sample was moved. As soon as we know the new address, you can write again."),
        ("released", "John Sample is not in prison any more, so no letters go there."),
        ("do_not_write", "No letters go to John Sample for now."),
    ],
)
async def test_prisoner_who_cannot_be_written_to(house: House, desk: Client, state: str, sentence: str) -> None:
    first = await house.posted()
    place = await writing_back(house, first)
    fields = (await previewed(desk, place, {"text": TEXT})).fields
    async with house.store.database.writing() as connection:
        await connection.execute(tables.prisoners.update().values(state=state))
    screen = (await get(desk, first.inbox)).screen
    assert (sentence in screen.text, place in screen.links) == (True, False)
    assert sentence in (await get(desk, place)).screen.text
    answer = await post(desk, place, fields | {"action": "send"})
    assert answer.status == 409
    assert sentence in answer.screen.text
    assert " ".join(TEXT.split()) in answer.screen.text, "what was written is not lost"
    assert len(await house.rows(tables.letters)) == 1


async def test_inbox_in_which_nothing_was_confirmed(house: House, desk: Client) -> None:
    first = await house.submit(address=ADDRESS)
    place = await writing_back(house, first)
    assert place not in (await get(desk, first.inbox)).screen.links
    for answer in (await get(desk, place), await post(desk, place, {"text": TEXT, "action": "send", "nonce": "x"})):
        assert answer.status == 409
        assert "Your first letter is not confirmed yet." in answer.screen.text
    assert len(await house.rows(tables.letters)) == 1


async def test_letter_that_was_confirmed_and_taken_back_is_enough(house: House, desk: Client) -> None:
    first = await house.queued()
    await post(desk, f"{first.inbox}/withdraw/{first.id}")
    house.clock.advance(minutes=1)
    second = await written_back(house, desk, first)
    assert await house.state(second) == "queued"


@pytest.mark.parametrize("method", [get, post])
async def test_conversation_of_somebody_else(house: House, desk: Client, method: object) -> None:
    assert callable(method)
    mine, other = await house.queued(), await house.queued(RUSSIAN)
    foreign = (await writing_back(house, other)).rpartition("/")[2]
    unknown = InboxSecret.from_phrase(new_claim_phrase("en")).link
    for place in (
        f"{mine.inbox}/write/{foreign}",
        f"{mine.inbox}/write/{'0' * 32}",
        f"/en/inbox/{unknown}/write/{foreign}",
        f"/en/inbox/x/write/{foreign}",
    ):
        assert (await method(desk, place)).status == 404


async def test_other_inbox_cannot_open_what_was_written_back(house: House, desk: Client) -> None:
    mine, other = await house.queued(), await house.queued()
    house.clock.advance(minutes=1)
    second = await written_back(house, desk, mine)
    async with house.store.database.reading() as connection:
        with pytest.raises(SealBrokenError):
            await read_body(connection, second.id, other.secret.key)


async def test_name_under_the_letters_to_one_prisoner_is_not_offered_to_another(house: House, desk: Client) -> None:
    first = await house.queued(ENGLISH, name="Mary")
    house.clock.advance(minutes=1)
    second = await house.queued(RUSSIAN, name="Мария", phrase=first.phrase)
    names = [
        (await get(desk, await writing_back(house, sent))).screen.fields["printed_name"] for sent in (first, second)
    ]
    assert names == ["Mary", "Мария"]


class TestCap:
    """Nothing else keeps machines from filling the queue."""

    @pytest.fixture
    def config(self, config: str) -> str:
        return f"{config}[letter]\nconfirmations_without_mail_per_hour = 2\n"

    async def test_letters_without_an_address_are_counted_and_kept_in_the_form(
        self, house: House, desk: Client
    ) -> None:
        first = await house.queued()
        place = await writing_back(house, first)
        one, other = [(await previewed(desk, place, {"text": text})).fields for text in ("One", "Other")]
        answers = [await post(desk, place, one | {"action": "send"}) for _ in range(3)]
        assert [answer.status for answer in answers] == [303] * 3, "the same letter is counted once"
        refused = await post(desk, place, other | {"action": "send"})
        assert (refused.status, refused.screen.fields["text"]) == (429, "Other")
        assert "Too many letters without a mail address came in this hour." in refused.screen.wrong[-1]
        assert len(await house.rows(tables.letters)) == 2
        house.clock.advance(hours=1)
        assert (await post(desk, place, refused.screen.fields | {"action": "send"})).status == 303
        assert len(await house.rows(tables.letters)) == 3

    async def test_letters_with_an_address_are_not_counted(self, house: House, desk: Client) -> None:
        first = await house.queued(address=ADDRESS)
        for number in range(4):
            house.clock.advance(minutes=1)
            await written_back(house, desk, first, f"Letter {number}")

"""Lost links: asked for by address, offered by mail, replaced; and the old one is dead."""

from __future__ import annotations

import asyncio
import re

import pytest
import sqlalchemy as sa

from relay.desk import lost_link
from relay.domain.claim_phrase import is_claim_phrase
from relay.mail.compose import Own
from relay.mail.lost_links import offer_next, replace_next
from relay.mail.suppression import index_addresses_next
from relay.sealing import Context, InboxSecret, token_hash
from relay.store import audit, tables
from relay.store.letters import inbox_secret
from relay.store.sealed import load_key
from scanner import reply_steps
from scanner.reply_steps import ReplyChangedError, SentPage
from tests.workplaces import ADDRESS, RUSSIAN, TEXT, WORKER_NAME, Client, House, Sent, both_engines, get, post, sure

NEUTRAL = "If letters were written from this address, a mail comes to it within some minutes."
TOO_OLD = "This button does not work any more"


async def ask(house: House, desk: Client, address: str = ADDRESS) -> None:
    """What the sender does, and then the worker."""
    answer = await post(desk, "/en/lost-link", {"address": address})
    assert NEUTRAL in answer.screen.text
    while await index_addresses_next(house.store, house.office_key):
        pass
    while await offer_next(house.store, WORKER_NAME, house.office_key):
        pass


async def own_of(house: House, kind: str) -> list[tuple[str, Own]]:
    """The letters that mails of this kind hang on, and what only these say."""
    found = []
    for row in await house.rows(tables.outbox, kind=kind):
        async with house.store.database.reading() as connection:
            key = await load_key(connection, Context("mail", row.id), house.office_key)
        found.append((row.letter_id, Own.model_validate_json(key.decrypt(row.body))))
    return found


async def replaced(house: House, desk: Client) -> InboxSecret:
    """The secret behind the new words, after the whole way."""
    await ask(house, desk)
    ((_, own),) = await own_of(house, "link_offer")
    assert (await post(desk, f"/en/link/{own.token}")).screen.heading == "The new link is on its way"
    assert await replace_next(house.store, WORKER_NAME, house.office_key)
    ((_, own),) = await own_of(house, "link")
    assert is_claim_phrase(own.words)
    return InboxSecret.from_phrase(own.words)


@both_engines
async def test_new_link_opens_everything_and_the_old_one_nothing(house: House, desk: Client) -> None:
    sent = await house.posted(address=ADDRESS)
    reply = await house.replied(sent)
    new = await replaced(house, desk)
    screen = (await get(desk, f"/en/inbox/{new.link}")).screen
    assert " ".join(TEXT.split()) in screen.text
    assert (await get(desk, f"/en/inbox/{new.link}/reply/{reply}/reply.pdf")).status == 200
    assert (await get(desk, sent.inbox)).status == 404
    assert (await post(desk, "/en/inbox", {"phrase": sent.phrase})).status == 404
    assert await house.rows(tables.link_requests) == []
    async with house.store.database.reading() as connection:
        assert (await audit.verify(connection)).faults == []


async def test_old_key_opens_nothing_any_more(house: House, desk: Client) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.replied(sent)
    new = await replaced(house, desk)
    recipients = {row.recipient for row in await house.rows(tables.content_keys) if row.record in {"letter", "reply"}}
    assert recipients == {house.store.office.fingerprint, new.key.public.fingerprint}


async def test_mails_show_the_new_link(house: House, desk: Client) -> None:
    sent = await house.posted(address=ADDRESS)
    new = await replaced(house, desk)
    async with house.store.database.reading() as connection:
        assert (await inbox_secret(connection, sent.id, house.office_key)).link == new.link
    conversation = await house.row(tables.conversations)
    assert conversation.answer_hash == token_hash(new.answer_token(conversation.id))


async def test_reply_after_the_change_goes_to_the_new_link(house: House, desk: Client) -> None:
    sent = await house.posted(address=ADDRESS)
    new = await replaced(house, desk)
    reply = await house.replied(sent)
    assert (await get(desk, f"/en/inbox/{new.link}/reply/{reply}/reply.pdf")).status == 200


async def test_reply_that_is_being_assembled_goes_to_the_new_link(house: House, desk: Client) -> None:
    sent = await house.posted(address=ADDRESS)
    scan = await house.split(sure(await house.code(sent)))
    await house.assemble()
    row = await house.row(tables.replies, scan_id=scan)
    await reply_steps.check(house.store, row.id, house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        begun = await reply_steps.to_assemble(connection, row.id, house.office_key)
    new = await replaced(house, desk)
    with pytest.raises(ReplyChangedError):
        await reply_steps.release(house.store, house.office_key, begun, b"%PDF", [SentPage(b"", None, ())])
    await house.release()
    assert (await get(desk, f"/en/inbox/{new.link}/reply/{row.id}/reply.pdf")).status == 200


async def test_letter_can_be_changed_and_taken_back_after_the_change(house: House, desk: Client) -> None:
    sent = await house.queued(address=ADDRESS)
    new = await replaced(house, desk)
    assert (await post(desk, f"/en/inbox/{new.link}/withdraw/{sent.id}")).status == 303
    assert await house.state(sent) == "withdrawn"


async def test_unknown_address_gets_the_same_answer_and_nothing_else(house: House, desk: Client) -> None:
    await house.queued(address=ADDRESS)
    known, unknown = [
        re.sub("<input[^>]*>", "", (await post(desk, "/en/lost-link", {"address": address})).body.decode())
        for address in (ADDRESS, "nobody@sender.example")
    ]
    assert known == unknown
    await ask(house, desk, "else@sender.example")
    assert len(await own_of(house, "link_offer")) == 1  # of the first of the three


async def test_each_inbox_of_an_address_is_offered_a_link(house: House, desk: Client) -> None:
    first = await house.queued(address=ADDRESS)
    second = await house.queued(RUSSIAN, address="Mary+letters@sender.example")
    await house.queued(address="else@sender.example")
    await ask(house, desk)
    assert {letter_id for letter_id, _ in await own_of(house, "link_offer")} == {first.id, second.id}


async def test_inbox_is_offered_once_a_day(house: House, desk: Client) -> None:
    await house.queued(address=ADDRESS)
    await ask(house, desk)
    await ask(house, desk)
    assert len(await own_of(house, "link_offer")) == 1
    house.clock.advance(hours=25)
    await ask(house, desk)
    assert len(await own_of(house, "link_offer")) == 2


async def test_unconfirmed_letter_is_offered_nothing(house: House, desk: Client) -> None:
    await house.submit(address=ADDRESS)
    await ask(house, desk)
    assert await own_of(house, "link_offer") == []


async def test_who_wants_nothing_by_mail_gets_the_new_link(house: House, desk: Client) -> None:
    await house.queued(address=ADDRESS)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(wants="nothing"))
    await ask(house, desk)
    assert len(await own_of(house, "link_offer")) == 1


async def test_opening_the_link_of_the_mail_does_nothing(house: House, desk: Client) -> None:
    sent = await house.queued(address=ADDRESS)
    await ask(house, desk)
    ((_, own),) = await own_of(house, "link_offer")
    opened = await get(desk, f"/en/link/{own.token}")
    assert opened.screen.heading == "Replace the link to your letters?"
    assert await replace_next(house.store, WORKER_NAME, house.office_key) is False
    assert (await get(desk, sent.inbox)).status == 200


@pytest.mark.parametrize("token", ["x", "ы", "%00", "a" * 3000])
async def test_wrong_token_replaces_nothing(house: House, desk: Client, token: str) -> None:
    await house.queued(address=ADDRESS)
    await ask(house, desk)
    for answer in (await get(desk, f"/en/link/{token}"), await post(desk, f"/en/link/{token}")):
        assert answer.status == 404
    assert await replace_next(house.store, WORKER_NAME, house.office_key) is False


async def test_offer_ends_after_two_days(house: House, desk: Client) -> None:
    await house.queued(address=ADDRESS)
    await ask(house, desk)
    ((_, own),) = await own_of(house, "link_offer")
    house.clock.advance(hours=49)
    for answer in (await get(desk, f"/en/link/{own.token}"), await post(desk, f"/en/link/{own.token}")):
        assert (answer.status, answer.screen.heading) == (404, TOO_OLD)
    assert await replace_next(house.store, WORKER_NAME, house.office_key) is False


async def test_button_pressed_twice_gives_one_link(house: House, desk: Client) -> None:
    await house.queued(address=ADDRESS)
    await ask(house, desk)
    ((_, own),) = await own_of(house, "link_offer")
    for _ in range(2):
        assert (await post(desk, f"/en/link/{own.token}")).status == 200
    assert await replace_next(house.store, WORKER_NAME, house.office_key)
    assert await replace_next(house.store, WORKER_NAME, house.office_key) is False
    assert (await post(desk, f"/en/link/{own.token}")).screen.heading == TOO_OLD
    assert len(await own_of(house, "link")) == 1


async def test_desk_cannot_read_who_asked(house: House, desk: Client) -> None:
    await post(desk, "/en/lost-link", {"address": ADDRESS})
    (row,) = await house.rows(tables.link_requests)
    assert ADDRESS.encode() not in row.address
    keys = await house.rows(tables.content_keys, record="link_request")
    assert [key.recipient for key in keys] == [house.store.office.fingerprint]
    await ask(house, desk)
    assert await house.rows(tables.link_requests) == []
    assert await house.rows(tables.content_keys, record="link_request") == []


@pytest.mark.parametrize("address", ["", "mary", "mary@", "=?x?=@sender.example"])
async def test_address_that_cannot_be_is_refused(house: House, desk: Client, address: str) -> None:
    answer = await post(desk, "/en/lost-link", {"address": address})
    assert answer.status == 422
    assert answer.screen.wrong == ["This cannot be a mail address. Please correct it."]
    assert await house.rows(tables.link_requests) == []


async def test_requests_are_capped_by_the_hour(house: House, desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_link, "PER_HOUR", 1)
    assert (await post(desk, "/en/lost-link", {"address": ADDRESS})).status == 200
    assert (await post(desk, "/en/lost-link", {"address": ADDRESS})).status == 422
    house.clock.advance(hours=1)
    assert (await post(desk, "/en/lost-link", {"address": ADDRESS})).status == 200


@both_engines
async def test_letter_sent_with_the_old_words_meanwhile_can_be_read(house: House, desk: Client) -> None:
    sent = await house.queued(address=ADDRESS)
    await ask(house, desk)
    ((_, own),) = await own_of(house, "link_offer")
    await lost_link.accept(house.store, own.token)
    second: Sent
    _, second = await asyncio.gather(
        replace_next(house.store, WORKER_NAME, house.office_key),
        house.submit(phrase=sent.phrase, address=ADDRESS, text="Written meanwhile"),
    )
    ((_, own),) = await own_of(house, "link")
    letter = await house.row(tables.letters, id=second.id)
    conversation = await house.row(tables.conversations, id=letter.conversation_id)
    inbox = await house.row(tables.inboxes, id=conversation.inbox_id)
    (secret,) = [
        one for one in (sent.secret, InboxSecret.from_phrase(own.words)) if one.lookup_hash == inbox.lookup_hash
    ]
    assert "Written meanwhile" in (await get(desk, f"/en/inbox/{secret.link}")).screen.text


async def test_first_page_leads_to_it(desk: Client) -> None:
    assert "/en/lost-link" in (await get(desk, "/en/")).screen.links


async def test_offer_and_new_link_go_to_no_address_that_was_never_confirmed(house: House, desk: Client) -> None:
    sent = await house.queued(address=ADDRESS)
    house.clock.advance(hours=1)
    # The sender went back and sent the form once more, with a typing error in the address.
    await house.submit(address="stranger@elsewhere.example", phrase=sent.phrase)
    await ask(house, desk)
    ((letter_id, own),) = await own_of(house, "link_offer")
    assert letter_id == sent.id
    await post(desk, f"/en/link/{own.token}")
    assert await replace_next(house.store, WORKER_NAME, house.office_key)
    assert [letter_id for letter_id, _ in await own_of(house, "link")] == [sent.id]

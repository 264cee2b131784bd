"""`relay mail`: what came in by mail."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import sqlalchemy as sa

from relay import config
from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import complain, say, say_json
from relay.mail.bounces import READ
from relay.mail.explaining import Explained, Kind, explain, recipients_of
from relay.mail.parsing import parsed
from relay.sealing import token_hash
from relay.store.tables import conversations, outbox

STDIN: Final = Path("-")


@dataclass(frozen=True, slots=True)
class _Looked:
    """A mail, and whether what it is addressed to is known here; None where there is no installation to ask."""

    file: Path
    found: Explained
    conversation: bool | None = None


@click.group()
def mail() -> None:
    """Mails that come in."""


@mail.command("explain")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per mail and line.")
def mail_explain(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Say what each mail is taken for, and why: a letter, a bounce, automatic, or unknown; - is the standard input.

    To whom a mail came is read from its headers. With an installation its addresses are known; it needs none.
    """
    mails, code = [], Exit.DONE
    for file in files:
        try:
            raw = sys.stdin.buffer.read(READ) if file == STDIN else _read(file)
        except OSError as error:
            complain(f"{_shown(file)} cannot be read: {error.strerror}.")
            code = code or Exit.NOT_FOUND
            continue
        if parsed(raw) is None:
            complain(f"{_shown(file)} is no mail, or its parts are too many to be read.")
            code = Exit.REFUSED
            continue
        mails.append((file, raw))
    given = click.get_current_context().find_root().obj
    installed = given is not None or config.CONFIG_VARIABLE in os.environ or config.find_config(given).exists()
    looked = with_relay(lambda relay_: _known(relay_, mails)) if installed and mails else _guessed(mails)
    for one in looked:
        say_json(_object(one)) if as_json else say(_line(one))
    if code:
        sys.exit(code)


def _read(file: Path) -> bytes:
    with file.open("rb") as opened_file:
        return opened_file.read(READ)


def _guessed(mails: list[tuple[Path, bytes]]) -> list[_Looked]:
    return [_Looked(file, explain(raw, "", recipients_of(raw))) for file, raw in mails]


async def _known(relay_: Relay, mails: list[tuple[Path, bytes]]) -> list[_Looked]:
    looked = []
    async with relay_.store.database.reading() as connection:
        for file, raw in mails:
            found = explain(raw, relay_.settings.incoming.address, recipients_of(raw))
            hashed = token_hash(found.token) if found.token else None
            query = sa.select(conversations.c.id).where(conversations.c.answer_hash == hashed)
            conversation = hashed is not None and (await connection.execute(query)).first() is not None
            why = list(found.why)
            kind = found.kind
            if found.token and not conversation:
                why.append("There is no conversation of this address.")
                kind = Kind.UNKNOWN if kind is Kind.LETTER else kind
            if found.message_id:
                sent = sa.select(outbox.c.id).where(outbox.c.message_id == found.message_id.partition("@")[0].lower())
                ours = (await connection.execute(sent)).first() is not None
                why.append(f"The mail that it is about {'is' if ours else 'is not'} one of ours.")
            looked.append(_Looked(file, replace(found, kind=kind, why=tuple(why)), conversation))
    return looked


def _object(one: _Looked) -> dict[str, Any]:
    """What stands behind `--json`; its keys stay."""
    found, bounce = one.found, one.found.bounce
    return {
        "file": _shown(one.file),
        "kind": found.kind,
        "class": found.severity,
        "address": bounce.address if bounce else None,
        "status": bounce.status if bounce else None,
        "permanent": bounce.permanent if bounce else None,
        "message_id": found.message_id,
        "conversation": one.conversation,
        "why": found.why,
    }


def _line(one: _Looked) -> str:
    found, bounce = one.found, one.found.bounce
    parts = [found.severity, bounce.status if bounce else None, bounce.address if bounce else None]
    said = ", ".join(part for part in parts if part)
    return f"{_shown(one.file)}: {found.kind}{f' ({said})' if said else ''}. {' '.join(found.why)}"


def _shown(file: Path) -> str:
    return os.fsencode(file).decode(errors="replace")

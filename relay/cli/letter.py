"""`relay letter`: the pages that a text would become."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from print.fonts import unprintable
from print.letter_pages import page_count
from print.rendering import render
from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.letter_file import text_of
from relay.cli.speaking import say, say_json
from relay.domain.addresses import postal_lines
from relay.domain.letter_pages import LetterToPrint, Unprintable
from relay.domain.letters import LetterBody, empty_lines_before, normal_text
from relay.domain.reply_code import SPECIMEN
from relay.store import directory
from relay.store.letters import printable

NAME = "N. N."


class NoSuchPrisonerError(LookupError):
    """The directory has no prisoner with this slug."""


@click.group()
def letter() -> None:
    """Letters."""


@letter.command("proof")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--prisoner", "slug", required=True, metavar="SLUG", help="Whose layout, language and prison count.")
@click.option("--name", default=NAME, show_default=True, help="The name to be printed under the letter.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The PDF to be written."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array of what cannot be printed.")
def letter_proof(file: Path, slug: str, name: str, output: Path, *, as_json: bool) -> None:
    """Write the pages that the text in FILE would become, with one reply sheet; - is the standard input.

    Where it has characters that cannot be printed, nothing is written, and they are listed with their places.
    """
    typed, name = text_of(file), " ".join(name.split())
    text, before = normal_text(typed), empty_lines_before(typed)
    of_text = [dataclasses.replace(each, line=each.line + before) for each in unprintable(text)]
    found = [("text", each) for each in of_text] + [("name", each) for each in unprintable(name)]

    async def work(relay_: Relay) -> LetterToPrint:
        return await _as_printed(relay_, slug, LetterBody(text=text, printed_name=name, address=None))

    letter_to_print = with_relay(work)
    if not found:
        output.write_bytes(render([letter_to_print]))
    if as_json:
        say_json([{"in": part, **dataclasses.asdict(each)} for part, each in found])
    else:
        for part, each in found:
            say(_shown(part, each))
    if found:
        sys.exit(Exit.REFUSED)
    if not as_json:
        pages = page_count(letter_to_print)
        say(f"{output}: {pages} {'page' if pages == 1 else 'pages'} of text, and a reply sheet.")


async def _as_printed(relay_: Relay, slug: str, body: LetterBody) -> LetterToPrint:
    database, settings = relay_.store.database, relay_.settings
    async with database.reading() as connection:
        known = await directory.by_slug(connection, slug)
    if known is None:
        raise NoSuchPrisonerError(f"there is no prisoner {slug}")
    rules = relay_.screener.rules_of(known.facility).printing
    written_on = database.clock().date()
    made = printable(known, body, SPECIMEN, written_on, settings.site.return_address, 1, rules)
    if rules.window is None:
        return made
    abroad = settings.print.country != known.facility.country
    return dataclasses.replace(made, address=postal_lines(known.prisoner, known.facility, abroad=abroad))


def _shown(part: str, found: Unprintable) -> str:
    character = f" {found.character}" if found.character.isprintable() else ""
    where = f"line {found.line}, place {found.column}" if part == "text" else f"the name, place {found.column}"
    return f"{where}: {found.name}{character}"

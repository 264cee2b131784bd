"""`relay review`: what the profiles say about a letter, and whether they are in order."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from censor_queue.profiles import Profiles, load_profiles
from censor_queue.screening import Screener
from print.letter_pages import page_count_of
from relay import config
from relay.cli.exits import Exit
from relay.cli.letter_file import text_of
from relay.cli.speaking import complain, say, say_json
from relay.domain.languages import LANGUAGES
from relay.domain.review import Draft, Finding


@click.group()
def review() -> None:
    """Rules for letters."""


@review.command("screen")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--profile", required=True, help="A profile, such as russia.")
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", help="The language of the sentences.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of all findings.")
def review_screen(file: Path, profile: str, lang: str, *, as_json: bool) -> None:
    """Say what the rules of a profile find in the text in FILE; - is the standard input."""
    profiles = _profiles()
    chosen = profiles.named(profile)
    text = text_of(file)
    found = Screener(profiles).screened(Draft(text, page_count_of(text)), chosen, lang)
    if as_json:
        say_json(
            [
                {
                    "rule": finding.rule,
                    "severity": finding.severity,
                    "start": finding.start,
                    "end": finding.end,
                    "sentence": finding.sentence,
                }
                for finding in found
            ]
        )
        return
    for finding in found:
        say(_shown(finding, text))
    if not found:
        say("Nothing was found.")


@review.command("profiles")
def review_profiles() -> None:
    """List the profiles, and try the rules of each on their examples."""
    profiles = _profiles()
    screener = Screener(profiles)
    wrong = False
    for profile in profiles:
        say(f"{profile.name}: {profile.title}")
        for rule in profile.rules:
            for fault in screener.wrong_examples(profile, rule):
                wrong = True
                complain(f"{profile.name}.toml: rule {rule.id}: {fault}")
    if wrong:
        sys.exit(Exit.REFUSED)


def _profiles() -> Profiles:
    """The shipped profiles, and the installation's own where there is one. Raises ConfigError and ProfileError."""
    given = click.get_current_context().find_root().obj
    file = config.find_config(given)
    if given is None and config.CONFIG_VARIABLE not in os.environ and not file.exists():
        return load_profiles()
    return load_profiles(config.load(file).profiles)


def _shown(finding: Finding, text: str) -> str:
    head = f"{finding.severity} {finding.rule}"
    if finding.start == finding.end:
        return f"{head}, the letter: {finding.sentence}"
    start = text.rfind("\n", 0, finding.start) + 1
    end = text.find("\n", finding.start)
    line = text[start : end if end >= 0 else len(text)].rstrip("\r")
    first, last = finding.start - start, min(finding.end - start, len(line))
    marked = f"{line[:first]}[{line[first:last]}]{line[last:]}"
    return f"{head}, line {text.count(chr(10), 0, start) + 1}: {marked}\n    {finding.sentence}"

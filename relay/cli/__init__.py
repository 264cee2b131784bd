"""The command line: `relay`, also `python -m relay`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
from alembic.util import CommandError
from obstore.exceptions import BaseError
from sqlalchemy.exc import ArgumentError, DBAPIError

from censor_queue.profiles import ProfileError, UnknownProfileError
from print.fonts import MissingFontError
from relay import config, installing, log
from relay.app import PortTakenError
from relay.backup.archive import BackupRefusedError
from relay.backup.making import NoRoomError
from relay.backup.restoring import NotEmptyError
from relay.cli import (
    audit,
    backup,
    batch,
    check,
    directory,
    key,
    letter,
    mail,
    named,
    reply,
    retention,
    review,
    running,
    scan,
    setting_up,
    volunteer,
)
from relay.cli.exits import Exit
from relay.cli.letter_file import UnreadableLetterError
from relay.cli.speaking import complain
from relay.demo import paper, round_trip
from relay.domain.directory import DirectoryFileError
from relay.domain.lives import ForbiddenTransitionError
from relay.domain.typed_key import NotAKeyError
from relay.store import volunteers
from scanner.replies import NoSuchReplyError
from scanner.sane import NoScannerError, NoScanProgramError, ScannerError
from scanner.tesseract import MissingToolError

EXITS: Final[dict[type[Exception], Exit]] = {
    config.ConfigError: Exit.CONFIG,
    PortTakenError: Exit.BUSY,
    installing.AlreadyInstalledError: Exit.REFUSED,
    DirectoryFileError: Exit.REFUSED,
    volunteers.NameTakenError: Exit.REFUSED,
    volunteers.BadLoginError: Exit.REFUSED,
    volunteers.NoSuchVolunteerError: Exit.NOT_FOUND,
    MissingToolError: Exit.TOOL_MISSING,
    MissingFontError: Exit.TOOL_MISSING,
    paper.MissingHandwritingFontError: Exit.TOOL_MISSING,
    round_trip.RoundFailedError: Exit.REFUSED,
    ProfileError: Exit.CONFIG,
    UnknownProfileError: Exit.NOT_FOUND,
    UnreadableLetterError: Exit.REFUSED,
    letter.NoSuchPrisonerError: Exit.NOT_FOUND,
    batch.NoSuchBatchError: Exit.NOT_FOUND,
    named.NoSuchFacilityError: Exit.NOT_FOUND,
    batch.BatchNotReadyError: Exit.REFUSED,
    reply.ReplyNotWaitingError: Exit.REFUSED,
    NoSuchReplyError: Exit.NOT_FOUND,
    NoScanProgramError: Exit.TOOL_MISSING,
    NoScannerError: Exit.NOT_FOUND,
    ScannerError: Exit.REFUSED,
    ForbiddenTransitionError: Exit.REFUSED,
    BackupRefusedError: Exit.REFUSED,
    NotEmptyError: Exit.REFUSED,
    NoRoomError: Exit.REFUSED,
    NotAKeyError: Exit.REFUSED,
    key.KeyThereError: Exit.REFUSED,
}
"""Which error ends the command line with which code; its message is what the person reads."""


def main() -> None:
    """Run a command, and turn errors into a sentence and an exit code."""
    log.configure()
    try:
        relay(prog_name="relay", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except DBAPIError as error:
        # Its own text would name the values of the row.
        complain(f"The database cannot be used: {error.orig}")
        sys.exit(Exit.BUSY)
    except (CommandError, ArgumentError) as error:
        complain(f"The database does not fit to this version or to the config: {error}")
        sys.exit(Exit.CONFIG)
    except tuple(EXITS) as error:
        complain(str(error))
        sys.exit(next(code for kind, code in EXITS.items() if isinstance(error, kind)))
    except (OSError, BaseError) as error:
        complain(f"That could not be read, written or reached: {error}")
        sys.exit(Exit.BUSY)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The installation's config.toml. Without it: $RELAY_CONFIG, or ./config.toml.",
)
@click.pass_context
def relay(context: click.Context, config_file: Path | None) -> None:
    """Carries letters to people in prison, and their handwritten answers back."""
    context.obj = config_file


for command in (
    setting_up.init,
    setting_up.doctor,
    running.demo,
    running.serve_command,
    running.worker,
    volunteer.volunteer,
    directory.directory_group,
    letter.letter,
    batch.batch,
    scan.scan,
    reply.reply,
    mail.mail,
    review.review,
    audit.audit_group,
    retention.retention_group,
    check.check,
    backup.backup_command,
    backup.restore_command,
    key.key,
):
    relay.add_command(command)

"""The settings of an installation: config.toml, then environment (``RELAY_MAIL__PASSWORD`` for ``[mail] password``).

Paths in the file are meant from its own folder.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from relay.domain.languages import Language

CONFIG_NAME: Final = "config.toml"
CONFIG_VARIABLE: Final = "RELAY_CONFIG"
SQLITE: Final = "sqlite+aiosqlite:///"
POSTGRESQL: Final = "postgresql+asyncpg://"


class ConfigError(Exception):
    """The configuration cannot be used; the message names file and key."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _of_known_engine(url: str) -> str:
    if not url.startswith((SQLITE, POSTGRESQL)):
        raise ValueError(f"it begins with {SQLITE} or {POSTGRESQL}")
    return url


Url = Annotated[str, AfterValidator(_without_slash)]
"""The address of a site, to which paths are added."""
DatabaseUrl = Annotated[str, AfterValidator(_of_known_engine)]


class Site(_Section):
    """What the group is called and where its sites are found."""

    name: str = "Prison mail relay"
    desk_url: Url = "http://127.0.0.1:8080"
    office_url: Url = "http://127.0.0.1:8081"
    language: Language = "en"
    return_address: tuple[str, ...] = ()


class Listen(_Section):
    """Where a site listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class StoreSettings(_Section):
    """Where rows and blobs are kept."""

    database: DatabaseUrl = "sqlite+aiosqlite:///relay.db"
    blobs: str = "blobs"


class Keys(_Section):
    """Where the key files are."""

    folder: Path = Path("keys")


class Mail(_Section):
    """How mails leave."""

    sender: str = "relay@localhost"
    host: str = "127.0.0.1"
    port: int = Field(default=25, ge=1, le=65535)
    username: str = ""
    password: str = ""
    tls: Literal["none", "starttls", "tls"] = "none"
    attempts: int = Field(default=25, ge=1)
    connections: int = Field(default=10, ge=1)
    """Mails that are sent at the same time."""
    per_domain: int = Field(default=3, ge=1)
    """Of these to one domain."""
    per_domain_per_minute: int = Field(default=60, ge=1)
    dkim_key: str = ""
    """The file of a private key; empty for no signature."""
    dkim_selector: str = "relay"


def _lower(address: str) -> str:
    return address.lower()


MailAddress = Annotated[str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$"), AfterValidator(_lower)]
NoOrMailAddress = Annotated[str, Field(pattern=r"^([^@\s<>]+@[^@\s<>]+)?$"), AfterValidator(_lower)]


class IncomingSettings(_Section):
    """How the answers of senders, and bounces, come in by mail."""

    address: NoOrMailAddress = ""
    """To ``letters@example.org`` belong all of ``letters+…@example.org``; empty where no mail is taken."""
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """Where a mail server hands mails over; 0 for nowhere."""
    protocol: Literal["lmtp", "smtp"] = "lmtp"
    imap_host: str = ""
    """A mailbox out of which mails are fetched; empty for none."""
    imap_port: int = Field(default=993, ge=1, le=65535)
    imap_tls: Literal["none", "starttls", "tls"] = "tls"
    imap_username: str = ""
    imap_password: str = ""
    imap_folder: str = "INBOX"
    max_megabytes: int = Field(default=25, ge=1)
    letters_per_day: int = Field(default=5, ge=1)
    """Of one conversation."""

    @model_validator(mode="after")
    def _ways_have_an_address(self) -> Self:
        if (self.port or self.imap_host) and not self.address:
            raise ValueError("port and imap_host need an address")
        return self


class Retention(_Section):
    """After how many days what is stored is destroyed."""

    letters: int = Field(default=180, ge=1)
    """What was written, after the letter or the last reply to it came to its end."""
    stopped_letters: int = Field(default=30, ge=1)
    """The same of letters that were refused, withdrawn or came back."""
    replies: int = Field(default=365, ge=1)
    """After their release."""
    scans: int = Field(default=30, ge=1)
    """Received files, after all their pages found their place."""
    pages: int = Field(default=180, ge=1)
    """Pages that nobody could place."""
    erased_replies: int = Field(default=30, ge=1)
    """Pages that answer an erased conversation."""
    mails: int = Field(default=30, ge=1)
    """Mails that came in."""
    records: int = Field(default=730, ge=1)
    """The rows that are left of all this, with their times."""
    backups: int = Field(default=30, ge=1)
    """Backups in the folder of backups."""


class LetterSettings(_Section):
    """Limits of what a sender may send."""

    max_characters: int = Field(default=12000, ge=1)
    max_pages: int = Field(default=12, ge=1)
    confirmations_without_mail_per_hour: int = Field(default=30, ge=0)
    days_to_confirm: int = Field(default=7, ge=1)


class ReviewSettings(_Section):
    """How letters are read before they are printed."""

    undo_minutes: int = Field(default=10, ge=0)
    profiles: str = "profiles"


class Printer(_Section):
    """A printer in the office that prints straight from the relay."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    uri: Annotated[str, Field(pattern=r"^ipps?://[A-Za-z0-9.:_\-\[\]]+(/[A-Za-z0-9.:_/\-]*)?$")]
    """Where it listens. No password stands in it: the address shows in the list of the running processes."""


def _named_once(printers: tuple[Printer, ...]) -> tuple[Printer, ...]:
    if len({printer.name for printer in printers}) < len(printers):
        raise ValueError("two printers have the same name")
    return printers


class PrintSettings(_Section):
    """From where letters are posted, and on what they are printed."""

    country: Annotated[str, Field(pattern="^([A-Z]{2})?$")] = ""
    """ISO 3166-1, two letters; empty where it is not one country: then each address ends with its own."""
    printers: Annotated[tuple[Printer, ...], AfterValidator(_named_once)] = ()

    def printer(self, name: str) -> Printer | None:
        """The printer of this name."""
        return next((printer for printer in self.printers if printer.name == name), None)


class ScanSettings(_Section):
    """Limits of what the scanner takes in, and from where."""

    max_megabytes: int = Field(default=200, ge=1)
    max_pages: int = Field(default=1000, ge=1)
    max_megapixels: int = Field(default=120, ge=1)
    seconds_per_file: int = Field(default=3600, ge=1)
    folder: str = ""
    """Files that lie in it are taken; empty for none."""
    mail_host: str = "127.0.0.1"
    mail_port: int = Field(default=0, ge=0, le=65535)
    """Where mails of scanners are taken; 0 for nowhere."""
    mail_senders: tuple[MailAddress, ...] = ()
    """Only from these, in small letters."""
    mail_recipients: tuple[MailAddress, ...] = ()
    """Only to these, in small letters."""
    engine: Literal["tesseract", "kraken"] = "tesseract"
    """What recognises the text of pages."""
    model: str = ""
    """The file of kraken's model."""

    @model_validator(mode="after")
    def _mail_has_both_ends(self) -> Self:
        if self.mail_port and not (self.mail_senders and self.mail_recipients):
            raise ValueError("mail_port needs mail_senders and mail_recipients")
        return self

    @model_validator(mode="after")
    def _kraken_has_a_model(self) -> Self:
        if self.engine == "kraken" and not self.model:
            raise ValueError("kraken needs the file of a model")
        return self


class Settings(BaseSettings):
    """All settings. Unknown keys are refused."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="RELAY_", env_nested_delimiter="__", env_nested_max_split=1
    )

    site: Site = Site()
    desk: Listen = Listen(port=8080)
    office: Listen = Listen(port=8081)
    store: StoreSettings = StoreSettings()
    keys: Keys = Keys()
    mail: Mail = Mail()
    incoming: IncomingSettings = IncomingSettings()
    retention: Retention = Retention()
    letter: LetterSettings = LetterSettings()
    review: ReviewSettings = ReviewSettings()
    print: PrintSettings = PrintSettings()
    scan: ScanSettings = ScanSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; there are no other sources."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


class Installation:
    """One installation: the folder of its config file, and its settings."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Take the folder from which relative paths are meant."""
        self.folder = folder.resolve()
        self.settings = settings

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / CONFIG_NAME

    @property
    def keys(self) -> Path:
        """The folder of the key files."""
        return self.folder / self.settings.keys.folder

    @property
    def runtime(self) -> Path:
        """The folder of what running processes hold: their locks."""
        return self.folder / "run"

    @property
    def profiles(self) -> Path:
        """The folder of the installation's own profiles for the review; it need not exist."""
        return self.folder / self.settings.review.profiles

    @property
    def scan_folder(self) -> Path | None:
        """The folder out of which scans are taken."""
        folder = self.settings.scan.folder
        return self.folder / folder if folder else None

    @property
    def scan_model(self) -> Path:
        """The file of kraken's model."""
        return self.folder / self.settings.scan.model

    @property
    def database(self) -> str:
        """The database URL, with the path of a SQLite file made absolute."""
        url = self.settings.store.database
        return SQLITE + str(self.folder / url.removeprefix(SQLITE)) if url.startswith(SQLITE) else url

    @property
    def blobs(self) -> str:
        """The folder of the blobs, absolute, or the URL of an S3-compatible store."""
        blobs = self.settings.store.blobs
        return blobs if "://" in blobs else str(self.folder / blobs)


def find_config(given: Path | None) -> Path:
    """The config file: the given one, or what RELAY_CONFIG names, or ./config.toml."""
    return given or Path(os.environ.get(CONFIG_VARIABLE) or CONFIG_NAME)


def load(path: Path) -> Installation:
    """Read an installation's settings. Raises ConfigError that names the key which is wrong."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. `relay init FOLDER` makes an installation.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return Installation(path.resolve().parent, Settings(**values))
    except SettingsError as error:
        raise ConfigError(f"the environment: {error}; a list is written as JSON") from error
    except ValidationError as error:
        raise ConfigError(
            f"{path}: " + "; ".join(_complaint(e["type"], e["loc"], e["msg"]) for e in error.errors())
        ) from None


def _complaint(kind: str, place: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(step) for step in place)
    return f"unknown key {key}" if kind == "extra_forbidden" else f"{key}: {message}"

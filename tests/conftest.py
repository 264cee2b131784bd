"""Real servers for the tests, each on loopback or a Unix socket, in a temporary folder, gone after the session."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import grp
import ipaddress
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from relay.sealing import PrivateKey
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.schema import migrate
from relay.store.sealed import Store
from tests.fakes.clock import FakeClock

# --- PostgreSQL ---

MEMORY = Path("/dev/shm")
MUCH_MEMORY = 2_000_000_000
"""Free bytes; a container may have 64 MB there."""


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL that listens on a Unix socket in `folder` only and trusts who can reach it."""

    programs: Path
    folder: Path

    def create_database(self, name: str) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        self._sql(f'CREATE DATABASE "{name}"')
        return f"postgresql+asyncpg://postgres@/{name}?host={self.folder}"

    def drop_database(self, name: str) -> None:
        """Remove it, and throw out who is still connected."""
        self._sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _sql(self, statement: str) -> None:
        target = f"host={self.folder} user=postgres dbname=postgres"
        subprocess.run([self.programs / "psql", "-X", "--quiet", target, "--command", statement], check=True)


def _postgres_programs() -> Path:
    """The folder with initdb and pg_ctl; Debian keeps one for each version and none of them in PATH."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    if elsewhere := shutil.which("initdb"):
        return Path(elsewhere).parent
    pytest.fail("PostgreSQL is missing: `./dev test` installs it, or: apt-get install postgresql", pytrace=False)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A throw-away PostgreSQL without fsync. It refuses to run as root, so root starts it as the user postgres."""
    programs = _postgres_programs()
    # not pytest's own folder: only its owner may enter that, and a socket's path must stay under 108 bytes
    # in memory where there is plenty: a new database is many small files, which took ten times as long on a disk
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MUCH_MEMORY
    folder = Path(tempfile.mkdtemp(prefix="relay-pg-", dir=MEMORY if roomy else None))
    account: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        os.chown(folder, postgres.pw_uid, postgres.pw_gid)
        account |= {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}

    def control(program: str, *arguments: str) -> None:
        command = [str(programs / program), f"--pgdata={folder / 'data'}", *arguments]
        done = subprocess.run(command, **account, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{program} failed: {done.stdout}{done.stderr}", pytrace=False)

    control("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
    settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c full_page_writes=off"
    control("pg_ctl", "--wait", "--log", str(folder / "log"), "--options", settings, "start")
    try:
        yield PostgresServer(programs, folder)
    finally:
        control("pg_ctl", "--wait", "--mode=immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database that lives as long as the test."""
    name = f"test_{os.getpid()}_{id(request)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file that is not there yet."""
    return f"sqlite+aiosqlite:///{tmp_path / 'relay.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each engine in turn: whoever uses this is tested on both."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


# --- store ---


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it; `store` goes by it."""
    return FakeClock()


@pytest.fixture(scope="session")
def office() -> PrivateKey:
    """The office's key pair, to which `store` seals."""
    return PrivateKey.new()


@pytest.fixture
async def database(database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    """An opened database of each engine in turn, without tables yet."""
    opened = Database(database_url, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: Database, tmp_path: Path, office: PrivateKey) -> Store:
    """An empty store on each engine in turn, its schema up to date, its blobs in the folder `tmp_path / "blobs"`."""
    await migrate(database)
    return Store(database, Blobs(str(tmp_path / "blobs")), office.public)


# --- mail ---


@dataclass(frozen=True)
class CaughtMail:
    """One mail as it arrived, and the addresses of its envelope."""

    sender: str
    recipients: list[str]
    message: EmailMessage


@dataclass
class SmtpCatcher:
    """A real SMTP server on loopback that keeps what it is given. `refuse_with` makes it refuse at DATA."""

    mails: list[CaughtMail] = field(default_factory=list)
    refuse_with: str | None = None
    """A whole reply line, such as "451 4.7.1 try again later"."""
    host: str = "127.0.0.1"
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's)
        """Called by aiosmtpd for each mail; answers with a reply line."""
        if self.refuse_with is not None:
            return self.refuse_with
        assert isinstance(envelope.content, bytes)
        text = envelope.content.replace(b"\r\n", b"\n")  # CRLF belongs to the wire, not to the mail
        message = message_from_bytes(text, policy=policy.default)
        self.mails.append(CaughtMail(envelope.mail_from or "", list(envelope.rcpt_tos), message))
        return "250 2.0.0 kept"


class _AnyPortController(Controller):
    """Lets the system choose the port, which Controller by itself cannot: it connects to the number it was given."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@pytest.fixture
def smtp_catcher() -> Iterator[SmtpCatcher]:
    """An SMTP server in its own thread, on a free port of loopback, empty for each test."""
    catcher = SmtpCatcher()
    controller = _AnyPortController(catcher, hostname=catcher.host, port=0, server_hostname="localhost")
    controller.start()
    catcher.port = controller.port
    yield catcher
    controller.stop()


_POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example
mydestination =
mynetworks =
alias_maps =
disable_dns_lookups = yes
smtpd_peername_lookup = no
virtual_mailbox_domains = sender.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
relay_domains = relay.example
transport_maps = inline:{{ relay.example=lmtp:[127.0.0.1]:{lmtp_port} }}
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
smtpd_restriction_classes = greylisting
greylisting = check_policy_service unix:{folder}/greylisting
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/recipients, reject_unauth_destination
default_transport = error:no mail leaves this machine
relay_transport = error:no mail leaves this machine
"""

_POSTFIX_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


_POSTFIX_RECIPIENTS = """\
/^unknown/ 550 5.1.1 no such mailbox
/^full/ 452 4.2.2 the mailbox is full
/^slow/ sleep 4
/^greylisted/ greylisting
"""


@dataclass(frozen=True)
class MailServer:
    """A running postfix that takes mail for anybody at sender.example and refuses every other recipient.

    But what comes for relay.example it hands over by LMTP, to whoever listens at that port.
    Names that begin with one of `_POSTFIX_RECIPIENTS` are treated so.
    """

    host: str
    port: int
    arrived: Path
    folder: Path
    """Of its configuration."""
    lmtp_port: int

    def mails(self, count: int) -> list[EmailMessage]:
        """The delivered mails, oldest first, once there are `count` of them; the test fails after 10 seconds."""
        end = time.monotonic() + 10
        while len(found := sorted(self.arrived.glob("*"), key=lambda file: file.stat().st_mtime_ns)) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} mails arrived"
            time.sleep(0.02)
        return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in found]


@pytest.fixture(scope="session")
def _postfix() -> Iterator[MailServer]:
    if os.geteuid() != 0:
        pytest.skip("postfix starts only as root")
    if shutil.which("postfix") is None:
        if Path("/usr/sbin/sendmail").exists():
            pytest.skip("this machine has another mail server than postfix")
        pytest.fail("postfix is missing: `./dev test` installs it, or: apt-get install postfix", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="relay-mail-"))
    folder.chmod(0o755)  # postfix enters it as several users
    nobody = pwd.getpwnam("nobody").pw_uid
    for name, owner in [("queue", 0), ("data", pwd.getpwnam("postfix").pw_uid), ("mail", nobody)]:
        (folder / name).mkdir()
        os.chown(folder / name, owner, 0)
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as free_too:
        port, lmtp_port = free.getsockname()[1], free_too.getsockname()[1]
    (folder / "main.cf").write_text(_POSTFIX_MAIN.format(folder=folder, nobody=nobody, lmtp_port=lmtp_port))
    (folder / "master.cf").write_text(_POSTFIX_MASTER.format(port=port))
    (folder / "recipients").write_text(_POSTFIX_RECIPIENTS)
    postfix = ["postfix", "-c", str(folder)]
    subprocess.run([*postfix, "start"], check=True)
    try:
        yield MailServer("127.0.0.1", port, folder / "mail" / "all" / "new", folder, lmtp_port)
    finally:
        subprocess.run([*postfix, "stop"], check=True)
        shutil.rmtree(folder)


@pytest.fixture
def mail_server(_postfix: MailServer) -> MailServer:
    """A real postfix on loopback with an empty mailbox."""
    for mail in _postfix.arrived.glob("*"):
        mail.unlink()
    return _postfix


_DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
"""
_WITHOUT_ROOT = """\
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
"""


@dataclass(frozen=True)
class ImapServer:
    """A running dovecot with a mailbox for whoever has the password."""

    host: str
    port: int
    tls_port: int
    password: str
    folder: Path
    """Holds a Maildir for each user."""
    owner: tuple[int, int]

    def mailbox(self, user: str) -> Path:
        """The Maildir of a user, made where it is not there yet."""
        for part in ("", "cur", "new", "tmp"):
            (self.folder / user / part).mkdir(exist_ok=True)
            os.chown(self.folder / user / part, *self.owner)
        return self.folder / user

    def deliver(self, user: str, *mails: bytes) -> None:
        """Put mails into the mailbox of a user, as a mail server does."""
        for mail in mails:
            name = f"{time.time_ns()}.{secrets.token_hex(4)}.example"
            temporary = self.mailbox(user) / "tmp" / name
            temporary.write_bytes(mail)
            os.chown(temporary, *self.owner)
            temporary.rename(self.mailbox(user) / "new" / name)

    def left(self, user: str) -> list[bytes]:
        """The mails in the mailbox of a user, by their names."""
        found = [*(self.mailbox(user) / "new").iterdir(), *(self.mailbox(user) / "cur").iterdir()]
        return [path.read_bytes() for path in sorted(found, key=lambda path: path.name)]


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=1))
        .sign(key, SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.fixture(scope="session")
def imap_server() -> Iterator[ImapServer]:
    """A real dovecot on loopback, as root or as whoever runs the tests."""
    program = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    if program is None:
        pytest.fail("dovecot is missing: `./dev test` installs it, or: apt-get install dovecot-imapd", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="relay-imap-"))
    folder.chmod(0o755)  # its parts run as several users
    me = pwd.getpwuid(os.geteuid())
    account = pwd.getpwnam("nobody") if me.pw_uid == 0 else me
    (folder / "mail").mkdir()
    os.chown(folder / "mail", account.pw_uid, account.pw_gid)
    _certificate(folder)
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as free_too:
        port, tls_port = free.getsockname()[1], free_too.getsockname()[1]
    password = secrets.token_hex(8)
    config = _DOVECOT.format(
        folder=folder, port=port, tls_port=tls_port, password=password, uid=account.pw_uid, gid=account.pw_gid
    )
    if me.pw_uid != 0:
        config += _WITHOUT_ROOT.format(user=me.pw_name, group=grp.getgrgid(me.pw_gid).gr_name)
    (folder / "dovecot.conf").write_text(config)
    server = subprocess.Popen([program, "-F", "-c", folder / "dovecot.conf"], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            log = folder / "log"
            said = log.read_text() if log.exists() else ""
            assert server.poll() is None, f"dovecot ended: {said}"
            assert time.monotonic() < end, f"dovecot does not listen: {said}"
            time.sleep(0.05)
        yield ImapServer("127.0.0.1", port, tls_port, password, folder / "mail", (account.pw_uid, account.pw_gid))
    finally:
        server.terminate()
        server.communicate()
        shutil.rmtree(folder)


# --- no network ---

_outside: list[str] = []


class OutsideContactError(Exception):
    """A test tried to reach something that is not this machine."""


def _is_outside(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host is None or host in ("", "localhost"):
        return False
    try:
        return not ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return True


def _watch_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # anything else is a Unix socket or already connected
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if _is_outside(host):
        _outside.append(f"{event} {host}")
        raise OutsideContactError(_outside[-1])


def pytest_configure() -> None:
    """Watch every socket of this process, also those of libraries and threads. An audit hook cannot be taken away."""
    sys.addaudithook(_watch_sockets)


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[list[str]]:
    """Refuses contact with other machines, and fails the test even where that was caught. Gives what was tried."""
    _outside.clear()
    yield _outside
    assert _outside == []

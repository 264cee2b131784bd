"""The review desk: what a claim costs in a long queue, how soon the next letter is there, what survives sudden death.

Run with `python -m benchmarks.review [--json]`; takes several minutes, and is of use only on a quiet machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import sqlalchemy as sa

from benchmarks import Figure, report
from censor_queue import claims
from censor_queue.profiles import load_profiles
from censor_queue.review import Review
from censor_queue.screening import Screener
from print.letter_pages import page_count_of
from relay.app import Relay
from relay.config import Installation
from relay.domain.letters import normal_text
from relay.domain.lives import LetterState
from relay.domain.review import Draft
from relay.installing import install
from relay.sealing import PrivateKey
from relay.store import leases, volunteers
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.schema import migrate
from relay.store.sealed import Store
from relay.store.tables import letters
from relay.web.sessions import COOKIE
from tests.censor_queue.bulk import add_letters, add_volunteers
from tests.censor_queue.process import Task, balance, hurry, review_of, run
from tests.conftest import PostgresServer, running_postgres

BENCH: Final = "review"
WARM: Final = 3
"""Letters until everything is loaded; they do not count."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    few: int = 1_000
    many: int = 1_000_000
    rounds: int = 5
    reviewers: int = 50
    """Claims of a round, each by somebody else."""
    queued: int = 10_000
    decisions: int = 60
    screened: int = 200
    claims: int = 100_000
    """Of processes that are killed, on both databases together."""
    processes: int = 8
    kills: float = 0.002
    """For each claim."""
    careless: int = 2_000
    """Claims that look first and take then."""


@dataclass(frozen=True)
class Bench:
    """Where things are put, and the server beside the files."""

    sizes: Sizes
    folder: Path
    server: PostgresServer

    def url(self, engine: str, name: str) -> str:
        """A new database."""
        if engine == "SQLite":
            return f"sqlite+aiosqlite:///{self.folder / name}.sqlite"
        return self.server.create_database(name)

    def drop(self, engine: str, name: str) -> None:
        """Remove a database; the next one is not to be slowed down by it."""
        if engine == "SQLite":
            for path in self.folder.glob(f"{name}.sqlite*"):
                path.unlink()
        else:
            self.server.drop_database(name)


ENGINES: Final = ("SQLite", "PostgreSQL")


# --- what a claim costs


NUMBERS: Final = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
    " INSERT INTO {table} ({names}) SELECT {values} FROM numbers, (SELECT * FROM {table} LIMIT 1) AS one"
)
"""Copies of one row that the database makes itself; a million of them take seconds instead of minutes."""
LATER: Final = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', '2040-01-01', n || ' seconds') || '000'",
    "postgresql": "timestamptz '2040-01-01' + n * interval '1 second'",
}


async def copy_letters(database: Database, count: int) -> None:
    """Queued letters with their keys and codes, due after all others. They cannot be opened; nobody gets to them."""
    async with database.writing() as connection:
        made = {
            "letters": {"id": "'c' || n", "submission_hash": "'c' || n", "due_at": LATER[connection.dialect.name]},
            "content_keys": {"record_id": "'c' || n", "wrap": "one.recipient"},
            "reply_orders": {"code": "'c' || n"},
            "reply_order_letters": {"code": "'c' || n", "letter_id": "'c' || n"},
        }
        if connection.dialect.name == "postgresql":
            made["content_keys"]["wrap"] = "''::bytea"
        for table, changed in made.items():
            columns = [column.name for column in letters.metadata.tables[table].c]
            values = [changed.get(name, f"one.{name}") for name in columns]
            statement = NUMBERS.format(table=table, count=count, names=", ".join(columns), values=", ".join(values))
            await connection.exec_driver_sql(statement)
        await connection.exec_driver_sql("ANALYZE")


async def opened(url: str) -> Review:
    """A new database with the review on it, that does not wait for the disk."""
    key = PrivateKey.new()
    review = review_of(Task("hold", url, key.seed.hex(), "/nonexistent", [], durable=False))
    await migrate(review.store.database)
    return review


async def claim_round(review: Review, volunteers_: Sequence[str]) -> float:
    """Milliseconds of one claim: each volunteer claims the next letter and opens it, and then all stop."""
    spent = 0.0
    for who in volunteers_:
        begun = time.perf_counter()
        assert await claims.claim_next(review, who) is not None
        spent += time.perf_counter() - begun
    for who in volunteers_:
        await claims.stop(review, who)
    return spent / len(volunteers_) * 1000


async def claim_without_index(review: Review) -> float:
    """Milliseconds of a claim in an order for which there is no index."""
    spent = []
    for _ in range(3):
        begun, now = time.perf_counter(), review.store.database.clock()
        async with review.store.database.writing() as connection:
            where = letters.c.state == LetterState.QUEUED
            await leases.claim(connection, letters, where, owner="somebody", now=now, order_by=letters.c.created_at)
        spent.append(time.perf_counter() - begun)
    await claims.stop(review, "somebody")
    return statistics.median(spent) * 1000


async def claim_cost(bench: Bench, engine: str) -> list[Figure]:
    """A claim with many letters queued against one with few, in turns, because machines have their moods."""
    sizes, reviews = bench.sizes, []
    for name, count in (("few", sizes.few), ("many", sizes.many)):
        review = await opened(bench.url(engine, name))
        await add_letters(review.store, sizes.few)
        if count > sizes.few:
            await copy_letters(review.store.database, count - sizes.few)
        reviews.append(review)
    few, many = reviews
    who = [f"volunteer-{number}" for number in range(sizes.reviewers)]
    for review in reviews:
        await claim_round(review, who)
    rounds = [(await claim_round(few, who), await claim_round(many, who)) for _ in range(sizes.rounds)]
    unsorted = await claim_without_index(many) / await claim_without_index(few)
    for review, name in zip(reviews, ("few", "many"), strict=True):
        await review.store.database.close()
        bench.drop(engine, name)
    ratio = statistics.median(many / few for few, many in rounds)
    costs = [statistics.median(cost) for cost in zip(*rounds, strict=True)]
    return [
        Figure(
            BENCH,
            f"claim cost, {short(sizes.many)} against {short(sizes.few)}, {engine}",
            ratio,
            "times",
            1.5,
            {"in an order without an index": unsorted},
        ),
        Figure(
            BENCH,
            f"claim with {short(sizes.many)} queued, {engine}",
            costs[1],
            "ms",
            peers={f"with {short(sizes.few)} queued": costs[0]},
        ),
    ]


def short(count: int) -> str:
    """1M, 1k, 100."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count >= size and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


# --- from a decision to the next letter


CONFIG: Final = """\
[office]
port = {port}
[store]
database = "{url}"
"""


@asynccontextmanager
async def office(bench: Bench) -> AsyncIterator[tuple[Relay, str]]:
    """The office as it is served, with many letters queued, on one core with all that it starts; and its address."""
    folder = bench.folder / "relay"
    port = 20000 + os.getpid() % 10000
    installation: Installation = install(folder, CONFIG.format(port=port, url="sqlite+aiosqlite:///relay.sqlite"))
    relay_ = Relay(installation)
    await migrate(relay_.store.database)
    await add_letters(relay_.store, bench.sizes.queued)
    await relay_.store.database.forget()
    on_one_core = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))
    command = [sys.executable, "-m", "relay", "--config", str(installation.config), "serve", "--role", "office"]
    process = await asyncio.create_subprocess_exec(*on_one_core, *command)
    try:
        yield relay_, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
        await relay_.close()
        shutil.rmtree(folder)


async def when_there(client: aiohttp.ClientSession, address: str) -> None:
    """Wait until the site answers."""
    for _ in range(600):
        try:
            async with client.get(f"{address}/en/review"):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise TimeoutError(address)


async def decision_to_next(bench: Bench) -> Figure:
    """Decide, and have the next screen with the first page of its letter, which was made ready before."""
    screens, with_pages = [], []
    async with office(bench) as (relay_, address):
        (volunteer,) = await add_volunteers(relay_.store, 1)
        async with relay_.store.database.writing() as connection:
            token = await volunteers.start_session(connection, volunteer, relay_.store.database.clock())
        jar = aiohttp.CookieJar(unsafe=True)  # the address is a number
        async with aiohttp.ClientSession(cookies={COOKIE: token}, cookie_jar=jar) as client:
            await when_there(client, address)
            for number in range(bench.sizes.decisions + WARM):
                on_screen = await made_ready(relay_.store, volunteer)
                begun = time.perf_counter()
                form = {"letter": on_screen, "decision": "approve"}
                async with client.post(f"{address}/en/review", data=form, allow_redirects=False) as answer:
                    assert answer.status == 303, answer.status
                async with client.get(f"{address}/en/review") as answer:
                    html = await answer.text()
                there = time.perf_counter()
                source = html.partition('src="/en/review/')[2].partition('"')[0]
                async with client.get(f"{address}/en/review/{source}") as answer:
                    assert answer.content_type == "image/png", answer.status
                    await answer.read()
                if number >= WARM:
                    screens.append((there - begun) * 1000)
                    with_pages.append((time.perf_counter() - begun) * 1000)
    queued = short(bench.sizes.queued)
    figure = f"decision to next letter on screen, {queued} queued, one core"
    peers = {"without the picture of its page": statistics.median(screens), "the slowest": max(with_pages)}
    return Figure(BENCH, figure, statistics.median(with_pages), "ms", 50, peers)


RENDERED: Final = 0.3
"""Seconds in which the pages of the letter that was claimed ahead are surely there; nobody reads faster."""


async def made_ready(store: Store, volunteer: str) -> str:
    """The letter on the volunteer's screen, once the next one is made ready too."""
    held = sa.select(letters.c.id, letters.c.lease_ends).where(letters.c.lease_owner == volunteer)
    for _ in range(600):
        async with store.database.reading() as connection:
            rows = {row.lease_ends is None: row.id for row in await connection.execute(held)}
        if len(rows) == 2:
            await asyncio.sleep(RENDERED)
            return str(rows[False])
        await asyncio.sleep(0.05)
    raise TimeoutError("no letter was made ready")


# --- screening


SENTENCES: Final = {
    "en": (
        "I was so glad to hear that your parcel came before the holidays.",
        "The garden is under snow and the blackbird has not been seen for a week.",
        "We think of you every evening when we light the stove.",
        "My sister has learned to bake bread and now nobody buys any.",
        "Did you get to read the book about the lighthouse keeper?",
        "It must be hard to wait so long without news from home.",
        "Last Sunday we walked along the river until it was dark.",
        "Please tell me what you would like to hear about.",
        "The neighbours have a small dog who is afraid of bicycles.",
        "I am not good at drawing, but here is our street in words.",
    ),
    "ru": (
        "Я так рада, что твоя посылка пришла ещё до праздников.",
        "Сад весь под снегом, и дрозда уже неделю не видно.",
        "Мы вспоминаем тебя каждый вечер, когда топим печь.",
        "Сестра научилась печь хлеб, и теперь его никто не покупает.",
        "Удалось ли тебе прочитать книгу о смотрителе маяка?",
        "Наверное, тяжело так долго ждать вестей из дома.",
        "В прошлое воскресенье мы гуляли вдоль реки до темноты.",
        "Напиши, пожалуйста, о чём тебе хотелось бы узнать.",
        "У соседей живёт маленькая собака, которая боится велосипедов.",
        "Рисую я плохо, поэтому вот наша улица словами.",
    ),
}
PAGES: Final = 3


def letter_of(pages: int, sentences: Sequence[str], chance: random.Random) -> str:
    """An invented letter that fills so many pages."""
    text = ""
    while True:
        more = normal_text(f"{text}\n\n{' '.join(chance.choices(sentences, k=5))}")
        if page_count_of(more) > pages:
            return text
        text = more


def screening(bench: Bench) -> list[Figure]:
    """Screen a letter with all profiles that are shipped."""
    screener, chance, figures = Screener(load_profiles()), random.Random(5), []
    for language, sentences in SENTENCES.items():
        spent, alone = [], []
        for number in range(bench.sizes.screened + WARM):
            draft = Draft(letter_of(PAGES, sentences, chance), PAGES)
            begun = time.perf_counter()
            screener.screened_by(draft, screener.profiles, "en")
            between = time.perf_counter()
            for profile in screener.profiles:
                screener.screened(draft, profile, "en")
            if number >= WARM:
                spent.append((between - begun) * 1000)
                alone.append((time.perf_counter() - between) * 1000)
        peers = {"one profile after the other": statistics.median(alone), "the slowest": max(spent)}
        name = f"screening {PAGES} pages ({language}), {len(screener.profiles.names)} profiles"
        figures.append(Figure(BENCH, name, statistics.median(spent), "ms", 5, peers))
    return figures


# --- sudden death


DECIDES: Final = 0.2
"""How often what was claimed is decided; the rest is given back, so that others get what was just held."""


async def sudden_death(bench: Bench) -> list[Figure]:
    """Processes claim and decide, and are killed at random moments; and some that look first and take then."""
    sizes = bench.sizes
    done_claims, kills, decided, doubles, lost, twice, rates = 0, 0, 0, 0, 0, 0, {}
    for engine in ENGINES:
        share = sizes.claims // len(ENGINES)
        url, key = bench.url(engine, "death"), PrivateKey.new()
        database = Database(url)
        hurry(database)
        await migrate(database)
        store = Store(database, Blobs(str(bench.folder)), key.public)
        await add_letters(store, share // 4 + 50)
        who = await add_volunteers(store, sizes.processes)
        folder = bench.folder / "held"
        folder.mkdir()
        task = Task("work", url, key.seed.hex(), str(folder), who, claims=share, kills=sizes.kills)
        task = replace(task, decides=DECIDES, opens=False, durable=False)
        done = await run(task)
        assert done.failed == {}, done.failed
        found = await balance(store, done)
        done_claims, kills, decided = done_claims + len(done.claimed), kills + done.kills, decided + len(done.decided)
        doubles, lost, twice = doubles + len(done.doubles), lost + found.lost, twice + found.decided_twice
        rates[f"claims per second, {engine}"] = len(done.claimed) / done.seconds
        shutil.rmtree(folder)
        if engine == "PostgreSQL":
            folder.mkdir()
            careless = await run(replace(task, work="select_then_update", claims=sizes.careless, kills=0))
            shutil.rmtree(folder)
        await database.close()
        bench.drop(engine, "death")
    among = f"in {done_claims} claims, {sizes.processes} processes, {kills} killed"
    careless_claims = len(careless.claimed) + len(careless.doubles)
    careless_peer = {f"look first, then take, in {careless_claims} claims": len(careless.doubles)}
    return [
        Figure(BENCH, f"double claims {among}", doubles + twice, "letters", 0, careless_peer),
        Figure(BENCH, f"lost decisions of {decided} {among}", lost, "decisions", 0, rates),
    ]


async def measure(bench: Bench) -> list[Figure]:
    """All figures."""
    figures = [figure for engine in ENGINES for figure in await claim_cost(bench, engine)]
    figures += screening(bench)
    figures.append(await decision_to_next(bench))
    return figures + await sudden_death(bench)


def main() -> list[Figure]:
    """All figures at their full size, with a server of their own."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder, running_postgres() as server:
        return asyncio.run(measure(Bench(Sizes(), Path(folder), server)))


if __name__ == "__main__":
    report(main)

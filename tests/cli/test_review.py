"""`relay review`, with and without an installation."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay import cli
from relay.cli.exits import Exit
from relay.installing import install

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty folder; its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELAY_CONFIG", raising=False)

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["relay", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            return (int(str(ended.code)), *capsys.readouterr())
        return (0, *capsys.readouterr())

    yield command
    structlog.reset_defaults()


def letter(folder: Path, text: str) -> Path:
    path = folder / "letter.txt"
    path.write_bytes(text.encode())
    return path


def test_screen_shows_line_words_and_sentence(run: Run, tmp_path: Path) -> None:
    path = letter(tmp_path, "Привет, Иван!\r\nМой сайт primer.ru, заходи.\r\n")
    code, out, err = run("review", "screen", path, "--profile", "russia")
    assert (code, err) == (0, "")
    shown, sentence = out.splitlines()
    assert shown == "warn links, line 2: Мой сайт [primer.ru], заходи."
    assert sentence.startswith("    There is no internet behind the wall, ")


def test_screen_as_json_in_another_language(run: Run, tmp_path: Path) -> None:
    path = letter(tmp_path, "\ufeffПутин и my friend.")
    code, out, _ = run("review", "screen", path, "--profile", "russia", "--lang", "de", "--json")
    assert code == 0
    first, second = json.loads(out)
    assert {key: first[key] for key in ("rule", "severity", "start", "end")} == {
        "rule": "politics",
        "severity": "warn",
        "start": 0,
        "end": 5,
    }
    assert (second["rule"], second["start"], second["end"]) == ("foreign_words", 8, 17)
    assert first["sentence"].startswith("Nachrichten und Meinungen")


def test_screen_of_a_harmless_letter(run: Run, tmp_path: Path) -> None:
    path = letter(tmp_path, "Как ваше здоровье?")
    assert run("review", "screen", path, "--profile", "russia") == (0, "Nothing was found.\n", "")
    assert run("review", "screen", path, "--profile", "russia", "--json") == (0, "[]\n", "")


def test_screen_counts_the_printed_pages_also_where_a_sign_cannot_be_printed(run: Run, tmp_path: Path) -> None:
    path = letter(tmp_path, "слово\n" * 300 + "\U0001f9ff")
    _, out, _ = run("review", "screen", path, "--profile", "russia", "--json")
    rules = {each["rule"]: each["sentence"] for each in json.loads(out)}
    assert rules["pages"].startswith("The letter fills 9 pages.")


def test_screen_reads_the_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Сайт primer.ru".encode())))
    code, out, _ = run("review", "screen", "-", "--profile", "russia", "--json")
    assert (code, [each["rule"] for each in json.loads(out)]) == (0, ["links"])


def test_screen_with_an_unknown_profile(run: Run, tmp_path: Path) -> None:
    code, out, err = run("review", "screen", letter(tmp_path, "Привет"), "--profile", "mars")
    assert (code, out) == (Exit.NOT_FOUND, "")
    assert err == "there is no profile mars; there are common, russia, united-kingdom\n"


def test_screen_of_what_is_no_text(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    code, _, err = run("review", "screen", path, "--profile", "russia")
    assert (code, err) == (Exit.REFUSED, f"{path} cannot be read: No such file or directory\n")
    path.write_bytes("Привет".encode("cp1251"))
    code, _, err = run("review", "screen", path, "--profile", "russia")
    assert (code, err.startswith(f"{path} is not UTF-8 text: ")) == (Exit.REFUSED, True)
    assert run("review", "screen", path, "--profile", "russia", "--lang", "fr")[0] == Exit.USAGE


def test_installation_s_own_profiles(run: Run, tmp_path: Path) -> None:
    made = install(tmp_path / "relay")
    assert run("--config", made.config, "review", "profiles") == (
        0,
        "common: Any prison\nrussia: Russia\nunited-kingdom: United Kingdom\n",
        "",
    )
    made.profiles.mkdir()
    own = made.profiles / "ik-99.toml"
    own.write_text('extends = "russia"\ntitle = "IK-99"\n[[rule]]\nid = "links"\nseverity = "block"\n', "utf-8")
    path = letter(tmp_path, "Сайт primer.ru")
    code, out, _ = run("--config", made.config, "review", "screen", path, "--profile", "ik-99", "--json")
    assert (code, [each["severity"] for each in json.loads(out)]) == (0, ["block"])
    assert run("review", "screen", path, "--profile", "ik-99")[0] == Exit.NOT_FOUND


def test_profiles_that_are_not_in_order(run: Run, tmp_path: Path) -> None:
    made = install(tmp_path / "relay")
    made.profiles.mkdir()
    own = made.profiles / "ik-99.toml"
    own.write_text('extends = "russia"\ntitle = "IK-99"\n[[rule]]\nid = "links"\npass = ["primer.ru"]\n', "utf-8")
    code, _, err = run("--config", made.config, "review", "profiles")
    assert (code, err) == (Exit.REFUSED, "ik-99.toml: rule links: found: primer.ru\n")
    own.write_text('extends = "russia"\ntitle = "IK-99"\ncolour = "red"\n', "utf-8")
    code, _, err = run("--config", made.config, "review", "profiles")
    assert (code, err) == (Exit.CONFIG, "ik-99.toml: colour: unknown key\n")


def test_config_that_is_named_has_to_be_there(run: Run, tmp_path: Path) -> None:
    path = letter(tmp_path, "Привет")
    assert run("--config", tmp_path / "none.toml", "review", "screen", path, "--profile", "russia")[0] == Exit.CONFIG

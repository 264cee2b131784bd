"""The configuration: the example is the model, the environment wins, and what is wrong is named by its key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from relay.config import ConfigError, Installation, Settings, find_config, load
from relay.installing import example


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAY_CONFIG", raising=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    """What is said about a config, without the path that it begins with."""
    path = written(folder, text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# --- the example


def test_example_holds_every_key_with_its_default() -> None:
    assert tomllib.loads(example()) == Settings().model_dump(mode="json")
    assert list(tomllib.loads(example())) == list(Settings.model_fields)


def test_example_has_a_comment_above_each_key_or_group() -> None:
    above = "\n"
    for line in example().splitlines():
        if line and line[0] not in "#[":
            assert above.startswith("#") or " = " in above, f"nothing is said about {line}"
        above = line or "\n"


def test_example_loads_as_the_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, example())).settings == Settings()


def test_empty_config_is_the_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, "")).settings == Settings()


# --- what is wrong is named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "unknown key colour"),
        ("[mial]\nhost = 'x'", "unknown key mial"),
        ("[mail]\nhots = 'x'\nprot = 1", "unknown key mail.hots; unknown key mail.prot"),
        ("[site.extra]\nx = 1", "unknown key site.extra"),
        ("site = 5", "site: Input should be a valid dictionary or instance of Site"),
        ("[desk]\nport = 'high'", "desk.port: Input should be a valid integer, unable to parse string as an integer"),
        ("[desk]\nport = 65536", "desk.port: Input should be less than or equal to 65535"),
        ("[review]\nundo_minutes = -1", "review.undo_minutes: Input should be greater than or equal to 0"),
        ("[site]\nlanguage = 'fr'", "site.language: Input should be 'ru', 'en', 'de' or 'sv'"),
        ("[site]\nreturn_address = 'Weg 1'", "site.return_address: Input should be a valid tuple"),
        ("[mail]\npassword = 12345678", "mail.password: Input should be a valid string"),
        ("[mail]\ntls = 'ssl'", "mail.tls: Input should be 'none', 'starttls' or 'tls'"),
        (
            "[store]\ndatabase = 'mysql://x'",
            "store.database: Value error, it begins with sqlite+aiosqlite:/// or postgresql+asyncpg://",
        ),
    ],
)
def test_wrong_key_or_value_named(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == message


@pytest.mark.parametrize("text", ["[mail\n", "x = \n", "a = 1\na = 2"])
def test_config_that_is_no_toml(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read: .* \(at (line \d|end of document)"):
        load(path)


def test_config_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml does not exist\. `relay init FOLDER` makes an installation\."):
        load(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "config.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


# --- the environment


def test_environment_wins_over_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "[mail]\nhost = 'from.file'\npassword = 'from file'\n")
    monkeypatch.setenv("RELAY_MAIL__PASSWORD", "from environment")
    monkeypatch.setenv("RELAY_DESK__PORT", "9090")
    monkeypatch.setenv("RELAY_LETTER__MAX_CHARACTERS", "99")
    monkeypatch.setenv("RELAY_SITE__RETURN_ADDRESS", '["Weg 1", "Musterstadt"]')
    settings = load(path).settings
    assert (settings.mail.host, settings.mail.password) == ("from.file", "from environment")
    assert (settings.desk.port, settings.office.port) == (9090, 8081)
    assert settings.letter.max_characters == 99
    assert settings.site.return_address == ("Weg 1", "Musterstadt")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RELAY_MAIL__PASWORD", "x", "unknown key mail.pasword"),
        ("RELAY_DESK__PORT", "high", "desk.port: Input should be a valid integer, unable to parse string"),
    ],
)
def test_wrong_environment_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refusal(tmp_path, "").startswith(message)


def test_list_in_environment_that_is_no_json_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_SITE__RETURN_ADDRESS", "Weg 1")
    with pytest.raises(ConfigError, match=r'the environment: .* field "site" .*; a list is written as JSON'):
        load(written(tmp_path, ""))


def test_config_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_config(None) == Path("config.toml")
    monkeypatch.setenv("RELAY_CONFIG", "/etc/relay.toml")
    assert find_config(None) == Path("/etc/relay.toml")
    assert find_config(tmp_path) == tmp_path
    load(written(tmp_path, ""))  # the variable is no setting


# --- places


def test_places_meant_from_the_folder_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    installation = load(Path("config.toml"))
    assert installation.database == f"sqlite+aiosqlite:///{tmp_path}/relay.db"
    assert installation.blobs == f"{tmp_path}/blobs"
    assert installation.profiles == tmp_path / "profiles"
    assert (installation.keys, installation.runtime) == (tmp_path / "keys", tmp_path / "run")
    assert installation.config == tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("store", "database", "blobs"),
    [
        ({"database": "sqlite+aiosqlite:////var/x.db", "blobs": "/var/b"}, "sqlite+aiosqlite:////var/x.db", "/var/b"),
        ({"database": "postgresql+asyncpg://u@h/n", "blobs": "s3://b/p"}, "postgresql+asyncpg://u@h/n", "s3://b/p"),
    ],
)
def test_places_elsewhere_stay(tmp_path: Path, store: dict[str, Any], database: str, blobs: str) -> None:
    installation = Installation(tmp_path, Settings.model_validate({"store": store}))
    assert (installation.database, installation.blobs) == (database, blobs)


def test_addresses_of_the_sites_without_slash_at_the_end(tmp_path: Path) -> None:
    site = load(
        written(tmp_path, "[site]\ndesk_url = 'https://a.example/'\noffice_url = 'https://b.example'")
    ).settings.site
    assert (site.desk_url, site.office_url) == ("https://a.example", "https://b.example")

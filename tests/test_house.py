"""The rule of the house, read from the syntax trees: who may import whom. And that no language lacks a sentence."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import Final

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from relay.domain.languages import LANGUAGES
from relay.locale import SOURCE

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("relay", "censor_queue", "print", "scanner")

WORKPLACES: Final = ("relay.desk", "relay.office", "censor_queue", "print", "scanner")
"""The four of the design, and the office's own screens, which are bound by the same rule."""

COMPOSITION: Final = re.compile(r"relay\.(app|cli|worker|__main__|demo\w*)(\.|$)")
"""The only modules that may put workplaces together."""

STANDS_ON: Final = {
    "relay.domain": (),
    "relay.locale": ("relay.domain",),
    "relay.sealing": ("relay.domain",),
    "relay.config": ("relay.domain", "relay.locale"),
    "relay.log": (),
    "relay.store": ("relay.domain", "relay.locale", "relay.sealing", "relay.config", "relay.log"),
    "relay.mail": ("relay.domain", "relay.locale", "relay.sealing", "relay.config", "relay.log", "relay.store"),
    "relay.web": ("relay.domain", "relay.locale", "relay.sealing", "relay.config", "relay.log", "relay.store"),
}
"""What each part of the ground floor may import besides itself. Workplaces may import all of it."""


def is_in(module: str, package: str) -> bool:
    """Whether a dotted name is the package itself or lies in it."""
    return module == package or module.startswith(package + ".")


def imported_names(tree: ast.AST, package: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and absolute names of everything imported anywhere in the tree, also by importlib with a literal name.

    `from a import b` gives both `a` and `a.b`, since b may be a module.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                for alias in names:
                    yield node.lineno, (alias.name,)
            case ast.ImportFrom(module, names, level):
                source = resolve_name("." * level + (module or ""), package)
                for alias in names:
                    yield node.lineno, (source, f"{source}.{alias.name}")
            case ast.Call(
                func=ast.Name("__import__" | "import_module") | ast.Attribute(attr="__import__" | "import_module"),
                args=[ast.Constant(str(name)), *_],
            ):
                yield node.lineno, (resolve_name(name, package),)


def may_import(module: str, name: str) -> bool:
    """Whether the rule of the house lets the module import that name."""
    if not any(is_in(name, package) for package in PACKAGES) or name == "relay" or COMPOSITION.match(module):
        return True
    if COMPOSITION.match(name):
        return False
    workplace = next((place for place in WORKPLACES if is_in(module, place)), None)
    if any(is_in(name, place) for place in WORKPLACES):
        return workplace is not None and is_in(name, workplace)
    floor = next((part for part in STANDS_ON if is_in(module, part)), None)
    if workplace is None and floor is not None:
        return any(is_in(name, part) for part in (floor, *STANDS_ON[floor]))
    return True


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """A line for each import in the module that the rule of the house forbids."""
    tree = ast.parse(source)
    package = module if is_package else module.rpartition(".")[0]
    forbidden = (
        (line, next((name for name in names if not may_import(module, name)), None))
        for line, names in imported_names(tree, package)
    )
    found = [f"{module}:{line} imports {name}" for line, name in dict.fromkeys(forbidden) if name]
    found += [
        f"{module}:{node.lineno} says `import {alias.name}`; write `from print.… import …`"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if is_in(alias.name, "print")
    ]
    return found


def modules(*folders: str) -> Iterator[tuple[Path, str]]:
    """Each Python file below the folders of the project, and its dotted name."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_rule_of_the_house() -> None:
    checked = list(modules(*PACKAGES))
    found = [
        line
        for path, module in checked
        for line in violations(path.read_text("utf-8"), module, is_package=path.name == "__init__.py")
    ]
    assert {module for _, module in checked} >= {*PACKAGES, *STANDS_ON}
    assert found == []


def test_print_never_imported_over_the_builtin() -> None:
    found = [
        line
        for path, module in modules("tests", "benchmarks")
        for line in violations(path.read_text("utf-8"), module)
        if "`import print" in line
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("relay.domain.sheet", "import relay.store.letters", "relay.store.letters"),
        ("relay.domain.sheet", "from relay import domain, store", "relay.store"),
        ("relay.domain.sheet", "from ..web import errors", "relay.web"),
        ("relay.domain.sheet", "def late():\n    from relay.locale import catalogue", "relay.locale"),
        ("relay.store.letters", "from relay.desk.steps import send", "relay.desk.steps"),
        ("relay.store.letters", "from relay.web import errors, forms", "relay.web"),
        ("relay.mail.outbox", "import scanner.steps", "scanner.steps"),
        ("relay.web.errors", "from relay.mail import outbox", "relay.mail"),
        ("relay.sealing", "from relay.store import blobs", "relay.store"),
        ("relay.doctor", "from print.fonts import FONTS", "print.fonts"),
        ("relay.desk.screens", "from print.batch import pages", "print.batch"),
        ("relay.desk.screens", "from relay.app import PAGES", "relay.app"),
        ("relay.desk.screens", "from relay import demo_mail", "relay.demo_mail"),
        ("censor_queue.steps", "import relay.cli", "relay.cli"),
        ("print.batch", "from importlib import import_module\nimport_module('scanner.pages')", "scanner.pages"),
        ("print.batch", "import importlib\nimportlib.import_module('censor_queue')", "censor_queue"),
        ("scanner.match", "__import__('print.batch')", "print.batch"),
        ("scanner.match", "if TYPE_CHECKING:\n    import censor_queue", "censor_queue"),
    ],
)
def test_forbidden_import_found(module: str, source: str, forbidden: str) -> None:
    assert [line.partition(" imports ")[2] for line in violations(source, module)] == [forbidden]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("relay.domain.sheet", "import enum\nfrom relay.domain.reply_code import ReplyCode\nfrom . import reply_code"),
        ("relay.store.letters", "from relay.domain import sheet\nfrom relay.sealing import seal"),
        ("relay.web.errors", "from relay.store import letters\nfrom relay.locale import catalogue"),
        (
            "relay.desk.screens",
            "from relay.web import errors\nfrom relay.desk.steps import send\nfrom .steps import send",
        ),
        ("print.batch", "from print.fonts import FONTS\nfrom relay.domain.sheet import Rect\nimport reportlab"),
        ("relay.app", "from print.batch import pages\nfrom scanner import jobs\nimport relay.desk.screens"),
        ("relay.demo_round", "from censor_queue import steps"),
        ("scanner.tool", "import importlib\nimportlib.import_module('cv2')"),
    ],
)
def test_allowed_import_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


@pytest.mark.parametrize("source", ["import print", "import print.batch", "import os, print.batch as batch"])
def test_import_over_the_builtin_found(source: str) -> None:
    assert len(violations(source, "relay.app")) == 1


# --- the words ---

PLACEHOLDER: Final = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w*\}")


def sentences_in_use() -> Catalog:
    """What code and templates hand to gettext, read with the settings of ./dev translations."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["babel"]["mappings"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    options = {mapping["pattern"]: mapping for mapping in mappings}
    catalog = Catalog()
    for package in PACKAGES:
        for name, line, sentence, _, context in extract_from_dir(ROOT / package, methods, options, DEFAULT_KEYWORDS):
            catalog.add(sentence, locations=[(f"{package}/{name}", line)], context=context)
    return catalog


def keys(catalog: Catalog) -> set[tuple[str, str]]:
    """Context and singular of every sentence in the catalogue, without its header."""
    return {(message.context or "", singular(message)) for message in catalog if message.id}


def singular(message: Message) -> str:
    """The sentence itself, or its singular where it has a plural."""
    return str(message.id[0] if isinstance(message.id, list | tuple) else message.id)


def faults(message: Message) -> Iterator[str]:
    """What is wrong with a translation: something left empty, or a placeholder lost, changed or made up."""
    wanted = message.id if isinstance(message.id, list | tuple) else (message.id,)
    given = message.string if isinstance(message.string, list | tuple) else (message.string,)
    known = set(PLACEHOLDER.findall(" ".join(wanted)))
    if message.fuzzy:
        yield f"fuzzy: {singular(message)}"
    for text in given:
        used = set(PLACEHOLDER.findall(text or ""))
        if not text:
            yield f"not translated: {singular(message)}"
        elif used - known or (len(wanted) == 1 and used != known):  # "one page" may do without its number
            yield f"placeholders differ: {singular(message)}"


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != SOURCE])
def test_catalogue_complete(language: str) -> None:
    with (ROOT / "relay" / "locale" / f"{language}.po").open("rb") as file:
        catalog = read_po(file, locale=language, abort_invalid=True)
    in_use = sentences_in_use()
    assert sorted(keys(in_use) - keys(catalog)) == []  # no translation yet: ./dev translations adds them
    assert sorted(keys(catalog) - keys(in_use)) == []  # no longer said by anybody
    assert list(catalog.obsolete) == []
    assert [fault for message in catalog if message.id for fault in faults(message)] == []


@pytest.mark.parametrize(
    ("sentence", "translation", "expected"),
    [
        ("Page {n} of {m}", "Seite {n} von {m}", []),
        ("Page {n} of {m}", "Seite {n}", ["placeholders differ: Page {n} of {m}"]),
        ("Hello %(name)s", "Hallo %(nahme)s", ["placeholders differ: Hello %(name)s"]),
        ("Hello", "", ["not translated: Hello"]),
        (("%(n)s page", "%(n)s pages"), ("одна страница", "%(n)s страницы", "%(n)s страниц"), []),
        (
            ("%(n)s page", "%(n)s pages"),
            ("%(n)s страница", "", "%(k)s страниц"),
            ["not translated: %(n)s page", "placeholders differ: %(n)s page"],
        ),
    ],
)
def test_faults_of_a_translation(sentence: str, translation: str, expected: list[str]) -> None:
    assert list(faults(Message(sentence, translation))) == expected

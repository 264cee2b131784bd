"""What desk and office share: languages, templates, headers, protection against forged requests, error screens."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from babel.dates import format_date, format_time, format_timedelta

from relay.domain.languages import LANGUAGE_NAMES, LANGUAGES
from relay.domain.reply_code import grouped
from relay.locale import catalogue
from relay.log import failed
from relay.web.keys import LANGUAGE, SETTINGS, STORE, VOLUNTEER

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FORM_BYTES: Final = 1024 * 1024
"""Largest form: a letter of 12,000 characters takes 72 kB where each is written as %D0%90."""
FORM_FIELDS: Final = 20_000
"""Most fields of a form: a box for each word of the longest letter, and of its translation."""
FORM_SECONDS: Final = 60
"""How long a form may take to arrive: a letter on the slowest line takes ten."""
SAFE_METHODS: Final = ("GET", "HEAD")
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
"""What a screen may load, and where its forms may go. The desk has no scripts."""
HEADERS: Final = {
    # Not "no-referrer": with that, browsers send the Origin "null" with forms, which the forgery check refuses.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MINUTE: Final = datetime.timedelta(minutes=1)
"""Shortest age that is shown."""
_POLICY: Final = web.AppKey("policy", str)
_TEMPLATES: Final[dict[str, web.AppKey[jinja2.Environment]]] = {
    language: web.AppKey(f"templates_{language}", jinja2.Environment) for language in LANGUAGES
}


def new_site(packages: Sequence[str], *middlewares: Any, scripts: bool = False) -> web.Application:
    """An application with the templates of these packages beside the shared ones; `scripts` lets it have its own."""
    site = web.Application(
        middlewares=[_errors, _same_origin, _language, *middlewares],
        client_max_size=FORM_BYTES,
        client_max_fields=FORM_FIELDS,
    )
    site.on_response_prepare.append(_add_headers)
    site[_POLICY] = f"{POLICY}; script-src 'self'; connect-src 'self'" if scripts else POLICY
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in ("relay.web", *packages)])
    for language, key in _TEMPLATES.items():
        environment = aiohttp_jinja2.setup(
            site,
            app_key=key,
            loader=loader,
            extensions=["jinja2.ext.i18n"],
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        words = catalogue(language)
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            words.gettext, words.ngettext, newstyle=True
        )
        environment.filters["grouped"] = grouped
    site.router.add_static("/static", str(resources.files("relay.web").joinpath("static")), name="static")
    site.router.add_get("/", _choose_language)
    site.router.add_get("/{language}", _choose_language)
    return site


async def _choose_language(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(path_to(request, "home"))


def path_to(request: web.Request, name: str, **parts: str) -> str:
    """The path of a named screen in the language of this request."""
    resource = request.app.router[name]
    return str(resource.url_for(**parts, language=request[LANGUAGE]))


def words(request: web.Request) -> Callable[[str], str]:
    """The gettext of this request's language, by custom called `_`."""
    return catalogue(request[LANGUAGE]).gettext


async def fields_of(request: web.Request, *, with_nul: bool = False) -> dict[str, str]:
    """The fields of a form, without files. Raises HTTPBadRequest for what no browser sends.

    PostgreSQL takes no NUL; only who looks at every character anyway may ask for them.
    """
    try:
        async with asyncio.timeout(FORM_SECONDS):
            data = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ValueError, LookupError, BadHttpMessage):  # broken characters or parts, an unknown character set
        raise web.HTTPBadRequest from None
    fields = {name: value for name, value in data.items() if isinstance(value, str)}
    if not all(_is_text(value) and (with_nul or "\0" not in value) for value in fields.values()):
        raise web.HTTPBadRequest
    return fields


def _is_text(value: str) -> bool:
    """Whether a value has no lone surrogates, which some character sets of a form smuggle in."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def render(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A screen from a template."""
    return aiohttp_jinja2.render_template(
        template,
        request,
        _context(request) | context,
        app_key=_TEMPLATES[request[LANGUAGE]],
        status=status,
    )


def _context(request: web.Request) -> dict[str, Any]:
    language = request[LANGUAGE]
    now = request.config_dict[STORE].database.clock()

    def switch(other: str) -> str:
        info, place = request.match_info, request.match_info.route.resource
        # What answers a form may stand at an address that cannot be opened.
        if place is None or "language" not in info or all(route.method not in SAFE_METHODS for route in place):
            return str(request.app.router["home"].url_for(language=other))
        return str(place.url_for(**{**info, "language": other}).with_query(request.query))

    return {
        "language": language,
        "languages": LANGUAGE_NAMES,
        "switch": switch,
        "path": lambda name, **parts: path_to(request, name, **parts),
        "has": lambda name: name in request.app.router,
        "static": lambda name: f"/static/{name}",
        "site": request.config_dict[SETTINGS].site,
        "volunteer": request.get(VOLUNTEER),
        "day": lambda moment: format_date(moment, locale=language),
        "moment": lambda at: f"{format_date(at, locale=language)}, {format_time(at, 'short', locale=language)} UTC",
        "age": lambda moment: format_timedelta(max(now - moment, _MINUTE), locale=language),
    }


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Called by aiohttp for each response, redirects too."""
    response.headers.update(HEADERS)
    response.headers["Content-Security-Policy"] = request.config_dict[_POLICY]
    if not request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _error_screen(request, error.status)
    except Exception as error:  # noqa: BLE001 - the last resort: a screen instead of a broken connection
        failed("screen_failed", error, screen=request.match_info.route.name)
        return _error_screen(request, 500)


def _error_screen(request: web.Request, status: int) -> web.Response:
    if LANGUAGE not in request:
        request[LANGUAGE] = _spoken(request)
    _ = words(request)
    foreign = _("This form was not sent from this site. Nothing was done. Go back, reload the page and try again.")
    sentences = {
        400: foreign,
        403: foreign,
        404: _("There is nothing at this address."),
        405: _("There is nothing at this address."),
        413: _("This is larger than what is accepted here. Nothing was stored."),
    }
    internal = _("Something went wrong on our side. What was stored before is kept; go back and try again.")
    return render(request, "error.html", status, sentence=sentences.get(status, internal))


@web.middleware
async def _same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse forms sent by other sites: browsers say where a request comes from, and scripts cannot change it.

    After the check of Go's net/http CrossOriginProtection. What sends neither header is no browser.
    """
    if request.method not in SAFE_METHODS:
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is not None:
            allowed = site in {"same-origin", "none"}
        else:
            allowed = origin is None or origin.partition("://")[2] == request.host
        if not allowed:
            raise web.HTTPForbidden
    return await handler(request)


@web.middleware
async def _language(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[LANGUAGE] = _spoken(request)
    parts = request.match_info
    if parts.get("language", request[LANGUAGE]) != request[LANGUAGE] or any("\0" in part for part in parts.values()):
        raise web.HTTPNotFound  # PostgreSQL takes no NUL, and nothing has one in its name
    return await handler(request)


def _spoken(request: web.Request) -> str:
    """The language that the address names, or else the one that the browser likes best."""
    named = request.path.removeprefix("/").partition("/")[0]
    if named in LANGUAGES:
        return named
    best, liked = 0.0, str(request.config_dict[SETTINGS].site.language)
    for wish in request.headers.get("Accept-Language", "").split(","):
        name, _, weight = wish.partition(";")
        language = name.strip().split("-")[0].lower()
        try:
            value = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if language in LANGUAGES and value > best:
            best, liked = value, language
    return liked

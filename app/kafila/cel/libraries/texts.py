"""URLs and named formats (Kubernetes' libraries)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, final
from urllib.parse import quote, unquote_plus

from kafila.cel.bounds import STEPS, CostExceeded
from kafila.cel.declarations import Library, member, overload
from kafila.cel.types import BOOL, LIST_STRING, STRING, Type, map_of, optional, struct
from kafila.cel.values import (
    MAX_ELEMENTS,
    NO_OVERLOAD,
    NONE,
    EvaluationError,
    Opaque,
    Optional,
)
from kafila.core import gourl, names
from kafila.machinery.structural.formats import string_format

URL_TYPE: Final = struct("kubernetes.URL")
FORMAT_TYPE: Final = struct("kubernetes.NamedFormat")


@final
class URL(Opaque):
    __slots__ = ("raw", "url")
    cel_type: Type = URL_TYPE

    def __init__(self, raw: str, url: gourl.URL) -> None:
        self.raw = raw
        self.url = url

    def equals(self, other: Any) -> bool:
        if not isinstance(other, URL):
            raise EvaluationError(NO_OVERLOAD)
        return self.raw == other.raw


def _request_uri(text: str) -> gourl.URL:
    """Go's url.ParseRequestURI. Raises ValueError."""
    STEPS.take(len(text) >> 2)
    if not text:
        raise ValueError('parse "": empty url')
    found = gourl.parse(text.partition("#")[0])
    if not found.scheme and not text.startswith("/") and text != "*":
        raise ValueError(f"parse {gourl.quoted(text)}: invalid URI for request")
    return found


def to_url(text: str) -> URL:
    """Raises EvaluationError."""
    try:
        _request_uri(text)
        return URL(text, gourl.parse(text))
    except ValueError as problem:
        raise EvaluationError(f"URL parse error during conversion from string: {problem}") from None


def _is_url(text: str) -> bool:
    try:
        _request_uri(text)
    except ValueError:
        return False
    return True


def _host_and_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or not ((port.isascii() and port.isdigit()) or not port) or host.endswith("]"):
        name, port = host, ""
    return name.removeprefix("[").removesuffix("]"), port


_PATH: Final = re.compile(r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@/\[\]-]|%[0-9A-Fa-f]{2})*", re.ASCII)


def _escaped_path(url: URL) -> str:
    """As it was written, where it was written well."""
    STEPS.take(len(url.raw) >> 3)
    raw = url.raw.partition("#")[0].partition("?")[0]
    raw = raw[len(url.url.scheme) + 1 :] if url.url.scheme else raw
    if raw.startswith("//"):
        _, slash, path = raw[2:].partition("/")
        raw = slash + path
    elif url.url.scheme and not raw.startswith("/"):
        return ""
    return raw if _PATH.fullmatch(raw) else quote(url.url.path, safe="$&+,/:;=@-_.~")


def _query(url: URL) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for index, part in enumerate(url.url.query.split("&")):
        if index > MAX_ELEMENTS:
            raise CostExceeded
        STEPS.take(2 + (len(part) >> 4))
        if part and ";" not in part:
            key, _, value = part.partition("=")
            out.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return out


URLS: Final = Library(
    "urls",
    {
        "url": (overload("string_to_url", (STRING,), URL_TYPE, to_url),),
        "getScheme": (member("url_get_scheme", (URL_TYPE,), STRING, lambda url: url.url.scheme),),
        "getHost": (member("url_get_host", (URL_TYPE,), STRING, lambda url: url.url.host),),
        "getHostname": (member("url_get_hostname", (URL_TYPE,), STRING, lambda url: _host_and_port(url.url.host)[0]),),
        "getPort": (member("url_get_port", (URL_TYPE,), STRING, lambda url: _host_and_port(url.url.host)[1]),),
        "getEscapedPath": (member("url_get_escaped_path", (URL_TYPE,), STRING, _escaped_path),),
        "getQuery": (member("url_get_query", (URL_TYPE,), map_of(STRING, LIST_STRING), _query),),
        "isURL": (overload("is_url_string", (STRING,), BOOL, _is_url),),
    },
)

Check = Callable[[str], list[str]]


@final
class Format(Opaque):
    """``regex_size``: what its check is charged for."""

    __slots__ = ("check", "name", "regex_size")
    cel_type: Type = FORMAT_TYPE

    def __init__(self, name: str, regex_size: int, check: Check) -> None:
        self.name = name
        self.regex_size = regex_size
        self.check = check

    def equals(self, other: Any) -> bool:
        if not isinstance(other, Format):
            raise EvaluationError(NO_OVERLOAD)
        return self.name == other.name


def _prefixed(check: Callable[[str, bool], list[str]]) -> Check:
    return lambda text: check(text, True)


def _uri(text: str) -> list[str]:
    try:
        _request_uri(text)
    except ValueError as problem:
        return [str(problem)]
    return []


def _known(name: str, message: str) -> Check:
    check = string_format(name)
    assert check is not None
    return lambda text: [] if check(text) else [message]


# name -> the name that equality sees, characters of its pattern, the check
FORMATS: Final[dict[str, Format]] = {
    "dns1123Label": Format("DNS1123Label", 30, names.dns1123_label),
    "dns1123Subdomain": Format("DNS1123Subdomain", 60, names.dns1123_subdomain),
    "dns1035Label": Format("DNS1035Label", 30, names.dns1035_label),
    "qualifiedName": Format("QualifiedName", 60, names.qualified_name),
    "dns1123LabelPrefix": Format("DNS1123LabelPrefix", 30, _prefixed(names.dns1123_label)),
    "dns1123SubdomainPrefix": Format("DNS1123SubdomainPrefix", 60, _prefixed(names.dns1123_subdomain)),
    "dns1035LabelPrefix": Format("DNS1035LabelPrefix", 30, _prefixed(names.dns1035_label)),
    "labelValue": Format("LabelValue", 40, names.label_value),
    "uri": Format("URI", 1103, _uri),
    "uuid": Format("uuid", 70, _known("uuid", "does not match the UUID format")),
    "byte": Format("byte", 84, _known("byte", "invalid base64")),
    "date": Format("date", 71, _known("date", "invalid date")),
    "datetime": Format("datetime", 71, _known("datetime", "invalid datetime")),
}


def _named(name: str) -> Optional:
    found = FORMATS.get(name)
    return NONE if found is None else Optional(found, True)


def _validated(format: Format, text: str) -> Optional:
    problems = format.check(text)
    return Optional(problems, True) if problems else NONE


def _constant(format: Format) -> Callable[[], Format]:
    return lambda: format


NAMED_FORMATS: Final = Library(
    "format",
    {
        "validate": (member("format-validate", (FORMAT_TYPE, STRING), optional(LIST_STRING), _validated),),
        "format.named": (overload("format-named", (STRING,), optional(FORMAT_TYPE), _named),),
        **{
            f"format.{name}": (overload(f"format.{name}", (), FORMAT_TYPE, _constant(format)),)
            for name, format in FORMATS.items()
        },
    },
)

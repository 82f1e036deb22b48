"""What Kubernetes accepts as names, and as label keys and values.

A rule takes ``(value, prefix)`` and returns the reasons why the value is not allowed, in Kubernetes' words (clients match on
them). ``prefix`` says that a suffix will be appended (generateName), so a trailing dash is fine.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .hashes import SAFE_ALPHABET

NameRule = Callable[[str, bool], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + "(\\." + _LABEL + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_UNDERSCORE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORE_SUBDOMAIN = _UNDERSCORE_LABEL + "(\\." + _UNDERSCORE_LABEL + ")*"
_WILDCARD = "\\*\\." + _SUBDOMAIN
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HEADER = "[-A-Za-z0-9]+"
_PERCENT = "[0-9]+%"

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_name_part = re.compile(_QUALIFIED).fullmatch
_is_label_value = re.compile(_LABEL_VALUE).fullmatch
_is_underscore_subdomain = re.compile(_UNDERSCORE_SUBDOMAIN).fullmatch
_is_wildcard = re.compile(_WILDCARD).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_plain_config_key = re.compile("[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}").fullmatch  # that no rule is against
_is_header = re.compile(_HEADER).fullmatch
_is_percent = re.compile(_PERCENT).fullmatch
_is_port_charset = re.compile("[-a-z0-9]+").fullmatch
_is_printable = re.compile("[ -<>-~]*").fullmatch  # ASCII without "="

MAX_GENERATED_BASE = 58
GENERATED_SUFFIX = 5
_LONGEST_QUALIFIED = 253 + 1 + 63
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


def _explain(message: str, pattern: str, *examples: str) -> str:
    """Ends a message the way Kubernetes does (with its odd comma after the last example)."""
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def utf8_size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def _masked(value: str, prefix: bool) -> str:
    # Kubernetes checks the name without its trailing dash and replaces the character before it
    return value[:-2] + "a" if prefix and len(value) > 1 and value.endswith("-") else value


_SUBDOMAIN_TEXT = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_LABEL_TEXT = _explain(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_LABEL_1035_TEXT = _explain(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_QUALIFIED_TEXT = _explain(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE_TEXT = _explain(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_UNDERSCORE_TEXT = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character",
    _UNDERSCORE_SUBDOMAIN,
    "example.com",
)
_WILDCARD_TEXT = _explain(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
    "case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_CONFIG_KEY_TEXT = _explain(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_HEADER_TEXT = _explain("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")
_PERCENT_TEXT = _explain(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%"
)


def dns1123_subdomain(value: str, prefix: bool = False) -> list[str]:
    value = _masked(value, prefix)
    if len(value) <= 253 and _is_subdomain(value):
        return []
    out = ["must be no more than 253 characters"] if utf8_size(value) > 253 else []
    if not _is_subdomain(value):
        out.append(_SUBDOMAIN_TEXT)
    return out


def whole_subdomain(value: str, prefix: bool = False) -> list[str]:
    """A name of which the part that generated ones begin with may be anything."""
    return [] if prefix else dns1123_subdomain(value)


def dns1123_label(value: str, prefix: bool = False) -> list[str]:
    value = _masked(value, prefix)
    if len(value) <= 63 and _is_label(value):
        return []
    out = ["must be no more than 63 characters"] if utf8_size(value) > 63 else []
    if not _is_label(value):
        out.append("must not contain dots" if _is_subdomain(value) else _LABEL_TEXT)
    return out


def dns1035_label(value: str, prefix: bool = False) -> list[str]:
    value = _masked(value, prefix)
    if len(value) <= 63 and _is_label_1035(value):
        return []
    out = ["must be no more than 63 characters"] if utf8_size(value) > 63 else []
    if not _is_label_1035(value):
        out.append(_LABEL_1035_TEXT)
    return out


def path_segment(value: str, prefix: bool = False) -> list[str]:
    """Names of RBAC objects: whatever can be one segment of a URL's path."""
    if value in (".", "..") and not prefix:
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def any_name(value: str, prefix: bool = False) -> list[str]:
    return []


@lru_cache(1024)  # every write checks its keys, which are few and not long
def _is_qualified(value: str) -> bool:
    prefix, slash, name = value.rpartition("/")
    if slash and not (len(prefix) <= 253 and _is_subdomain(prefix)):
        return False
    return len(name) <= 63 and _is_name_part(name) is not None


def qualified_name(value: str) -> list[str]:
    """A label key: ``[prefix/]name``."""
    if len(value) <= _LONGEST_QUALIFIED and _is_qualified(value):
        return []
    parts = value.split("/")
    if len(parts) > 2:
        return [
            f"a valid label key {_QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    out = []
    if len(parts) == 2:
        if not parts[0]:
            out.append("prefix part must be non-empty")
        else:
            reasons = dns1123_subdomain(parts[0])
            out.extend(
                f"prefix part {reason.replace('no more than 253 characters', 'no more than 253 bytes')}"
                for reason in reasons
            )
    name = parts[-1]
    if not name:
        out.append("name part must be non-empty")
    elif utf8_size(name) > 63:
        out.append("name part must be no more than 63 bytes")
    if not _is_name_part(name):
        out.append(f"name part {_QUALIFIED_TEXT}")
    return out


def label_value(value: str) -> list[str]:
    if len(value) <= 63 and _is_label_value(value):
        return []
    out = ["must be no more than 63 bytes"] if utf8_size(value) > 63 else []
    if not _is_label_value(value):
        out.append(_LABEL_VALUE_TEXT)
    return out


def dns1123_subdomain_with_underscore(value: str) -> list[str]:
    out = ["must be no more than 253 characters"] if utf8_size(value) > 253 else []
    if not _is_underscore_subdomain(value):
        out.append(_UNDERSCORE_TEXT)
    return out


def wildcard_dns1123_subdomain(value: str) -> list[str]:
    out = ["must be no more than 253 characters"] if utf8_size(value) > 253 else []
    if not _is_wildcard(value):
        out.append(_WILDCARD_TEXT)
    return out


def config_key(value: str) -> list[str]:
    """Keys of ConfigMaps and Secrets: they become file names."""
    if _is_plain_config_key(value):
        return []
    out = ["must be no more than 253 characters"] if utf8_size(value) > 253 else []
    if not _is_config_key(value):
        out.append(_CONFIG_KEY_TEXT)
    if value in (".", ".."):
        out.append(f"must not be '{value}'")
    elif value.startswith(".."):
        out.append("must not start with '..'")
    return out


def env_name(value: str) -> list[str]:
    out = [] if value else ["environment variable name must be non-empty"]
    if not _is_printable(value):
        out.append("a valid environment variable name must consist only of printable ASCII characters other than '='")
    return out


def http_header(value: str) -> list[str]:
    return [] if _is_header(value) else [_HEADER_TEXT]


def percent(value: str) -> list[str]:
    return [] if _is_percent(value) else [_PERCENT_TEXT]


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [in_range(1, 65535)]


def port_name(value: str) -> list[str]:
    out = ["must be no more than 15 characters"] if utf8_size(value) > 15 else []
    if not _is_port_charset(value):
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in value):
        out.append("must contain at least one letter (a-z)")
    if "--" in value:
        out.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        out.append("must not begin or end with a hyphen")
    return out


def in_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


_DRAWN: list[str] = []  # uids to come: the kernel is asked once for many, and all are written at once
_AT_ONCE: Final = 256
_PLACES: Final = [
    place for place in range(36) if place not in (8, 13, 18, 23)
]  # of a uid's digits, between its hyphens
_VERSION: Final = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))
os.register_at_fork(after_in_child=_DRAWN.clear)


def new_uid() -> str:
    """A random UUID, version 4 (RFC 9562). Every write and every answer has one: ``uuid.uuid4`` takes ten times as long."""
    try:
        return _DRAWN.pop()
    except IndexError:
        found = _draw()
        last = found.pop()
        _DRAWN.extend(found)
        return last


def _draw() -> list[str]:
    """Digit by digit of all of them, which is a copy in C for each place."""
    drawn = bytearray(os.urandom(16 * _AT_ONCE))
    drawn[6::16] = drawn[6::16].translate(_VERSION)
    drawn[8::16] = drawn[8::16].translate(_VARIANT)
    digits, written = drawn.hex().encode(), bytearray(b"-") * (36 * _AT_ONCE)
    for number, place in enumerate(_PLACES):
        written[place::36] = digits[number::32]
    text = written.decode()
    return [text[start : start + 36] for start in range(0, len(text), 36)]


def generate_name(base: str) -> str:
    """A name for ``metadata.generateName``: the base, cut to 58 bytes, and five random characters that spell no words."""
    suffix = "".join(secrets.choice(SAFE_ALPHABET) for _ in range(GENERATED_SUFFIX))
    if utf8_size(base) > MAX_GENERATED_BASE:
        base = base.encode()[:MAX_GENERATED_BASE].decode("utf-8", "ignore")
    return base + suffix

"""String formats that a schema may ask for (kube-openapi's strfmt, as far as CustomResourceDefinitions may use it)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from kafila.core.names import dns1123_label, dns1123_subdomain

from .patterns import own_matcher
from .props import INT_OR_STRING, QUANTORS, Props, children

Format = Callable[[str], bool]

_NUMBERS: Final = {"integer": ("int32", "int64"), "number": ("float", "double")}


def format_of(props: Props) -> str:
    """The format that is enforced: formats that are unknown, or not of the type, are none."""
    given = props.get("format") or ""
    kind = "" if props.get(INT_OR_STRING) else props.get("type") or ""
    if kind in ("", "string"):
        return given if given.replace("-", "") in STRINGS else ""
    return given if given in _NUMBERS.get(kind, ()) else ""


def unrecognized_formats(props: Props) -> list[str]:
    """Formats anywhere in a schema that are not enforced."""
    own = [props["format"]] if props.get("format") and not format_of({**props, INT_OR_STRING: False}) else []
    nested = [one for name in QUANTORS for one in props.get(name) or ()]
    nested += [props["not"]] if isinstance(props.get("not"), dict) else []
    return own + [name for child in [*children(props), *nested] for name in unrecognized_formats(child)]


def _matches(pattern: str) -> Format:
    return lambda text: own_matcher(pattern)(text)


def _hex(digits: int, version: str = "[0-9a-f]", variant: str = "[0-9a-f]") -> Format:
    return _matches(
        f"(?i)^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{{digits}}}$"
    )


def _date(text: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return text.startswith("0000-")  # Go has a year 0
    return True


_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))\Z")


def _date_time(text: str) -> bool:
    day, _, rest = text.lower().partition("t")
    clock = _CLOCK.match(rest.partition("t")[0])
    return _date(day) and clock is not None and clock[1] <= "23" and clock[2] <= "59" and clock[3] <= "59"


_UNITS = (
    "ns",
    "nano",
    "us",
    "µs",
    "micro",
    "ms",
    "milli",
    "s",
    "sec",
    "m",
    "min",
    "h",
    "hr",
    "hour",
    "d",
    "day",
    "w",
    "wk",
    "week",
)
_PREFIXES = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_GO_DURATION = re.compile(r"[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)\Z")
_PART = re.compile(r"[0-9]+\s*([A-Za-zµ]+)")


def _duration(text: str) -> bool:
    if _GO_DURATION.match(text):
        return True
    units = (unit.lower() for unit in _PART.findall(text))
    return any(unit in _UNITS or unit.startswith(_PREFIXES) for unit in units)


def _ipv4(text: str) -> bool:
    parts = text.split(".")
    # leading zeros are allowed, as Kubernetes has always read them
    if len(parts) == 4 and all(
        p.isascii() and p.isdigit() and len(p.lstrip("0")) <= 3 and int(p) <= 255 for p in parts
    ):
        return True
    return "." in text and _ipv6(text)


def _ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def _cidr(text: str) -> bool:
    address, slash, size = text.partition("/")
    bits = 128 if ":" in address else 32
    known = _ipv6(address) if bits == 128 else _ipv4(address)
    return bool(slash) and known and size.isascii() and size.isdigit() and int(size) <= bits


def _mac(text: str) -> bool:
    for size in (6, 8, 20):
        for sep, width in ((":", 2), ("-", 2), (r"\.", 4)):
            if re.fullmatch(rf"[0-9a-fA-F]{{{width}}}({sep}[0-9a-fA-F]{{{width}}}){{{size * 2 // width - 1}}}", text):
                return True
    return False


def _uri(text: str) -> bool:
    """As Go's url.ParseRequestURI: an absolute URI or an absolute path, without a fragment's meaning."""
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text) or re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return False
    if text.startswith("/") or text == "*":
        return True
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return False
    host = rest[2:].partition("/")[0] if rest.startswith("//") else ""
    return " " not in host and not re.search(r":[^0-9\]][^\]]*\Z", host.rpartition("@")[2])


_EMAIL = re.compile(r"""(?:[^<>@]*<)?(?:[^\s<>@"(),:;\[\\\]]+|"[^"]+")@[^\s<>@"(),:;\[\\\]]+>?\Z""")
_HOSTNAME = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}"
    r"[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)


def _hostname(text: str) -> bool:
    size = len(text.encode())
    return own_matcher(_HOSTNAME)(text) and size <= 255 and all(len(part.encode()) <= 63 for part in text.split("."))


def _isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{13}", digits):
        return False
    return sum((3 if i % 2 else 1) * int(c) for i, c in enumerate(digits)) % 10 == 0


def _credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    pattern = (
        r"(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
        r"|(?:2131|1800|35\d{3})\d{11})"
    )
    if not re.fullmatch(pattern, digits):
        return False
    doubled = [int(c) * 2 if i % 2 else int(c) for i, c in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


_CHANNEL = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])"
STRINGS: Final[dict[str, Format]] = {
    "bsonobjectid": lambda text: bool(re.fullmatch(r"[0-9a-fA-F]{24}", text)),
    "uri": _uri,
    "email": lambda text: bool(_EMAIL.match(text)),
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": lambda text: ":" in text and _ipv6(text),
    "cidr": _cidr,
    "mac": _mac,
    "uuid": _hex(12),
    "uuid3": _hex(12, "3"),
    "uuid4": _hex(12, "4", "[89ab]"),
    "uuid5": _hex(12, "5", "[89ab]"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": _matches(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
    "hexcolor": _matches(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    "rgbcolor": _matches(rf"^rgb\(\s*{_CHANNEL}\s*,\s*{_CHANNEL}\s*,\s*{_CHANNEL}\s*\)$"),
    "byte": _matches(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"),
    "password": lambda text: True,
    "date": _date,
    "duration": _duration,
    "datetime": _date_time,
    "k8sshortname": lambda text: not dns1123_label(text),
    "k8slongname": lambda text: not dns1123_subdomain(text),
}


def string_format(name: str) -> Format | None:
    return STRINGS.get(name.replace("-", ""))

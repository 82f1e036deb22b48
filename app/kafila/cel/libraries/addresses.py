"""IP addresses and networks (Kubernetes' library; text and messages of Go's net/netip)."""

from __future__ import annotations

import ipaddress
from typing import Any, Final, final

from kafila.cel.bounds import STEPS
from kafila.cel.declarations import Library, member, overload
from kafila.cel.types import BOOL, INT, STRING, Type, opaque
from kafila.cel.values import NO_OVERLOAD, EvaluationError, Opaque
from kafila.core.quoting import quoted

IP_TYPE: Final = opaque("net.IP")
CIDR_TYPE: Final = opaque("net.CIDR")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PARSED: Final = 4  # steps
_HEX: Final = frozenset("0123456789abcdefABCDEF")


@final
class IP(Opaque):
    __slots__ = ("address",)
    cel_type: Type = IP_TYPE

    def __init__(self, address: Address) -> None:
        self.address = address

    def equals(self, other: Any) -> bool:
        if not isinstance(other, IP):
            raise EvaluationError(NO_OVERLOAD)
        return self.address == other.address

    def size(self) -> int:
        return 4 if self.address.version == 4 else 16

    def text(self) -> str:
        return str(self.address)


@final
class CIDR(Opaque):
    """An address with the length of its prefix; bits behind it may be set."""

    __slots__ = ("address", "bits")
    cel_type: Type = CIDR_TYPE

    def __init__(self, address: Address, bits: int) -> None:
        self.address = address
        self.bits = bits

    def equals(self, other: Any) -> bool:
        if not isinstance(other, CIDR):
            raise EvaluationError(NO_OVERLOAD)
        return (self.address, self.bits) == (other.address, other.bits)

    def size(self) -> int:
        return -(-self.bits // 8)

    def text(self) -> str:
        return f"{self.address}/{self.bits}"

    def masked(self) -> Address:
        shift = self.address.max_prefixlen - self.bits
        return type(self.address)(int(self.address) >> shift << shift)

    def has(self, address: Address) -> bool:
        if address.version != self.address.version:
            return False
        shift = address.max_prefixlen - self.bits
        return int(address) >> shift == int(self.address) >> shift


def _problem(text: str, message: str, at: str = "") -> ValueError:
    return ValueError(f"ParseAddr({quoted(text)}): {message}" + (f" (at {quoted(at)})" if at else ""))


def _parsed(text: str) -> Address:
    """Raises ValueError with Go's message."""
    STEPS.take(_PARSED)
    first = next((char for char in text if char in ".:%"), "")
    if first == ".":
        return _v4(text, text)
    if first == ":":
        return _v6(text)
    raise _problem(text, "missing IPv6 address" if first else "unable to parse IP")


def _v4(whole: str, text: str) -> ipaddress.IPv4Address:
    fields: list[int] = []
    value = digits = 0
    for index, char in enumerate(text):
        if "0" <= char <= "9":
            if digits == 1 and value == 0:
                raise _problem(whole, "IPv4 field has octet with leading zero")
            value, digits = value * 10 + int(char), digits + 1
            if value > 255:
                raise _problem(whole, "IPv4 field has value >255")
        elif char == ".":
            if index in (0, len(text) - 1) or text[index - 1] == ".":
                raise _problem(whole, "IPv4 field must have at least one digit", text[index:])
            if len(fields) == 3:
                raise _problem(whole, "IPv4 address too long")
            fields.append(value)
            value = digits = 0
        else:
            raise _problem(whole, "unexpected character", text[index:])
    if len(fields) < 3:
        raise _problem(whole, "IPv4 address too short")
    return ipaddress.IPv4Address(bytes([*fields, value]))


def _v6(whole: str) -> Address:
    text, percent, zone = whole.partition("%")
    if percent and not zone:
        raise _problem(whole, "zone must be a non-empty string")
    groups, ellipsis, rest = _groups(whole, text)
    if rest:
        raise _problem(whole, "trailing garbage after address", rest)
    missing = 16 - len(groups)
    if missing and ellipsis < 0:
        raise _problem(whole, "address string too short")
    if not missing and ellipsis >= 0:
        raise _problem(whole, "the :: must expand to at least one field of zeros")
    at = max(ellipsis, 0)
    packed = bytes([*groups[:at], *[0] * missing, *groups[at:]])
    address = ipaddress.IPv6Address(packed)
    return ipaddress.IPv6Address(f"{address}%{zone}") if zone else address


def _groups(whole: str, text: str) -> tuple[list[int], int, str]:
    """Bytes, where the ellipsis is among them (-1: nowhere), and what was not read."""
    out: list[int] = []
    ellipsis = -1
    if text.startswith("::"):
        ellipsis, text = 0, text[2:]
        if not text:
            return out, ellipsis, ""
    while len(out) < 16:
        size = next((at for at, char in enumerate(text) if char not in _HEX), len(text))
        if size > 4:
            raise _problem(whole, "each group must have 4 or less digits", text)
        if size == 0:
            raise _problem(whole, "each colon-separated field must have at least one digit", text)
        if text[size : size + 1] == ".":
            if ellipsis < 0 and len(out) != 12:
                message = "embedded IPv4 address must replace the final 2 fields of the address"
                raise _problem(whole, message, text)
            if len(out) + 4 > 16:
                message = "too many hex fields to fit an embedded IPv4 at the end of the address"
                raise _problem(whole, message, text)
            return [*out, *_v4(whole, text).packed], ellipsis, ""
        out += int(text[:size], 16).to_bytes(2)
        text = text[size:]
        if not text:
            break
        if text[0] != ":":
            raise _problem(whole, "unexpected character, want colon", text)
        if len(text) == 1:
            raise _problem(whole, "colon must be followed by more characters", text)
        text = text[1:]
        if text[0] == ":":
            if ellipsis >= 0:
                raise _problem(whole, "multiple :: in address", text)
            ellipsis, text = len(out), text[1:]
            if not text:
                break
    return out, ellipsis, text


def _mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _address(text: str) -> Address:
    try:
        address = _parsed(text)
    except ValueError as problem:
        raise EvaluationError(
            f"IP Address {quoted(text)} parse error during conversion from string: {problem}"
        ) from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise EvaluationError(f"IP address {quoted(text)} with zone value is not allowed")
    if _mapped(address):
        raise EvaluationError(f"IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return address


def to_ip(text: str) -> IP:
    return IP(_address(text))


def is_ip(text: str) -> bool:
    try:
        _address(text)
    except EvaluationError:
        return False
    return True


def _prefix(text: str) -> CIDR:
    """Raises ValueError."""
    head = f"netip.ParsePrefix({quoted(text)}): "
    name, slash, bits = text.rpartition("/")
    if not slash:
        raise ValueError(f"{head}no '/'")
    try:
        address = _parsed(name)
    except ValueError as problem:
        raise ValueError(head + str(problem)) from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise ValueError(f"{head}IPv6 zones cannot be present in a prefix")
    if not (bits.isascii() and bits.isdigit()) or (len(bits) > 1 and bits[0] == "0") or len(bits) > 18:
        raise ValueError(f"{head}bad bits after slash: {quoted(bits)}")
    if int(bits) > address.max_prefixlen:
        raise ValueError(f"{head}prefix length out of range")
    return CIDR(address, int(bits))


def to_cidr(text: str) -> CIDR:
    head = "network address parse error during conversion from string: "
    try:
        found = _prefix(text)
    except ValueError as problem:
        raise EvaluationError(f"{head}{head}{problem}") from None
    if _mapped(found.address):
        raise EvaluationError(f"{head}IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return found


def is_cidr(text: str) -> bool:
    try:
        to_cidr(text)
    except EvaluationError:
        return False
    return True


def _global_unicast(ip: IP) -> bool:
    address = ip.address
    if isinstance(address, ipaddress.IPv4Address) and int(address) == 2**32 - 1:
        return False
    special = (address.is_unspecified, address.is_loopback, address.is_multicast, address.is_link_local)
    return not any(special)


def _link_local_multicast(ip: IP) -> bool:
    packed = ip.address.packed
    return packed[:3] == b"\xe0\0\0" if ip.address.version == 4 else packed[0] == 0xFF and packed[1] & 0x0F == 2


def _contains_text(cidr: CIDR, text: str) -> bool:
    if not is_ip(text):
        raise EvaluationError(NO_OVERLOAD)  # Kubernetes says no more
    return cidr.has(_address(text))


def _contains_cidr(outer: CIDR, inner: CIDR) -> bool:
    return outer.bits <= inner.bits and outer.has(inner.address)


NETWORK: Final = Library(
    "network",
    {
        "ip": (
            overload("string_to_ip", (STRING,), IP_TYPE, to_ip),
            member("cidr_ip", (CIDR_TYPE,), IP_TYPE, lambda cidr: IP(cidr.address)),
        ),
        "family": (member("ip_family", (IP_TYPE,), INT, lambda ip: ip.address.version),),
        "ip.isCanonical": (overload("ip_is_canonical", (STRING,), BOOL, lambda text: str(_address(text)) == text),),
        "isUnspecified": (member("ip_is_unspecified", (IP_TYPE,), BOOL, lambda ip: ip.address.is_unspecified),),
        "isLoopback": (member("ip_is_loopback", (IP_TYPE,), BOOL, lambda ip: ip.address.is_loopback),),
        "isLinkLocalMulticast": (member("ip_is_link_local_multicast", (IP_TYPE,), BOOL, _link_local_multicast),),
        "isLinkLocalUnicast": (
            member("ip_is_link_local_unicast", (IP_TYPE,), BOOL, lambda ip: ip.address.is_link_local),
        ),
        "isGlobalUnicast": (member("ip_is_global_unicast", (IP_TYPE,), BOOL, _global_unicast),),
        "isIP": (overload("is_ip", (STRING,), BOOL, is_ip),),
        "string": (
            overload("ip_to_string", (IP_TYPE,), STRING, IP.text),
            overload("cidr_to_string", (CIDR_TYPE,), STRING, CIDR.text),
        ),
        "cidr": (overload("string_to_cidr", (STRING,), CIDR_TYPE, to_cidr),),
        "containsIP": (
            member("cidr_contains_ip_string", (CIDR_TYPE, STRING), BOOL, _contains_text),
            member("cidr_contains_ip_ip", (CIDR_TYPE, IP_TYPE), BOOL, lambda cidr, ip: cidr.has(ip.address)),
        ),
        "containsCIDR": (
            member(
                "cidr_contains_cidr_string",
                (CIDR_TYPE, STRING),
                BOOL,
                lambda cidr, text: _contains_cidr(cidr, to_cidr(text)),
            ),
            member("cidr_contains_cidr", (CIDR_TYPE, CIDR_TYPE), BOOL, _contains_cidr),
        ),
        "prefixLength": (member("cidr_prefix_length", (CIDR_TYPE,), INT, lambda cidr: cidr.bits),),
        "masked": (member("cidr_masked", (CIDR_TYPE,), CIDR_TYPE, lambda cidr: CIDR(cidr.masked(), cidr.bits)),),
        "isCIDR": (overload("is_cidr", (STRING,), BOOL, is_cidr),),
    },
    {"net.IP": IP_TYPE, "net.CIDR": CIDR_TYPE},
)

"""Why a call failed, as Go's client says it: what users search for, and what scripts match on."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING, Final

import orjson

from kafila.core.gourl import quoted

if TYPE_CHECKING:
    import aiohttp

MOST_TEXT: Final = 2048  # bytes of an answer that become part of a text
_ERRNO: Final = {
    errno.ECONNREFUSED: "connect: connection refused",
    errno.EHOSTUNREACH: "connect: no route to host",
    errno.ENETUNREACH: "connect: network is unreachable",
    errno.ETIMEDOUT: "connect: connection timed out",
    errno.ECONNRESET: "read: connection reset by peer",
    errno.EPIPE: "write: broken pipe",
    errno.EACCES: "connect: permission denied",
    errno.EINVAL: "connect: invalid argument",
}
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})  # OpenSSL's X509_V_ERR_…
_VALIDITY: Final = frozenset({9, 10})
_NAME: Final = frozenset({62, 64})
_STATUS: Final = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


def of_exception(error: BaseException, dialled: str, host: str) -> str:
    """``dialled``: address and port; ``host``: what the certificate has to be issued to."""
    import aiohttp  # whoever has such an error has loaded it

    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate(error.certificate_error, host)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return _tls(error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "unexpected error when reading response body. Please retry. Original error: unexpected EOF"
    if isinstance(error, OSError):
        found = _ERRNO.get(error.errno or 0)
        if found:
            return f"dial tcp {dialled}: {found}" if found.startswith("connect") else found
        return str(error.strerror or error)
    if isinstance(error, aiohttp.ClientResponseError):  # what is no HTTP
        return f"net/http: HTTP/1.x transport connection broken: malformed HTTP response: {error.message}"
    return str(error) or type(error).__name__


def _certificate(error: object, host: str) -> str:
    code, text = getattr(error, "verify_code", 0), getattr(error, "verify_message", "") or str(error)
    if code in _UNKNOWN_AUTHORITY:
        why = "certificate signed by unknown authority"
    elif code in _VALIDITY:
        why = "certificate has expired or is not yet valid"
    elif code in _NAME:
        why = f"certificate is not valid for {host}"
    else:
        why = text
    return f"tls: failed to verify certificate: x509: {why}"


def _tls(error: aiohttp.ClientConnectorSSLError) -> str:
    reason = getattr(error.os_error, "reason", "") or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(error.os_error, ssl.SSLEOFError):
        return "EOF"
    return f"remote error: tls: {reason.lower().replace('_', ' ') or error.os_error}"


def of_answer(status: int, body: bytes, is_text: bool) -> str:
    """An answer other than 2xx: what its Status says, or what is made of its code."""
    said = _status_message(body)
    if said:
        return said
    text = body[:MOST_TEXT].decode("utf-8", "replace").strip() if is_text else "unknown"
    if status in (403, 406, 415) and text and text != "unknown":
        return text
    known = _STATUS.get(status)
    if known:
        return known
    if status >= 500:
        return f"an error on the server ({quoted(text)}) has prevented the request from succeeding"
    return f"the server responded with the status code {status} but did not return more information"


def _status_message(body: bytes) -> str:
    """Of a ``Status``, cut."""
    if not body.startswith(b"{"):
        return ""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if document.get("kind") != "Status" or document.get("status") == "Success":
        return ""
    message = document.get("message")
    return message[:MOST_TEXT] if isinstance(message, str) else ""

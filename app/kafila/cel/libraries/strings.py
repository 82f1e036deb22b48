"""Strings (cel-go's ext.Strings version 2) and Kubernetes' search by regular expressions."""

from __future__ import annotations

from typing import Any, Final

from kafila.cel.bounds import CostExceeded
from kafila.cel.declarations import Library, member, overload
from kafila.cel.gotext import shown
from kafila.cel.patterns import all_matches_now, first_match_now
from kafila.cel.types import DYN, INT, LIST_STRING, STRING, list_of
from kafila.cel.values import MAX_TEXT, EvaluationError
from kafila.core.quoting import ESCAPES

from .formatting import formatted

_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_UPPER: Final = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


_SHORT: Final = 16  # characters


def _out_of_range(index: int) -> EvaluationError:
    return EvaluationError(f"index out of range: {index}")


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _out_of_range(index)
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not part:
        return start
    if start < 0:
        raise _out_of_range(start)
    return -1 if start >= len(text) else text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if start is None:
        if not part:
            return len(text)
        if len(text.encode()) < len(part.encode()):
            return -1
        start = len(text) - 1
    if not part:
        return start
    if start < 0:
        raise _out_of_range(start)
    if start >= len(text):
        return -1
    end = start + len(part)
    if len(part) < _SHORT:
        return text.rfind(part, 0, end)
    found = text[:end][::-1].find(part[::-1])  # Python's search from the end looks at all of the part in each place
    return -1 if found < 0 else min(end, len(text)) - found - len(part)


def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old) if count < 0 else min(text.count(old), count)
    if len(text) + times * len(new) > MAX_TEXT:
        raise CostExceeded
    return text.replace(old, new, count)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if not separator:
        if count < 0 or count >= len(text):
            return list(text)
        return [*text[: count - 1], text[count - 1 :]]
    return text.split(separator, -1 if count < 0 else count - 1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is not None and start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    if not 0 <= start <= len(text):
        raise _out_of_range(start)
    if end is not None and not 0 <= end <= len(text):
        raise _out_of_range(end)
    return text[start:end]


def _joined(parts: Any, separator: str = "") -> str:
    total = 0
    out: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            raise EvaluationError(f"join: invalid input: {shown(part)}")
        total += len(part) + len(separator)
        if total > MAX_TEXT:
            raise CostExceeded
        out.append(part)
    return separator.join(out)


_ESCAPES: Final = str.maketrans(ESCAPES)


def _quote(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


STRINGS: Final = Library(
    "strings",
    {
        "charAt": (member("string_char_at_int", (STRING, INT), STRING, _char_at),),
        "indexOf": (
            member("string_index_of_string", (STRING, STRING), INT, _index_of),
            member("string_index_of_string_int", (STRING, STRING, INT), INT, _index_of),
        ),
        "lastIndexOf": (
            member("string_last_index_of_string", (STRING, STRING), INT, _last_index_of),
            member("string_last_index_of_string_int", (STRING, STRING, INT), INT, _last_index_of),
        ),
        "lowerAscii": (member("string_lower_ascii", (STRING,), STRING, lambda text: text.translate(_LOWER)),),
        "upperAscii": (member("string_upper_ascii", (STRING,), STRING, lambda text: text.translate(_UPPER)),),
        "replace": (
            member("string_replace_string_string", (STRING, STRING, STRING), STRING, _replaced),
            member("string_replace_string_string_int", (STRING, STRING, STRING, INT), STRING, _replaced),
        ),
        "split": (
            member("string_split_string", (STRING, STRING), LIST_STRING, _split),
            member("string_split_string_int", (STRING, STRING, INT), LIST_STRING, _split),
        ),
        "substring": (
            member("string_substring_int", (STRING, INT), STRING, _substring),
            member("string_substring_int_int", (STRING, INT, INT), STRING, _substring),
        ),
        "trim": (member("string_trim", (STRING,), STRING, lambda text: text.strip(_SPACE)),),
        "format": (member("string_format", (STRING, list_of(DYN)), STRING, formatted),),
        "strings.quote": (overload("strings_quote", (STRING,), STRING, _quote),),
        "join": (
            member("list_join", (LIST_STRING,), STRING, _joined),
            member("list_join_string", (LIST_STRING, STRING), STRING, _joined),
        ),
    },
)

REGEX: Final = Library(
    "regex",
    {
        "find": (member("string_find_string", (STRING, STRING), STRING, first_match_now),),
        "findAll": (
            member("string_find_all_string", (STRING, STRING), LIST_STRING, all_matches_now),
            member("string_find_all_string_int", (STRING, STRING, INT), LIST_STRING, all_matches_now),
        ),
    },
)

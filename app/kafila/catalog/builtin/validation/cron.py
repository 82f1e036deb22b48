"""Cron schedules as robfig/cron reads them: five fields, or a descriptor such as ``@daily``."""

from __future__ import annotations

import re

_BOUNDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (
        1,
        12,
        {
            name: i + 1
            for i, name in enumerate(
                ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            )
        },
    ),
    (0, 6, {name: i for i, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}),
)
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_is_duration = re.compile(r"([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+").fullmatch


class _Bad(ValueError):
    pass


def schedule_error(schedule: str) -> str:
    """Why it is no schedule; "" when it is one."""
    text = schedule
    if text.startswith(("TZ=", "CRON_TZ=")):
        _, space, text = text.partition(" ")
        if not space:
            return "parser panic: runtime error: slice bounds out of range [:-1]"
        text = text.strip()
    if text.startswith("@"):
        if text in _DESCRIPTORS:
            return ""
        if text.startswith("@every "):
            interval = text[len("@every ") :]
            if _is_duration(interval):
                return ""
            return f'failed to parse duration {text}: time: invalid duration "{interval}"'
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != 5:
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    try:
        for field, (low, high, words) in zip(fields, _BOUNDS, strict=True):
            for part in field.split(","):
                if part:
                    _check_range(part, low, high, words)
    except _Bad as error:
        return str(error)
    return ""


def _check_range(part: str, low: int, high: int, words: dict[str, int]) -> None:
    span, *steps = part.split("/")
    ends = span.split("-")
    if ends[0] in ("*", "?"):
        if len(ends) > 1 and not ends[0]:
            raise _Bad(f"too many hyphens: {part}")
        start, end = low, high
    else:
        start = end = _number(ends[0], words)
        if len(ends) == 2:
            end = _number(ends[1], words)
        elif len(ends) > 2:
            raise _Bad(f"too many hyphens: {part}")
    step = 1
    if len(steps) == 1:
        step = _unsigned(steps[0])
        if len(ends) == 1:
            end = high  # "N/step" means from N on
    elif steps:
        raise _Bad(f"too many slashes: {part}")
    if start < low:
        raise _Bad(f"beginning of range ({start}) below minimum ({low}): {part}")
    if end > high:
        raise _Bad(f"end of range ({end}) above maximum ({high}): {part}")
    if start > end:
        raise _Bad(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise _Bad(f"step of range should be a positive number: {part}")


def _number(text: str, words: dict[str, int]) -> int:
    found = words.get(text.lower())
    return _unsigned(text) if found is None else found


def _unsigned(text: str) -> int:
    digits = text[1:] if text[:1] in "+-" and text else text
    if not (digits.isascii() and digits.isdigit()):
        raise _Bad(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if len(digits) > 18:
        raise _Bad(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range')
    value = int(text)
    if value < 0:
        raise _Bad(f"negative number ({value}) not allowed: {text}")
    return value

"""Schedules as robfig's cron reads and follows them, which runs Karmada's rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.cron import LONGEST, ScheduleError, parse

BERLIN, NEW_YORK, SAO_PAULO = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "America/Sao_Paulo"))


def epoch(text: str, zone: ZoneInfo | None = None) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone or UTC)).timestamp()


def following(schedule: str, after: str, zone: ZoneInfo | None = None) -> str | None:
    """In UTC."""
    found = parse(schedule).next_after(epoch(after, zone), zone or UTC)
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M:%S") if found is not None else None


@pytest.mark.parametrize(
    ("schedule", "after", "next_one"),
    [
        ("0/15 * * * *", "2012-07-09 14:45:00", "2012-07-09 15:00:00"),
        ("0/15 * * * *", "2012-07-09 14:59:59", "2012-07-09 15:00:00"),
        ("20-35/15 * * * *", "2012-07-09 15:45:00", "2012-07-09 16:20:00"),
        ("*/5 * * * *", "2026-11-30 12:00:00", "2026-11-30 12:05:00"),
        ("0 9 * * mon-fri", "2026-11-27 09:00:00", "2026-11-30 09:00:00"),
        ("0 9 * * MON", "2026-11-30 08:59:59.9", "2026-11-30 09:00:00"),
        ("30 8 1 * ?", "2026-12-31 23:59:00", "2027-01-01 08:30:00"),
        ("0 0 29 2 *", "2026-03-01 00:00:00", "2028-02-29 00:00:00"),
        ("0 0 29 feb *", "2024-02-28 00:00:00", "2024-02-29 00:00:00"),
        ("0 0 31 * *", "2026-11-30 00:00:00", "2026-12-31 00:00:00"),
        ("0 0 1,15 * 1", "2026-11-26 00:00:00", "2026-11-30 00:00:00"),  # either day is enough
        ("0 0 */10 * sun", "2012-07-15 00:00:00", "2012-07-21 00:00:00"),  # a step is no star
        ("0 0 * * sun", "2012-07-15 00:00:00", "2012-07-22 00:00:00"),
        ("@hourly", "2026-11-30 12:34:56", "2026-11-30 13:00:00"),
        ("@daily", "2026-11-30 12:34:56", "2026-12-01 00:00:00"),
        ("@weekly", "2026-11-30 12:34:56", "2026-12-06 00:00:00"),
        ("@monthly", "2026-11-30 12:34:56", "2026-12-01 00:00:00"),
        ("@yearly", "2026-11-30 12:34:56", "2027-01-01 00:00:00"),
        ("0 0 30 feb *", "2026-11-30 00:00:00", None),
        ("0 0 31 4,6,9,11 *", "2026-11-30 00:00:00", None),
        (", * * * *", "2026-11-30 00:00:00", None),
    ],
)
def test_the_next_time(schedule: str, after: str, next_one: str | None) -> None:
    assert following(schedule, after) == next_one


@pytest.mark.parametrize(
    ("schedule", "after", "zone", "next_one"),
    [
        ("0 9 * * *", "2026-07-01T10:00:00+00:00", BERLIN, "2026-07-02 07:00:00"),
        ("0 9 * * *", "2026-12-01T10:00:00+00:00", BERLIN, "2026-12-02 08:00:00"),
        # 02:30 is left out when the clocks go from 02:00 to 03:00
        ("30 2 * * *", "2012-03-11T00:00:00-05:00", NEW_YORK, "2012-03-12 06:30:00"),
        # and 01:30 comes twice when they go from 02:00 to 01:00
        ("30 1 * * *", "2012-11-04T00:00:00-04:00", NEW_YORK, "2012-11-04 05:30:00"),
        ("30 1 * * *", "2012-11-04T01:30:00-04:00", NEW_YORK, "2012-11-04 06:30:00"),
        ("30 1 * * *", "2012-11-04T01:30:00-05:00", NEW_YORK, "2012-11-05 06:30:00"),
        ("0 * * * *", "2012-11-04T01:00:00-04:00", NEW_YORK, "2012-11-04 06:00:00"),
        # a day that begins at one o'clock, and one whose last hour comes twice
        ("0 1 * * *", "2018-11-03T12:00:00-03:00", SAO_PAULO, "2018-11-04 03:00:00"),
        ("0 0 * * *", "2018-11-03T12:00:00-03:00", SAO_PAULO, "2018-11-05 02:00:00"),
        ("0 0 18 2 *", "2018-02-17T23:30:00-02:00", SAO_PAULO, "2018-02-18 03:00:00"),
    ],
)
def test_clocks_that_change(schedule: str, after: str, zone: ZoneInfo, next_one: str) -> None:
    assert following(schedule, after, zone) == next_one


FAILED = "gocron: cron expression failed to be parsed: "


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("0 * * * * *", "expected exactly 5 fields, found 6: [0 * * * * *]"),
        ("@5minutes", "unrecognized descriptor: @5minutes"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * L * *", 'failed to parse int from L: strconv.Atoi: parsing "L": invalid syntax'),
        ("* * * * 5#2", 'failed to parse int from 5#2: strconv.Atoi: parsing "5#2": invalid syntax'),
        (
            f"{10**20} * * * *",
            f'failed to parse int from {10**20}: strconv.Atoi: parsing "{10**20}": value out of range',
        ),
        ("*" * (LONGEST + 1), f"more than {LONGEST} characters"),
    ],
)
def test_what_cannot_be_followed(schedule: str, why: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse(schedule)
    assert str(refused.value) == FAILED + why


def test_nothing_follows_from_a_number_of_many_digits() -> None:
    with pytest.raises(ScheduleError):
        parse(f"{'9' * 900} * * * *")


fields = st.tuples(
    st.sets(st.integers(0, 59), min_size=1, max_size=3),
    st.sets(st.integers(0, 23), min_size=1, max_size=3),
    st.just(None) | st.sets(st.integers(1, 31), min_size=1, max_size=3),
    st.just(None) | st.sets(st.integers(1, 12), min_size=1, max_size=3),
    st.just(None) | st.sets(st.integers(0, 6), min_size=1, max_size=3),
)
ZONES = st.sampled_from([ZoneInfo("UTC"), BERLIN, NEW_YORK, SAO_PAULO, ZoneInfo("Australia/Lord_Howe")])


@given(fields, st.datetimes(datetime(2015, 1, 1), datetime(2027, 1, 1)), ZONES)
def test_the_first_minute_at_which_the_clock_shows_it(
    given_fields: tuple[set[int] | None, ...], at: datetime, zone: ZoneInfo
) -> None:
    """It matches, and no minute of the three hours before it does."""
    text = " ".join("*" if field is None else ",".join(map(str, sorted(field))) for field in given_fields)
    after = at.replace(tzinfo=UTC).timestamp()
    found = parse(text).next_after(after, zone)
    if found is None:
        return
    assert found > after
    assert _shows(given_fields, found, zone)
    for minutes in range(1, 180):
        before = found - 60 * minutes
        if before > after:
            assert not _shows(given_fields, before, zone)


def _shows(given_fields: tuple[set[int] | None, ...], second: float, zone: ZoneInfo) -> bool:
    minutes, hours, days, months, weekdays = given_fields
    local = datetime.fromtimestamp(second, zone)
    of_month, of_week = days is None or local.day in days, weekdays is None or local.isoweekday() % 7 in weekdays
    day = (of_month or of_week) if days is not None and weekdays is not None else of_month and of_week
    assert minutes is not None
    assert hours is not None
    return day and local.minute in minutes and local.hour in hours and (months is None or local.month in months)


def test_what_never_comes_is_found_out_quickly() -> None:
    """Days and months are looked at, not minutes."""
    looked_at = 0

    class Counting(ZoneInfo):
        def fromutc(self, dt: datetime) -> datetime:  # type: ignore[override]
            nonlocal looked_at
            looked_at += 1
            return dt.replace(tzinfo=self) + timedelta(0)

        def utcoffset(self, dt: datetime | None) -> timedelta:
            return timedelta(0)

    assert parse("* * 30 2 *").next_after(0, Counting("UTC")) is None
    assert looked_at == 0
    assert parse("* * 29 2 *").next_after(86_400 * 1155, Counting("UTC")) is not None  # after that of 1972 + 1 year
    assert looked_at < 400

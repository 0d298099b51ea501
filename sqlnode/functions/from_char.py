"""to_date() and to_timestamp(): reading text by a template.

Source: PostgreSQL docs, section 9.8; src/backend/utils/adt/formatting.c (DCH_from_char,
do_to_timestamp).
"""

import re
from typing import Any, Final

from pgwire.codecs.calendar import days_from_ymd, days_in_month
from pgwire.datum import MICROS_PER_DAY, MICROS_PER_SECOND, PG_EPOCH_JULIAN
from pgwire.errors import DatetimeFieldOverflow, FeatureNotSupported, InvalidDatetimeFormat
from sqlnode.functions.casts import timestamp_in_range
from sqlnode.functions.datetime_parts import iso_week_start
from sqlnode.functions.define import STABLE, function
from sqlnode.functions.format_tokens import Token, tokens_of
from sqlnode.functions.to_char import DAYS, MONTHS, ROMAN

_WIDTHS: Final = {
    "HH24": 2, "HH12": 2, "HH": 2, "MI": 2, "SS": 2, "MS": 3, "US": 6, "SSSS": 5, "SSSSS": 5,
    "MM": 2, "DDD": 3, "DD": 2, "D": 1, "ID": 1, "IDDD": 3, "W": 1, "WW": 2, "IW": 2, "CC": 2,
    "J": 10, "Q": 1, "YYYY": 4, "YYY": 3, "YY": 2, "Y": 1, "IYYY": 4, "IYY": 3, "IY": 2, "I": 1,
    "FF1": 1, "FF2": 2, "FF3": 3, "FF4": 4, "FF5": 5, "FF6": 6,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[+-]?\d+")
_FRACTIONS: Final = frozenset(("MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6"))


class _Reader:
    """One text read along one template; values gather in `found`."""

    def __init__(self, text: str, template: str) -> None:
        self.text, self.at = text, 0
        self.tokens = tokens_of(template)
        self.found: dict[str, int] = {}
        self.is_exact = any(token.name == "FX" for token in self.tokens)
        self.skipped = 0

    def run(self) -> dict[str, int]:
        for index, token in enumerate(self.tokens):
            if self.at >= len(self.text):
                break
            if not token.name:
                self._literal(token)
            elif token.name != "FX":
                if not self.is_exact:
                    self._blanks()
                self._field(token, index)
        return self.found

    def _blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
            self.skipped += 1

    def _literal(self, token: Token) -> None:
        if token.quoted or token.word.isalnum():
            if not token.quoted:
                self._blanks()
            self.at += len(token.word)
            return
        # A separator matches any separator; blanks before it do not count.
        if not self.is_exact:
            self._blanks()
        character = self.text[self.at : self.at + 1]
        if (character and not character.isalnum() and character not in "+-") or (
            character == "-" and token.word in "+-/.,;: "
        ):
            self.at += 1
        if not self.is_exact:
            self._blanks()

    def _field(self, token: Token, index: int) -> None:
        name = token.name
        if name in ("AM", "PM", "A.M.", "P.M."):
            self._word(("am", "pm", "a.m.", "p.m."), "half", token)
            self.found["half"] %= 2
        elif name in ("AD", "BC", "A.D.", "B.C."):
            self._word(("ad", "bc", "a.d.", "b.c."), "era", token)
            self.found["era"] %= 2
        elif name in ("MONTH", "MON"):
            names = MONTHS if name == "MONTH" else tuple(m[:3] for m in MONTHS)
            self._word(names, "MM", token)
            self.found["MM"] += 1
        elif name in ("DAY", "DY"):
            self._word(DAYS if name == "DAY" else tuple(d[:3] for d in DAYS), "D", token)
            self.found["D"] += 1
        elif name == "RM":
            self._word(tuple(sorted(ROMAN, key=len, reverse=True)), "RM", token)
            order = sorted(ROMAN, key=len, reverse=True)
            self.found["MM"] = ROMAN.index(order[self.found.pop("RM")]) + 1
        elif name in ("TZH", "TZM"):
            self._zone(name)
        elif name in ("TZ", "OF"):
            raise FeatureNotSupported(
                f'formatting field "{token.word}" is only supported in to_char'
            )
        elif name == "Y,YYY":
            self._thousands()
        else:
            self._number(token, index)

    def _word(self, names: tuple[str, ...], key: str, token: Token) -> None:
        rest = self.text[self.at :].lower()
        for index, name in enumerate(names):
            if rest.startswith(name.lower()):
                self.found[key] = index
                self.at += len(name)
                return
        shown = self.text[self.at : self.at + max(map(len, names))]
        raise InvalidDatetimeFormat(
            f'invalid value "{shown}" for "{token.word}"',
            detail="The given value did not match any of the allowed values for this field.",
        )

    def _zone(self, name: str) -> None:
        match = re.match(r"[+-]?\d{1,2}", self.text[self.at :])
        if match is None:
            raise InvalidDatetimeFormat(f'invalid value "{self.text[self.at :]}" for "{name}"')
        self.found[name] = abs(int(match[0]))
        if name == "TZH":
            self.found["TZS"] = -1 if match[0][0] == "-" else 1
        self.at += len(match[0])

    def _thousands(self) -> None:
        match = re.match(r"(\d+),(\d{3})", self.text[self.at :])
        if match is None:
            raise InvalidDatetimeFormat('invalid input string for "Y,YYY"')
        self.found["year"] = int(match[1]) * 1_000 + int(match[2])
        self.at += len(match[0])

    def _number(self, token: Token, index: int) -> None:
        name = token.name
        width = _WIDTHS[name]
        is_last = index + 1 >= len(self.tokens)
        follows_digits = not is_last and self.tokens[index + 1].name in _WIDTHS
        source = self.text[self.at :]
        limit = width if follows_digits and token.fill else len(source)
        match = _INTEGER.match(source[:limit] if limit < len(source) else source)
        if match is None:
            raise InvalidDatetimeFormat(
                f'invalid value "{source[:width]}" for "{token.word}"',
                detail="Value must be an integer.",
            )
        text = match[0]
        self.at += len(text)
        if token.ordinal:
            self.at += 2
        self._store(name, text)

    def _store(self, name: str, text: str) -> None:
        if name in _FRACTIONS:
            width = _WIDTHS[name]
            digits = text.lstrip("+-")[:width]
            self.found["US"] = self.found.get("US", 0) + int(digits.ljust(6, "0"))
        elif name in ("YYYY", "YYY", "YY", "Y"):
            self.found["year"] = _full_year(int(text), len(text.lstrip("+-")), name)
        elif name in ("IYYY", "IYY", "IY", "I"):
            self.found["isoyear"] = _full_year(int(text), len(text.lstrip("+-")), "Y" * len(name))
        elif name in ("HH", "HH12"):
            if not 1 <= int(text) <= 12:
                raise InvalidDatetimeFormat(
                    f'hour "{int(text)}" is invalid for the 12-hour clock',
                    hint="Use the 24-hour clock, or give an hour between 1 and 12.",
                )
            self.found["HH12"] = int(text)
        else:
            self.found[name] = int(text)


def _full_year(value: int, digits: int, name: str) -> int:
    """Complete a short year to the one nearest 2020."""
    if name == "YYYY" or digits >= 4:
        return value
    if value < 70:
        return value + 2_000
    if value < 100:
        return value + 1_900
    if value < 520:
        return value + 2_000
    return value + 1_000 if value < 1_000 else value


def _clock(found: dict[str, int]) -> int:
    if "SSSS" in found or "SSSSS" in found:
        seconds = found.get("SSSS", found.get("SSSSS", 0))
        return seconds * MICROS_PER_SECOND + found.get("US", 0)
    hour = found.get("HH24", 0)
    if "HH12" in found:
        hour = found["HH12"] % 12 + (12 if found.get("half") else 0)
        if "half" not in found:
            hour = found["HH12"] % 12
    minute, second = found.get("MI", 0), found.get("SS", 0)
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        raise _overflow()
    return ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + found.get("US", 0)


def _overflow(text: str = "") -> DatetimeFieldOverflow:
    return DatetimeFieldOverflow(f'date/time field value out of range: "{text}"')


def _year(found: dict[str, int]) -> int:
    """Return the year, 0 for 1 BC; without any the year is 1 BC too, as in PostgreSQL."""
    year = found.get("year")
    if year is None:
        return found["CC"] * 100 - 99 if "CC" in found else 0
    if found.get("era"):
        return 1 - year
    return year + 1 if year < 0 else year


def _day(found: dict[str, int]) -> int:
    if "J" in found:
        return found["J"] - PG_EPOCH_JULIAN
    if "isoyear" in found:
        monday = iso_week_start(found["isoyear"], found.get("IW", 1))
        if "IDDD" in found:
            return iso_week_start(found["isoyear"], 1) + found["IDDD"] - 1
        return monday + (found.get("ID", found.get("D", 2) - 1) or 7) - 1
    year = _year(found)
    if "DDD" in found:
        length = 366 if days_in_month(year, 2) == 29 else 365
        if not 1 <= found["DDD"] <= length:
            raise _overflow()
        return days_from_ymd(year, 1, 1) + found["DDD"] - 1
    if "WW" in found:
        return days_from_ymd(year, 1, 1) + (found["WW"] - 1) * 7
    month, day = found.get("MM", 1), found.get("DD", 1)
    if "W" in found and "DD" not in found:
        day = (found["W"] - 1) * 7 + 1
    if not 1 <= month <= 12 or not 1 <= day <= days_in_month(year, month):
        raise _overflow()
    return days_from_ymd(year, month, day)


def _read(text: str, template: str) -> tuple[int, int, dict[str, int]]:
    found = _Reader(text, template).run()
    try:
        return _day(found), _clock(found), found
    except DatetimeFieldOverflow:
        raise _overflow(text) from None


def _to_date(text: str, template: str) -> int:
    return _read(text, template)[0]


def _to_timestamp(ctx: Any, text: str, template: str) -> int:
    days, clock, found = _read(text, template)
    local = days * MICROS_PER_DAY + clock
    if "TZH" in found:
        offset_s = found["TZS"] * (found["TZH"] * 3_600 + found.get("TZM", 0) * 60)
    else:
        offset_s = ctx.settings.zone.offset_s_of_local(local)
    return timestamp_in_range(local - offset_s * MICROS_PER_SECOND)


function("to_date(text, text) date", _to_date, volatility=STABLE)
function("to_timestamp(text, text) timestamptz", _to_timestamp, volatility=STABLE,
         needs_context=True)  # fmt: skip

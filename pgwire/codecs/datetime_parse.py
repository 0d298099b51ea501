"""Work out which token of a date or time is the year, the month, the day, the clock, the zone.

Source: PostgreSQL's DecodeDateTime, DecodeDate, DecodeNumber, DecodeNumberField, DecodeTime,
DecodeTimezone and ValidateDate (src/backend/utils/adt/datetime.c), same order of decisions.
"""

from typing import Final

from pgwire.codecs.calendar import days_from_ymd, days_in_month, ymd_from_days
from pgwire.codecs.date_tokens import (
    IGNORED,
    MONTHS,
    BadFormatError,
    FieldOverflowError,
    Token,
    TokenKind,
    ZoneOverflowError,
    fraction_micros,
)
from pgwire.codecs.zones import ABBREVIATIONS, Zone, find_zone, zone_by_name
from pgwire.datum import (
    MICROS_PER_DAY,
    MICROS_PER_HOUR,
    MICROS_PER_MINUTE,
    MICROS_PER_SECOND,
    PG_EPOCH_JULIAN,
    UNIX_TO_PG_DAYS,
)
from pgwire.errors import InvalidParameterValue

YEAR: Final = 1
MONTH: Final = 2
DAY: Final = 4
TIME: Final = 8
TZ: Final = 16
YMD: Final = YEAR | MONTH | DAY

_RELATIVE_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}


class DateTimeFields:
    """What has been found so far. `seen` is the set of fields as a bit mask."""

    def __init__(self, date_order: str, local_now_micros: int, *, is_time_only: bool) -> None:
        self.date_order = date_order
        self.local_now_micros = local_now_micros
        self.is_time_only = is_time_only
        self.seen = 0
        self.year = self.month = self.day = 0
        self.clock_micros = 0
        self.hour = 0
        self.offset_s: int | None = None
        self.zone: Zone | None = None
        self.infinity = 0
        self.is_now = False
        self.is_bc = False
        self.meridian = ""
        self.is_julian = False
        self.has_short_year = False
        self.has_text_month = False
        self.prefix = ""

    def read(self, tokens: list[Token]) -> None:
        """Take every token, then check the whole. Raises: BadFormatError and its kin."""
        for token in tokens:
            if token.kind is TokenKind.DATE:
                found = self._date_token(token.text)
            elif token.kind is TokenKind.TIME:
                found = self._clock(token.text)
            elif token.kind is TokenKind.TZ:
                found = self._displacement(token.text)
            elif token.kind is TokenKind.NUMBER:
                found = self._number_token(token.text)
            else:
                found = self._word(token.text)
            if found & self.seen:
                raise BadFormatError
            self.seen |= found
        if self.prefix or (not self.seen and not self.infinity):
            raise BadFormatError
        self._validate()

    def _date_token(self, text: str) -> int:
        if self.prefix == "j":
            self.prefix = ""
            return self._julian(text)
        if (
            self.seen & YMD == YMD
            or self.prefix == "t"
            or (self.is_time_only and not text[0].isdigit())
        ):
            if text[0].isdigit():
                return self._run_on_time(text)
            return self._zone_name(text)
        return self._date(text)

    def _run_on_time(self, text: str) -> int:
        """Read '101112-08', the clock and displacement of a compact ISO timestamp."""
        digits, _, displacement = text.partition("-")
        if not displacement:
            raise BadFormatError
        self.prefix = ""
        return self._number_field(digits, self.seen | YMD) | self._displacement("-" + displacement)

    def _zone_name(self, text: str) -> int:
        try:
            zone = zone_by_name(text)
        except InvalidParameterValue:
            raise BadFormatError from None
        self.zone = zone
        return TZ

    def _julian(self, text: str) -> int:
        if not text.isdigit() or len(text) > 10:
            raise BadFormatError
        self.year, self.month, self.day = ymd_from_days(int(text) - PG_EPOCH_JULIAN)
        self.is_julian = True
        return YMD

    def _date(self, text: str) -> int:
        parts: list[str] = []
        for character in text:
            kind = "d" if character.isdigit() else "a" if character.isalpha() else ""
            if not kind:
                parts.append("")
            elif parts and parts[-1] and (parts[-1][-1].isdigit() == (kind == "d")):
                parts[-1] += character
            else:
                parts.append(character)
        numbers: list[str] = []
        found = 0
        for part in (part for part in parts if part):
            if part.isdigit():
                numbers.append(part)
            elif part in MONTHS and not found:
                self.month = MONTHS[part]
                self.has_text_month = True
                found = MONTH
            elif part not in IGNORED:
                raise BadFormatError
        for number in numbers:
            new = self._number(number, self.seen | found)
            if new & found:
                raise BadFormatError
            found |= new
        if (self.seen | found) & YMD != YMD:
            raise BadFormatError
        return found

    def _number_token(self, text: str) -> int:
        if self.prefix == "j":
            self.prefix = ""
            return self._julian(text)
        if self.prefix == "t":
            self.prefix = ""
            return self._number_field(text, self.seen | YMD)
        whole, point, _ = text.partition(".")
        if self.is_time_only and not point and len(text) in (4, 6) and not self.seen & TIME:
            return self._number_field(text, self.seen | YMD)
        if point and not self.seen & YMD and not (self.is_time_only and len(whole) > 2):
            return self._date(text)
        if point and len(whole) > 2:
            return self._number_field(text, self.seen)
        has_room = self.seen & YMD == 0 or not self.seen & TIME
        if len(text) >= 6 and has_room:
            return self._number_field(text, self.seen)
        return self._number(text, self.seen)

    def _number_field(self, text: str, seen: int) -> int:
        """Read a run of digits: YYYYMMDD, YYMMDD, HHMMSS[.fff] or HHMM."""
        whole, point, fraction = text.partition(".")
        if len(whole) > 12 or not whole.isdigit():
            raise BadFormatError
        if not point and seen & YMD != YMD and len(whole) >= 6:
            self.year, self.month, self.day = int(whole[:-4]), int(whole[-4:-2]), int(whole[-2:])
            self.has_short_year = len(whole) == 6
            return YMD
        if not seen & TIME and len(whole) in (4, 6):
            micros = fraction_micros("." + fraction) if point else 0
            seconds = int(whole[4:] or 0)
            return self._set_clock(int(whole[:2]), int(whole[2:4]), seconds, micros)
        raise BadFormatError

    def _number(self, text: str, seen: int) -> int:
        whole, point, _ = text.partition(".")
        if point:
            if len(whole) > 2:
                return self._number_field(text, seen)
            raise BadFormatError
        if not text.isdigit() or len(text) > 9:
            raise BadFormatError
        value, have = int(text), seen & YMD
        if len(text) == 3 and have == YEAR and 1 <= value <= 366:
            days = days_from_ymd(self.year, 1, 1) + value - 1
            _, self.month, self.day = ymd_from_days(days)
            return MONTH | DAY
        is_year_like = len(text) >= 3 or self.date_order == "YMD"
        if have == 0:
            field = YEAR if is_year_like else DAY if self.date_order == "DMY" else MONTH
        elif have == MONTH:
            field = YEAR if self.has_text_month and is_year_like else DAY
        elif have == YEAR | MONTH:
            if self.has_text_month and len(text) >= 3 and self.has_short_year:
                self.day, self.year, self.has_short_year = self.year, value, False
                return DAY
            field = DAY
        elif have in (YEAR, DAY):
            field = MONTH
        elif have == MONTH | DAY:
            field = YEAR
        elif have == YMD:
            return self._number_field(text, seen)
        else:
            raise BadFormatError
        return self._set_date_field(field, value, len(text))

    def _set_date_field(self, field: int, value: int, length: int) -> int:
        if field == YEAR:
            self.year = value
            self.has_short_year = length <= 2
        elif field == MONTH:
            self.month = value
        else:
            self.day = value
        return field

    def _clock(self, text: str) -> int:
        if self.prefix == "t":
            self.prefix = ""
        whole, point, fraction = text.partition(".")
        parts = whole.split(":")
        if len(parts) > 3 or any(not p.isdigit() or len(p) > 9 for p in parts):
            raise BadFormatError
        micros = fraction_micros("." + fraction) if point else 0
        values = [int(part) for part in parts]
        if len(values) == 2:
            values = [0, *values] if point else [*values, 0]
        return self._set_clock(values[0], values[1], values[2], micros)

    def _set_clock(self, hour: int, minute: int, second: int, micros: int) -> int:
        if minute > 59 or second > 60 or hour > 24:
            raise FieldOverflowError
        self.hour = hour
        self.clock_micros = (
            hour * MICROS_PER_HOUR
            + minute * MICROS_PER_MINUTE
            + second * MICROS_PER_SECOND
            + micros
        )
        if self.clock_micros > MICROS_PER_DAY:
            raise FieldOverflowError
        return TIME

    def _displacement(self, text: str) -> int:
        parts = text[1:].split(":")
        if any(not p.isdigit() or len(p) > 9 for p in parts) or len(parts) > 3:
            raise BadFormatError
        if len(parts) == 1 and len(text) > 3:
            run = parts[0]
            parts = [run[:-2], run[-2:]] if len(run) <= 4 else [run[:-4], run[-4:-2], run[-2:]]
        hours, minutes, seconds = [int(part) for part in parts] + [0] * (3 - len(parts))
        if hours > 15 or minutes > 59 or seconds > 59:
            raise ZoneOverflowError
        offset = hours * 3_600 + minutes * 60 + seconds
        self.offset_s = -offset if text[0] == "-" else offset
        return TZ

    def _word(self, word: str) -> int:
        if word in MONTHS:
            found = MONTH
            if self.seen & MONTH and not self.has_text_month and not self.seen & DAY:
                self.day, found = self.month, DAY
            self.month = MONTHS[word]
            self.has_text_month = True
            return found
        if word in IGNORED:
            return 0
        if word in ("am", "pm"):
            self.meridian = word
        elif word in ("bc", "ad"):
            self.is_bc = word == "bc"
        elif word in ("t", "j", "jd", "julian"):
            if self.prefix or (word == "t" and self.seen & YMD != YMD and not self.is_time_only):
                raise BadFormatError
            self.prefix = word[0]
        else:
            return self._reserved(word)
        return 0

    def _reserved(self, word: str) -> int:
        if word in ("infinity", "-infinity", "+infinity"):
            self.infinity = -1 if word[0] == "-" else 1
            return YMD | TIME | TZ
        today = self.local_now_micros // MICROS_PER_DAY
        if word == "now":
            self.is_now = True
            self.year, self.month, self.day = ymd_from_days(today)
            self.clock_micros = self.local_now_micros % MICROS_PER_DAY
            self.hour = self.clock_micros // MICROS_PER_HOUR
            self.is_julian = True
            return YMD | TIME | TZ
        if word in _RELATIVE_DAYS:
            self.year, self.month, self.day = ymd_from_days(today + _RELATIVE_DAYS[word])
            self.is_julian = True
            return YMD
        if word == "epoch":
            self.year, self.month, self.day = ymd_from_days(-UNIX_TO_PG_DAYS)
            self.is_julian = True
            self.offset_s = 0
            return YMD | TIME | TZ
        if word == "allballs":
            self.offset_s = 0
            return TIME | TZ
        return self._zone_word(word)

    def _zone_word(self, word: str) -> int:
        if (minutes := ABBREVIATIONS.get(word)) is not None:
            self.offset_s = minutes * 60
            return TZ
        zone = find_zone(word)
        if zone is None:
            raise BadFormatError
        self.zone = zone
        return TZ

    def _validate(self) -> None:
        if self.infinity:
            return
        if not self.is_time_only or self.seen & YMD:
            self._validate_date()
        if self.is_time_only and not self.seen & TIME:
            raise BadFormatError
        if self.meridian:
            if self.hour > 12:
                raise FieldOverflowError
            if self.meridian == "am" and self.hour == 12:
                self.clock_micros -= 12 * MICROS_PER_HOUR
            elif self.meridian == "pm" and self.hour != 12:
                self.clock_micros += 12 * MICROS_PER_HOUR

    def _validate_date(self) -> None:
        if not self.is_julian and self.seen & YEAR:
            if self.is_bc:
                if self.year <= 0:
                    raise FieldOverflowError
                self.year = 1 - self.year
            elif self.has_short_year:
                self.year += 2_000 if self.year < 70 else 1_900 if self.year < 100 else 0
            elif self.year <= 0:
                raise FieldOverflowError
        if self.seen & MONTH and not 1 <= self.month <= 12:
            raise FieldOverflowError(hint_order=True)
        if self.seen & DAY and not 1 <= self.day <= 31:
            raise FieldOverflowError(hint_order=True)
        if self.seen & YMD != YMD:
            raise BadFormatError
        if self.day > days_in_month(self.year, self.month):
            raise FieldOverflowError

    def days(self) -> int:
        """Return the day number found."""
        return days_from_ymd(self.year, self.month, self.day)

    def local_micros(self) -> int:
        """Return date and clock as local microseconds since 2000-01-01."""
        return self.days() * MICROS_PER_DAY + self.clock_micros

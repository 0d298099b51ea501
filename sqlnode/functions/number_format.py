"""to_char() and to_number() of numbers: 9, 0, decimal and group separators, signs.

The patterns PR, S, MI, PL, SG, L, V, EEEE, RN, TH, FM, D, G and literal text are known.

Source: PostgreSQL docs, section 9.8.3; src/backend/utils/adt/formatting.c (NUM_processor).
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pgwire.codecs.numerics import numeric_in
from pgwire.errors import FeatureNotSupported, InvalidTextRepresentation, SqlSyntaxError
from sqlnode.functions import decimals
from sqlnode.functions.define import STABLE, function

_TOKEN: Final = re.compile(
    r'"((?:[^"\\]|\\.)*)"?|(FM|EEEE|PR|MI|PL|SG|RN|TH|[SLVDG90.,])|\\?(.)', re.I | re.S
)


class Picture:
    """A parsed template: what is before and after the point, and how the sign shows."""

    def __init__(self, template: str) -> None:
        self.items: list[tuple[str, str]] = []
        for match in _TOKEN.finditer(template):
            text, word, character = match.groups()
            if word is None:
                self.items.append(("text", text if text is not None else character))
            else:
                name = {"D": ".", "G": ","}.get(word.upper(), word.upper())
                self.items.append((name, word))
        names = [name for name, _ in self.items]
        self.fill = "FM" not in names
        self.items = [item for item in self.items if item[0] != "FM"]
        self.names = [name for name, _ in self.items]
        point = self.names.index(".") if "." in self.names else len(self.names)
        if self.names.count(".") > 1:
            raise SqlSyntaxError("multiple decimal points")
        shift = self.names.index("V") if "V" in self.names else None
        self.shift = sum(n in ("9", "0") for n in self.names[shift:]) if shift is not None else 0
        self.whole = sum(n in ("9", "0") for n in self.names[:point])
        self.places = sum(n in ("9", "0") for n in self.names[point:])
        self.point = point
        digits = [n for n in self.names[:point] if n in ("9", "0")]
        self.first_zero = digits.index("0") if "0" in digits else len(digits)
        tail = [n for n in self.names[point:] if n in ("9", "0")]
        self.last_zero = len(tail) - tail[::-1].index("0") if "0" in tail else 0


@lru_cache(maxsize=256)
def picture(template: str) -> Picture:
    """Parse a template. Raises: FeatureNotSupported, SqlSyntaxError."""
    parsed = Picture(template)
    if "EEEE" in parsed.names and any(
        n in ("V", "RN", "S", "MI", "PL", "SG") for n in parsed.names
    ):
        raise FeatureNotSupported("this combination with EEEE in a number format is not supported")
    return parsed


_ROMANS: Final = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
                  (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"),
                  (1, "I"))  # fmt: skip


def _roman(value: Decimal, spec: Picture, word: str) -> str:
    number = int(decimals.rounded(value, 0)) if value.is_finite() else 0
    if not 1 <= number <= 3999:
        text = "#" * 15
    else:
        text = ""
        for size, letters in _ROMANS:
            text += letters * (number // size)
            number %= size
        text = text.rjust(15) if spec.fill else text
    return text.lower() if word[0] == "r" else text


def _scientific(value: Decimal, spec: Picture) -> str:
    if not value.is_finite():
        return " " + "#" * (spec.places + 7)
    shown = f"{value:.{spec.places}e}" if value else f"{0:.{spec.places}e}"
    mantissa, _, exponent = shown.partition("e")
    power = int(exponent)
    text = f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return text if value < 0 or not spec.fill else " " + text


def format_number(value: Decimal, template: str) -> str:
    """Print a number by a template."""
    spec = picture(template)
    if not value.is_finite():
        raise FeatureNotSupported("to_char of NaN and infinite numbers is not supported")
    if "RN" in spec.names:
        return _roman(value, spec, next(word for name, word in spec.items if name == "RN"))
    if "EEEE" in spec.names:
        return _scientific(value, spec)
    return _Writer(spec, value).run()


class _Writer:
    """Prints one number: digits are placed from the template's left to its right."""

    def __init__(self, spec: Picture, value: Decimal) -> None:
        self.spec = spec
        if value.is_finite() and spec.shift:
            value = value.scaleb(spec.shift, decimals.EXACT)
        rounded = decimals.rounded(value, spec.places) if value.is_finite() else value
        self.is_negative = rounded < 0 if not rounded.is_nan() else False
        whole, _, places = format(abs(rounded), "f").partition(".")
        whole = whole.lstrip("0") if rounded.is_finite() else ""
        self.is_overflow = max(len(whole), spec.whole == 0) > spec.whole
        if self.is_overflow:
            whole, places = "#" * spec.whole, "#" * spec.places
        self.whole, self.places = whole.rjust(spec.whole), places
        self.out: list[str] = []
        self.sign_done = any(n in ("S", "MI", "SG", "PR") for n in spec.names)
        self.has_shown = False
        self.sign_at = 0  # where the first digit or the point went

    def run(self) -> str:
        spec = self.spec
        if not spec.fill:
            self._trim()
        digit_at = 0
        for index, (name, word) in enumerate(spec.items):
            if name in ("9", "0"):
                if index < spec.point:
                    self._whole_digit(digit_at)
                else:
                    self._place(digit_at - spec.whole)
                digit_at += 1
            elif name == ",":
                self._group()
            elif name == ".":
                self._point()
            else:
                self._other(name, word, index)
        return self._signed()

    def _trim(self) -> None:
        self.places = self.places.rstrip("0").ljust(self.spec.last_zero, "0")

    def _whole_digit(self, at: int) -> None:
        character = self.whole[at] if at < len(self.whole) else " "
        spec = self.spec
        if character == " " and (at >= spec.first_zero or self._needs_zero(at)):
            character = "0"
        if character != " ":
            self._start()
            self.out.append(character)
        elif spec.fill:
            self.out.append(" ")

    def _needs_zero(self, at: int) -> bool:
        """Whether the last place before the point shows the zero of a number below one."""
        if at != self.spec.whole - 1:
            return False
        return not self.spec.places or (not self.spec.fill and not self.places)

    def _start(self) -> None:
        if not self.has_shown:
            self.has_shown = True
            self.sign_at = len(self.out)

    def _place(self, at: int) -> None:
        if at < len(self.places):
            self._start()
            self.out.append(self.places[at])

    def _group(self) -> None:
        if self.has_shown:
            self.out.append(",")
        elif self.spec.fill:
            self.out.append(" ")

    def _point(self) -> None:
        self._start()
        if self.places or self.spec.fill or self.spec.places == 0 or not self.places:
            self.out.append(".")

    def _other(self, name: str, word: str, index: int) -> None:
        spec = self.spec
        if name == "S":
            self.out.append(
                "\1" if index < self._first_digit() else "-" if self.is_negative else "+"
            )
        elif name == "MI":
            self.out.append("-" if self.is_negative else " " if spec.fill else "")
        elif name == "PL":
            self.out.append(
                " " if self.is_negative and spec.fill else "" if self.is_negative else "+"
            )
        elif name == "SG":
            self.out.append("-" if self.is_negative else "+")
        elif name == "L":
            self.out.append(" " if spec.fill else "")
        elif name == "TH":
            self._ordinal(word)
        elif name == "text":
            self.out.append(word)

    def _first_digit(self) -> int:
        return next((i for i, n in enumerate(self.spec.names) if n in ("9", "0")), 0)

    def _ordinal(self, word: str) -> None:
        if self.is_negative or self.spec.places or self.is_overflow:
            return
        number = int(self.whole.strip() or "0")
        last, tens = number % 10, number // 10 % 10
        text = "th" if tens == 1 else {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
        self.out.append(text.upper() if word[0] == "T" else text)

    def _signed(self) -> str:
        spec = self.spec
        if "PR" in spec.names:
            return self._angled("".join(self.out))
        sign = "-" if self.is_negative else " " if spec.fill else ""
        if "\1" in self.out:
            self.out.remove("\1")
            self.sign_at -= 1
            sign = "-" if self.is_negative else "+"
        elif self.sign_done:
            sign = ""
        self.out.insert(self.sign_at, sign)
        return "".join(self.out)

    def _angled(self, text: str) -> str:
        blanks = len(text) - len(text.lstrip(" "))
        body = text[blanks:]
        if self.is_negative:
            return " " * blanks + f"<{body}>"
        return " " * blanks + (f" {body} " if self.spec.fill else body)


def _of_float(digits: int) -> Callable[[float, str], str]:
    def run(value: float, template: str) -> str:
        if not math.isfinite(value):
            return format_number(Decimal(value), template)
        whole = len(str(int(abs(value))))
        places = max(digits - whole, 0)
        spec = picture(template)
        exact = Decimal(value)
        if spec.places > places:
            exact = decimals.rounded(exact, places)
        return format_number(exact, template)

    return run


def _of_integer(value: int, template: str) -> str:
    return format_number(Decimal(value), template)


function("to_char(numeric, text) text", format_number, volatility=STABLE)
function("to_char(int4, text) text", _of_integer, volatility=STABLE)
function("to_char(int8, text) text", _of_integer, volatility=STABLE)
function("to_char(float4, text) text", _of_float(6), volatility=STABLE)
function("to_char(float8, text) text", _of_float(15), volatility=STABLE)


def _to_number(text: str, template: str) -> Decimal:
    spec = picture(template)
    sign = "-" if "-" in text or (text.strip().startswith("<") and "PR" in spec.names) else ""
    digits = re.sub(r"[^0-9.]", "", text)
    whole, _, places = digits.partition(".")
    places = places.replace(".", "")[: spec.places]
    whole = whole[: spec.whole]
    if not whole and not places:
        raise InvalidTextRepresentation(
            f'invalid input syntax for type numeric: "{text.strip() or " "}"'
        )
    value = numeric_in(f"{sign}{whole or '0'}" + (f".{places}" if places else ""))
    if spec.shift:
        return decimals.divide(value, Decimal(10**spec.shift))
    return value


def _number_checked(text: str, template: str) -> Any:
    return _to_number(text, template) if text else None


function("to_number(text, text) numeric", _number_checked, volatility=STABLE)

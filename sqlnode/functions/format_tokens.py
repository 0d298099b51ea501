"""The template patterns of to_char, to_date and to_timestamp, split into tokens.

Source: PostgreSQL docs, section 9.8; src/backend/utils/adt/formatting.c (DCH_keywords).
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

_KEYWORDS: Final = (
    "A.D. A.M. AD AM B.C. BC CC DAY DDD DD DY D FF1 FF2 FF3 FF4 FF5 FF6 FX HH24 HH12 HH IDDD ID IW "
    "IYYY IYY IY I J MI MM MONTH MON MS OF P.M. PM Q RM SSSSS SSSS SS TZH TZM TZ US WW W Y,YYY "
    "YYYY YYY YY Y"
)
_NAMES: Final = sorted(_KEYWORDS.split(), key=len, reverse=True)
_TOKEN: Final = re.compile(
    r'"((?:[^"\\]|\\.)*)"?|(FM|TM)|(' + "|".join(map(re.escape, _NAMES)) + r")(TH)?|\\?(.)",
    re.DOTALL | re.IGNORECASE,
)


class Token(NamedTuple):
    """One pattern or piece of text. `word` keeps the template's case; `name` is upper case."""

    name: str  # "" for text
    word: str
    fill: bool = True  # False after FM
    ordinal: str = ""  # TH or th
    quoted: bool = False


@lru_cache(maxsize=512)
def tokens_of(template: str) -> tuple[Token, ...]:
    """Split a template."""
    out, fill = [], True
    for match in _TOKEN.finditer(template):
        quoted, prefix, word, ordinal, character = match.groups()
        if quoted is not None:
            out.append(Token("", re.sub(r"\\(.)", r"\1", quoted), quoted=True))
        elif prefix is not None:
            fill = fill and prefix.upper() != "FM"
            continue
        elif word is not None:
            out.append(Token(word.upper(), word, fill, ordinal or ""))
        else:
            out.append(Token("", character))
        fill = True
    return tuple(out)

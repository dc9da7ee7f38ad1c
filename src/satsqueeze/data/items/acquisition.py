"""When an image was taken, as one short text: ``2018-05-06``, or a day of the year such as ``126`` or ``126.5``."""

from __future__ import annotations

import re
from datetime import date

from satsqueeze.core.errors import CardError
from satsqueeze.data.scene.product_date import acquired_in

_CALENDAR = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:T.*)?\Z")
_LAST_DAY = 367.0


def normal_date(text: str) -> str:
    """A date as ``YYYY-MM-DD``, or a day of the year as it is.

    Args:
        text: ``20180506``, ``2018-05-06``, either with a time behind ``T``, or a day of the year in [1, 367).

    Raises:
        CardError: anything else.
    """
    found = _CALENDAR.match(text.strip())
    try:
        if found:
            return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
        if 1 <= float(text) < _LAST_DAY:
            return text.strip()
    except ValueError:
        pass
    raise CardError(
        f"{text!r} is no date; expected 20180506, 2018-05-06 or a day of the year from 1 to 366. Correct 'date' in the "
        "card, or the table of dates"
    )


def date_in_name(name: str) -> str:
    """The date that the name of a Sentinel-2 or Landsat product or file states; empty where it states none."""
    moment = acquired_in(name)
    return "" if moment is None else moment.date().isoformat()


def day_of_year(text: str) -> float:
    """Day of the year, counted from 1, of a date as :func:`normal_date` gives it.

    Raises:
        CardError: not such a date.
    """
    normal = normal_date(text)
    return float(date.fromisoformat(normal).timetuple().tm_yday) if "-" in normal else float(normal)

"""Numbers as people read them: thousands apart, honest digits, and a word where there is no number."""

import math

ABSENT = "–"


def count(value: float | None) -> str:
    """A whole number with its thousands apart, or a dash for None.

    >>> count(266200), count(None)
    ('266,200', '–')
    """
    return ABSENT if value is None else _word(value) or f"{value:,.0f}"


def error_rate(percent: float | None) -> str:
    """A percentage with two decimals: one example in ten thousand shows.

    >>> error_rate(1.7), error_rate(float("nan"))
    ('1.70 %', 'not a number')
    """
    return ABSENT if percent is None else _word(percent) or f"{percent:.2f} %"


def share(fraction: float) -> str:
    """A fraction in [0, 1] as a percentage that says 100 (or 0) only if it is exactly that.

    >>> share(0.95), share(0.99996), share(1.0)
    ('95.0 %', '99.996 %', '100 %')
    """
    if fraction in (0.0, 1.0):
        return f"{fraction:.0%}".replace("%", " %")
    digits = next((d for d in range(1, 7) if 0 < float(f"{100 * fraction:.{d}f}") < 100), 7)
    return f"{100 * fraction:.{digits}f} %"


def fraction(value: float) -> str:
    """A fraction with at least three decimals, and as many more as keep it from reading 1 or 0.

    >>> fraction(0.95), fraction(0.99996), fraction(1.0), fraction(0)
    ('0.950', '0.99996', '1', '0')
    """
    if value in (0.0, 1.0):
        return f"{value:.0f}"
    digits = next((d for d in range(3, 9) if 0 < float(f"{value:.{d}f}") < 1), 9)
    return f"{value:.{digits}f}"


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two unequal fractions with as many decimals, three or more, as it takes to see which is larger.

    >>> told_apart(0.95, 0.9501)
    ('0.9500', '0.9501')
    """
    digits = next((d for d in range(3, 9) if f"{one:.{d}f}" != f"{other:.{d}f}"), 9)
    return f"{one:.{digits}f}", f"{other:.{digits}f}"


def times(ratio: float | None) -> str:
    """A ratio as a factor with three significant digits, thousands apart.

    >>> times(19.4), times(1.0), times(20331.0), times(float("inf"))
    ('19.4×', '1.00×', '20,331×', '∞')
    """
    if ratio is None:
        return ABSENT
    return _word(ratio) or f"{_three_digits(ratio)}×"


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it, three significant digits.

    >>> duration(0.0011), duration(61.2), duration(9000.0)
    ('1.10 ms', '61.2 s', '2 h 30 min')
    """
    if seconds is None:
        return ABSENT
    if word := _word(seconds):
        return word
    if seconds >= 600:
        minutes = round(seconds / 60)
        return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    unit, size = next((u for u in (("s", 1.0), ("ms", 1e-3)) if seconds >= u[1]), ("µs", 1e-6))
    return f"{_three_digits(seconds / size)} {unit}"


def _three_digits(value: float) -> str:
    whole = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(0, 2 - whole), 9)}f}"


def _word(value: float) -> str:
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return ""

"""Amounts as people read them."""

from __future__ import annotations

_STEP = 1000
_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_text(size_bytes: int) -> str:
    """A size in decimal units with three significant digits, such as `12.3 kB`."""
    value, unit = float(size_bytes), 0
    # 999.5 would be written as 1000, which belongs to the next unit.
    while value >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    if unit == 0:
        return f"{size_bytes} B"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def seconds_text(duration_s: float) -> str:
    """A duration such as `0.84 s`, `12.3 s` or `2 min 05 s`."""
    if duration_s < 9.995:
        return f"{duration_s:.2f} s"
    if duration_s < 59.95:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    return f"{minutes} min {seconds:02d} s"

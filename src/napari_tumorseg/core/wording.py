"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["ml_text"]

_LEAST_ML = 0.0001


def ml_text(volume_ml: float) -> str:
    """Return a volume as the user reads it: two significant places below 0.1 mL, two decimals below 10 mL, no exponent ever.

    Parameters
    ----------
    volume_ml : float
        In millilitres, 0 or more.

    Returns
    -------
    str
        Without the unit.

    Examples
    --------
    >>> [ml_text(v) for v in (0.0, 0.004, 0.4, 2.5, 12.34, 110.2, 1234.0)]
    ['0', '0.004', '0.40', '2.50', '12.3', '110', '1234']
    >>> ml_text(0.00002)
    '<0.0001'
    """
    if volume_ml >= 99.95:
        return f"{volume_ml:.0f}"
    if volume_ml >= 9.995:
        return f"{volume_ml:.1f}"
    if volume_ml >= 0.0995:
        return f"{volume_ml:.2f}"
    return f"{volume_ml:.2g}" if volume_ml >= _LEAST_ML or volume_ml == 0 else f"<{_LEAST_ML}"

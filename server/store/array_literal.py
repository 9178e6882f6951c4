"""Spells lists of texts as PostgreSQL writes arrays, so that unnest can carry one list a row.

Two-dimensional arrays would have to be rectangular; see PostgreSQL's manual, section 8.15.6.
"""

from collections.abc import Iterable


def array_literal(texts: Iterable[str]) -> str:
    """Spell an array of texts.

    Args:
        texts: without NUL, which PostgreSQL cannot store.

    Returns:
        What a cast to text[] turns back into the list.
    """
    return "{" + ",".join(map(_quoted, texts)) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

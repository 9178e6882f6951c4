"""Writes a struct as one would write it in a test: without what is as it always is."""

from msgspec import Struct, structs


def spelled(value: object) -> str:
    """Spell a value as Python, fields of structs left out that have their defaults."""
    if isinstance(value, Struct):
        fields = structs.fields(type(value))
        pairs = ((field, getattr(value, field.name)) for field in fields)
        told = [
            f"{field.name}={spelled(found)}" for field, found in pairs if found != field.default
        ]
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(spelled, value))}{',' if len(value) == 1 else ''})"
    return repr(value)

"""Texts that no till can show: bytes that no text may hold, placeholders that are not known."""

from collections.abc import Iterator, Sequence
from string import Formatter

import msgspec

from rewards.authored import LocalText
from rewards.problem import Problem, check_unique
from rewards.program import Program
from rewards.wording import FIGURES


def check_texts(program: Program) -> Iterator[Problem]:
    """Refuse NUL anywhere; the walk is dear, so the encoded form is asked first."""
    if b"\\u0000" in msgspec.json.encode(program):
        for path, text in _walk_texts(msgspec.to_builtins(program), ""):
            if "\0" in text:
                yield Problem(path, "holds NUL (U+0000), which no text may")


def _walk_texts(node: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _walk_texts(child, f"{path}.{key}" if path else key)
    elif isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from _walk_texts(child, f"{path}[{index}]")


def check_text_templates(program: Program) -> Iterator[Problem]:
    """Find templates that stand for no text, or name what their text does not know."""
    codes = [template.text_code for template in program.texts]
    yield from check_unique("texts", "text_code", codes)
    for index, template in enumerate(program.texts):
        path = f"texts[{index}]"
        languages = [text.language_code for text in template.texts]
        yield from check_unique(f"{path}.texts", "language_code", languages)
        figures = FIGURES.get(template.text_code)
        if figures is None:
            reason = f"no text has the code {template.text_code!r}; known: {', '.join(FIGURES)}"
            yield Problem(f"{path}.text_code", reason)
        else:
            yield from check_placeholders(f"{path}.texts", template.texts, figures)


def check_placeholders(
    path: str, texts: Sequence[LocalText], figures: frozenset[str]
) -> Iterator[Problem]:
    """Refuse placeholders but those of some figures, and braces without a partner."""
    for index, text in enumerate(texts):
        reason = _placeholder_reason(text.text, figures)
        if reason:
            yield Problem(f"{path}[{index}].text", reason)


def _placeholder_reason(text: str, figures: frozenset[str]) -> str:
    """Say why a text cannot be filled in; empty if it can."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return "a brace has no partner; write {{ or }} for a brace itself"
    for _, name, form, conversion in parts:
        if name is not None and (name not in figures or form or conversion):
            known = ", ".join(f"{{{figure}}}" for figure in sorted(figures)) or "none"
            return f"{_spelled(name, form, conversion)} is not known here; known: {known}"
    return ""


def _spelled(name: str, form: str | None, conversion: str | None) -> str:
    """A placeholder as its author wrote it."""
    converted = f"!{conversion}" if conversion else ""
    return f"{{{name}{converted}{f':{form}' if form else ''}}}"

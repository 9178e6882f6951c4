"""Programs as earlier builds stored them, brought to the present authoring types.

Rulesets are kept for ever: a receipt that comes late is evaluated under the version of its sale,
whichever build published it.
"""

from typing import Any

import msgspec

from rewards.program import Program

Tree = dict[str, Any]
_RAWS = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...])
_PROGRAM = msgspec.msgpack.Decoder(Program)


def read_programs(content: bytes) -> tuple[Program, ...]:
    """Read stored programs, of the present form or of the first one.

    Args:
        content: msgpack of programs.

    Raises:
        msgspec.ValidationError: they are of neither form.
    """
    return tuple(read_program(raw) for raw in _RAWS.decode(content))


def read_program(content: bytes | msgspec.Raw) -> Program:
    """Read one stored program, of the present form or of the first one.

    Raises:
        msgspec.ValidationError: it is of neither form.
    """
    try:
        return _PROGRAM.decode(content)
    except msgspec.ValidationError:
        tree: Tree = msgspec.msgpack.decode(content)
        for promotion in tree.get("promotions", ()):
            _upgrade(promotion)
        return msgspec.convert(tree, Program)


def _upgrade(promotion: Tree) -> None:
    """The first form had one benefit, and conditions in groups: when, who, what."""
    if isinstance(promotion.get("gives"), list):
        return
    promotion["gives"] = [promotion["gives"]]
    what = promotion.pop("what", {})
    if "products" in what:
        promotion["products"] = what["products"]
    when, who = promotion.get("when", {}), promotion.pop("who", {})
    found: list[Tree] = [
        {"code": code, "any_of": names}
        for code, names in (
            ("zones", when.pop("zones", ())),
            ("channels", when.pop("channels", ())),
            ("segments", who.get("segments", ())),
        )
        if names
    ]
    if who.get("customer_required"):
        found.append({"code": "known_customer"})
    if what.get("receipt_amount_from_minor"):
        amount_minor = what["receipt_amount_from_minor"]
        found.append({"code": "receipt_amount", "from_minor": amount_minor})
    promotion["conditions"] = found

"""What changes from one program to another, said in its author's terms: path, old value, new value.

Items are told apart by what names them (a promotion by its id, a text by its language, a benefit
by its code), so that an item put in front of others does not change those. Where order means
nothing, another order is no change. What is listed is bounded; what is counted is complete.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import msgspec
from msgspec import Struct

from rewards.program import Program
from rewards.spelling import spell, spelled_or_empty, told_fields

CHANGES_MAX = 1_000
"""Items listed for a program."""
FIELDS_MAX = 2_000
"""Fields listed for a program, over all its items."""
FIELDS_AN_ITEM_MAX = 50

ChangeKind = Literal["added", "removed", "changed"]

SETTING = "setting"
ITEM_KINDS = {
    "assets": "asset",
    "lanes": "lane",
    "exclusive_groups": "exclusive_group",
    "product_classes": "product_class",
    "promotions": "promotion",
    "profile_fields": "field",
    "cross_sell_links": "link",
    "till_groups": "till_group",
    "texts": "text",
    "spend_rules": "spend_rule",
    "earn_bounds": "earn_bound",
    "coupon_series": "series",
    "tier_rules": "tier_rule",
}
"""What an item of each list of a program is called, in the order in which changes are said."""
KINDS = (SETTING, *ITEM_KINDS.values())

ORDERED_LISTS = frozenset({"till_groups", "spend_rules", "tier_rules"})
"""Lists of a program in which the place of an item means something."""
UNORDERED_FIELDS = frozenset({"conditions"})

_ID_FIELDS = (
    "promotion_id",
    "field_code",
    "link_id",
    "group_id",
    "text_code",
    "code",
    "lane",
    "language_code",
    "category",
    "party_id",
    "asset_code",
    "series_code",
    "tier_code",
)
"""Of these the first that an item has names it among its like."""


class FieldChange(Struct, frozen=True):
    """A value that changes.

    Attributes:
        path: below the item, for example `gives[percent_off].rate_bp`; `[]` at the end stands for
            an entry of a list.
        old: as an author writes it, at most VALUE_CHARS_MAX characters; empty: was not there.
        new: the same; empty: is no longer there.
    """

    path: str
    old: str
    new: str


class ItemChange(Struct, frozen=True):
    """A promotion, asset, field, ... or setting that changes.

    Attributes:
        kind: one of KINDS.
        item_id: what names it; of a product class its place; of a setting its key.
        fields: of an item that comes or goes all that is not a default.
        is_cut: it has more fields than are listed.
    """

    kind: str
    item_id: str
    change: ChangeKind
    fields: tuple[FieldChange, ...]
    is_cut: bool


class ChangeCount(Struct, frozen=True):
    """How many items of a kind change."""

    kind: str
    added: int
    removed: int
    changed: int


class Difference(Struct, frozen=True):
    """All that changes from one program to another.

    Attributes:
        changes: by kind in the order of KINDS, then by id; at most CHANGES_MAX.
        counts: of every kind of which something changes, in the order of KINDS.
        omitted: changes that are counted but not listed.
    """

    changes: tuple[ItemChange, ...]
    counts: tuple[ChangeCount, ...]
    omitted: int


class _Pair(Struct):
    """An item before and after, under the label by which paths name it."""

    label: str
    old: Struct | None
    new: Struct | None

    @property
    def change(self) -> ChangeKind:
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"


def diff_programs(old: Program | None, new: Program | None) -> Difference:
    """Say what changes.

    Args:
        old: None if there was no program.
        new: None if there will be none.

    Returns:
        The difference; without any count if nothing that has a meaning changes.
    """
    changes: list[ItemChange] = []
    counts: list[ChangeCount] = []
    fields_left = FIELDS_MAX
    for kind in KINDS:
        pairs = _settings(old, new) if kind == SETTING else _items(kind, old, new)
        if pairs:
            counts.append(_count(kind, pairs))
        for pair in pairs[: CHANGES_MAX - len(changes)]:
            changes.append(_listed(kind, pair, min(FIELDS_AN_ITEM_MAX, fields_left)))
            fields_left -= len(changes[-1].fields)
    total = sum(count.added + count.removed + count.changed for count in counts)
    assert bool(total) == (bool(counts)), "a kind is counted only if it changes"
    return Difference(tuple(changes), tuple(counts), total - len(changes))


def _count(kind: str, pairs: Sequence[_Pair]) -> ChangeCount:
    changes = [pair.change for pair in pairs]
    return ChangeCount(
        kind, changes.count("added"), changes.count("removed"), changes.count("changed")
    )


def _listed(kind: str, pair: _Pair, fields_max: int) -> ItemChange:
    found = list(islice(_item_fields(pair), fields_max + 1))
    is_cut = len(found) > fields_max
    return ItemChange(kind, pair.label, pair.change, tuple(found[:fields_max]), is_cut)


def _item_fields(pair: _Pair) -> Iterator[FieldChange]:
    if isinstance(pair.old, _Setting) or isinstance(pair.new, _Setting):
        yield from _setting_fields(pair)
    elif pair.old is None or pair.new is None:
        yield from _whole(pair)
    else:
        yield from _struct_fields("", pair.old, pair.new)


def _whole(pair: _Pair) -> Iterator[FieldChange]:
    """What an item that comes or goes consists of, besides what names it."""
    item = pair.new if pair.old is None else pair.old
    assert item is not None
    naming = _id_field(item)
    for name, value in told_fields(item):
        if name == naming:
            continue
        spelled = spell(value)
        yield FieldChange(name, "", spelled) if pair.old is None else FieldChange(name, spelled, "")


# --- settings: what a program says once -----------------------------------------------------------


class _Setting(Struct, frozen=True):
    """The value of a key of a program; a struct, so that it can stand in a pair."""

    value: object


_DEFAULTS = {
    field.name: field.default
    for field in msgspec.structs.fields(Program)
    if field.default is not msgspec.NODEFAULT
}


def _settings(old: Program | None, new: Program | None) -> list[_Pair]:
    pairs = [
        pair
        for field in msgspec.structs.fields(Program)
        if field.name not in ITEM_KINDS and field.name != "program_id"
        for pair in _setting_pairs(field.name, old, new)
    ]
    pairs += [pair for name in sorted(ORDERED_LISTS) for pair in _order_pairs(name, old, new)]
    return sorted(pairs, key=lambda pair: pair.label)


def _setting_pairs(name: str, old: Program | None, new: Program | None) -> Iterator[_Pair]:
    before = None if old is None else _Setting(getattr(old, name))
    after = None if new is None else _Setting(getattr(new, name))
    if before is None or after is None:
        one = after if before is None else before
        if one is not None and one.value != _DEFAULTS.get(name):
            yield _Pair(name, before, after)
    elif before != after:
        yield _Pair(name, before, after)


def _order_pairs(name: str, old: Program | None, new: Program | None) -> Iterator[_Pair]:
    """Say a new order where the items that stay, and those that come, stand otherwise."""
    if old is None or new is None:
        return
    before = [_key_of(item) for item in getattr(old, name)]
    after = [_key_of(item) for item in getattr(new, name)]
    if _is_reordered(before, after):
        yield _Pair(f"{name} order", _Setting(tuple(before)), _Setting(tuple(after)))


def _setting_fields(pair: _Pair) -> Iterator[FieldChange]:
    before = pair.old.value if isinstance(pair.old, _Setting) else None
    after = pair.new.value if isinstance(pair.new, _Setting) else None
    if pair.label.endswith(" order"):
        yield FieldChange(pair.label, spell(before), spell(after))
    else:
        yield from _value_fields(pair.label, before, after)


# --- items: what a program lists ------------------------------------------------------------------


def _items(kind: str, old: Program | None, new: Program | None) -> list[_Pair]:
    """Pairs of the items of a kind that differ, by id."""
    name = next(name for name, known in ITEM_KINDS.items() if known == kind)
    before: tuple[Struct, ...] = () if old is None else getattr(old, name)
    after: tuple[Struct, ...] = () if new is None else getattr(new, name)
    return sorted(filter(_has_meaning, _pairs(before, after)), key=_pair_order)


def _has_meaning(pair: _Pair) -> bool:
    """Whether more changes than the order of what has none."""
    return pair.change != "changed" or next(_item_fields(pair), None) is not None


def _pair_order(pair: _Pair) -> tuple[int, str]:
    """Places as numbers, ids as texts."""
    return (int(pair.label), "") if pair.label.isdecimal() else (-1, pair.label)


def _pairs(old: Sequence[Struct], new: Sequence[Struct]) -> Iterator[_Pair]:
    """Join items before and after that belong together; equal ones are left out.

    Equal items belong together first, then items of one key in their order.
    """
    old_left, new_left = _without_equals(old, new)
    labels_old, labels_new = _labels(old), _labels(new)
    waiting: dict[str, deque[int]] = {}
    for place in old_left:
        waiting.setdefault(_key_of(old[place]), deque()).append(place)
    for place in new_left:
        same = waiting.get(_key_of(new[place]))
        before = old[same.popleft()] if same else None
        yield _Pair(labels_new[place], before, new[place])
    for place in sorted(place for same in waiting.values() for place in same):
        yield _Pair(labels_old[place], old[place], None)


def _without_equals(old: Sequence[Struct], new: Sequence[Struct]) -> tuple[list[int], list[int]]:
    """Places of items that have no equal on the other side."""
    places: dict[Struct, deque[int]] = {}
    for place, item in enumerate(old):
        places.setdefault(item, deque()).append(place)
    fresh: list[int] = []
    for place, item in enumerate(new):
        equals = places.get(item)
        if equals:
            equals.popleft()
        else:
            fresh.append(place)
    return sorted(place for left in places.values() for place in left), fresh


def _labels(items: Sequence[Struct]) -> list[str]:
    """Name each item by its key, the second of a key with #2; without a key by its place."""
    seen: dict[str, int] = {}
    labels = []
    for place, item in enumerate(items):
        key = _key_of(item)
        seen[key] = seen.get(key, 0) + 1
        again = f"#{seen[key]}" if seen[key] > 1 else ""
        labels.append(f"{key}{again}" if key else str(place))
    return labels


def _key_of(item: Struct) -> str:
    """What names an item among its like; empty if only its place does."""
    tag = item.__struct_config__.tag
    if isinstance(tag, str):
        return tag
    naming = _id_field(item)
    return str(getattr(item, naming)) if naming else ""


def _id_field(item: Struct) -> str:
    """The field that names an item among its like; empty if it has none."""
    return next((name for name in _ID_FIELDS if name in item.__struct_fields__), "")


def _is_reordered(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether what stays stands in another order, or something new stands before it."""
    kept = set(after)
    staying = [key for key in before if key in kept]
    return list(after[: len(staying)]) != staying


# --- fields: what an item says --------------------------------------------------------------------


def _struct_fields(path: str, old: Struct, new: Struct) -> Iterator[FieldChange]:
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield from _value_fields(f"{path}{name}", before, after)


def _value_fields(path: str, old: object, new: object) -> Iterator[FieldChange]:
    """The changes of one value; lists and structs are taken apart."""
    if isinstance(old, tuple) and isinstance(new, tuple):
        yield from _list_fields(path, old, new)
    elif isinstance(old, Struct) and type(old) is type(new):
        assert isinstance(new, Struct)
        yield from _struct_fields(f"{path}.", old, new)
    else:
        yield FieldChange(path, spelled_or_empty(old), spelled_or_empty(new))


def _list_fields(
    path: str, old: tuple[object, ...], new: tuple[object, ...]
) -> Iterator[FieldChange]:
    items = (*old, *new)
    structs = [item for item in items if isinstance(item, Struct)]
    if len(structs) < len(items):
        yield from _entry_fields(path, old, new)
        return
    befores, afters = structs[: len(old)], structs[len(old) :]
    for pair in _pairs(befores, afters):
        yield from _value_fields(f"{path}[{pair.label}]", pair.old, pair.new)
    if path.rpartition(".")[2] not in UNORDERED_FIELDS and not _is_named(structs):
        keys_before, keys_after = _spelled_each(befores), _spelled_each(afters)
        if sorted(keys_before) == sorted(keys_after):
            yield FieldChange(f"{path} order", _order(befores), _order(afters))


def _entry_fields(
    path: str, old: tuple[object, ...], new: tuple[object, ...]
) -> Iterator[FieldChange]:
    """Entries that a list of words or numbers loses and gains; else its new order."""
    before, after = set(old), set(new)
    if before == after:
        yield FieldChange(path, spell(old), spell(new))
        return
    yield from (FieldChange(f"{path}[]", spell(item), "") for item in old if item not in after)
    yield from (FieldChange(f"{path}[]", "", spell(item)) for item in new if item not in before)


def _is_named(items: Iterable[Struct]) -> bool:
    """Whether each is told apart by a name of its own, so that its place means nothing."""
    return all(_key_of(item) and item.__struct_config__.tag is None for item in items)


def _spelled_each(items: Sequence[Struct]) -> list[bytes]:
    return [msgspec.msgpack.encode(item) for item in items]


def _order(items: Sequence[Struct]) -> str:
    return spell(tuple(_key_of(item) or spell(item) for item in items))

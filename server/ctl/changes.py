"""Shows what changes in programs: as a coloured table, in a line, and as a tree for JSON."""

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from loyalty.v1 import back_office_service_pb2 as pb
from server.ctl.say import out, say

ROWS_MAX = 200
"""Rows of a table; JSON has all that the server listed."""

_NAMES = {
    pb.CHANGE_KIND_ADDED: "added",
    pb.CHANGE_KIND_REMOVED: "removed",
    pb.CHANGE_KIND_CHANGED: "changed",
}
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_STYLES = {"added": "green", "removed": "red", "changed": "yellow"}
_ARROW = "->"

_Row = tuple[Text, Text, Text, Text]


def show_changes(programs: Iterable[pb.ProgramChange]) -> None:
    """Show a table for each program that changes, and below it the counts of all that does."""
    for program in programs:
        change = _NAMES[program.change]
        title = f"Program {program.program_id} of chain {program.chain_id}: {change}"
        table = Table(title=Text(title), title_justify="left")
        table.add_column("")
        for column in ("what", "key", f"old {_ARROW} new"):
            table.add_column(column, overflow="fold")
        rows = [row for item in program.items for row in _item_rows(item)]
        for row in rows[:ROWS_MAX]:
            table.add_row(*row)
        out.print(table)
        if len(rows) > ROWS_MAX or program.items_omitted:
            say("not all of it is shown here; --json lists more")
        say(f"{program.program_id}: {counts_line(program)}")


def counts_line(program: pb.ProgramChange) -> str:
    """Say how many items of each kind change, for example `promotion +2 ~1, text -1`."""
    said = []
    for count in program.counts:
        numbers = {"+": count.added, "~": count.changed, "-": count.removed}
        signed = " ".join(f"{sign}{number}" for sign, number in numbers.items() if number)
        said.append(f"{count.kind} {signed}")
    return ", ".join(said)


def change_tree(program: pb.ProgramChange) -> dict[str, object]:
    """A program's changes as a tree for JSON; a value that was not there is null."""
    return {
        "program_id": program.program_id,
        "chain_id": program.chain_id,
        "change": _NAMES[program.change],
        "promotion_count": program.promotion_count,
        "counts": [
            {
                "kind": count.kind,
                "added": count.added,
                "removed": count.removed,
                "changed": count.changed,
            }
            for count in program.counts
        ],
        "items": [_item_tree(item) for item in program.items],
        "items_omitted": program.items_omitted,
    }


def _item_tree(item: pb.ItemChange) -> dict[str, object]:
    return {
        "kind": item.kind,
        "item_id": item.item_id,
        "change": _NAMES[item.change],
        "fields": [
            {"path": field.path, "old": field.old_value or None, "new": field.new_value or None}
            for field in item.fields
        ],
        "fields_cut": item.fields_cut,
    }


def _item_rows(item: pb.ItemChange) -> Iterator[_Row]:
    """The item, then what changes in it; of what goes its name is enough."""
    change = _NAMES[item.change]
    style = _STYLES[change]
    is_setting = item.kind == "setting"
    name = Text(item.kind if is_setting else f"{item.kind} {item.item_id}", style)
    fields = () if change == "removed" else item.fields
    if not fields:
        yield Text(_SIGNS[change], style), name, Text(), Text()
    for place, field in enumerate(fields):
        sign, what = (Text(), Text()) if place else (Text(_SIGNS[change], style), name)
        yield sign, what, Text(field.path), _values(field)
    if item.fields_cut and fields:
        yield Text(), Text(), Text("..."), Text()


def _values(field: pb.FieldChange) -> Text:
    """Old and new value; one of them alone has its colour and sign."""
    if not field.old_value:
        return Text(f"+ {field.new_value}", _STYLES["added"])
    if not field.new_value:
        return Text(f"- {field.old_value}", _STYLES["removed"])
    return Text.assemble(
        (field.old_value, _STYLES["removed"]), f" {_ARROW} ", (field.new_value, _STYLES["added"])
    )

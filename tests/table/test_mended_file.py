"""Goal: whatever a file with a corrected receipt holds, its author is told, and sees no trace."""

from pathlib import Path

import pytest

from server.ctl import quarantine
from server.ctl.say import CtlError

TREE = '{"receipt_key": {"chain_id": "kiosk"}, "sold_at_us": "7"}'
WRONG = {
    "nothing": "",
    "no JSON": TREE[:-1],
    "a number": "5",
    "a list": "[1]",
    "nothing in the request": '{"request": null}',
    "a number in the request": '{"request": 5}',
    "an unknown field": '{"request": {"chain": "kiosk"}}',
    "too large a number": '{"request": {"sold_at_us": "9223372036854775808"}}',
    "nested without end": "[" * 100_000,
    "nested deeply": '{"request": ' + "[" * 100_000 + "]" * 100_000 + "}",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "receipt.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [TREE, f'{{"request": {TREE}, "receipt": {{"reason": "x"}}}}'])
def test_a_receipt_is_read_with_what_was_shown_around_it(text: str, tmp_path: Path) -> None:
    found = quarantine.read_mended(written(tmp_path, text))
    assert (found.receipt_key.chain_id, found.sold_at_us) == ("kiosk", 7)


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_receipt_is_said_with_its_file(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CtlError, match=f"^{path}: .") as said:
        quarantine.read_mended(path)
    assert said.value.exit_code == 2


def test_a_file_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    with pytest.raises(CtlError) as said:
        quarantine.read_mended(path)
    assert said.value.lines == (f"{path}: No such file or directory",)

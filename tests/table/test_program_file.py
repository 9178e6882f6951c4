"""What is wrong with a program file is said by file, key and reason."""

from pathlib import Path

import pytest

from server.program_file import ProgramFileError, read_program

VALID = """
program_id = "demo"
chain_id = "chain"
currency_code = "RUB"
language_code = "ru"

[[assets]]
code = "points"
kind = "points"
names = [{ language_code = "ru", forms = [{ category = "other", text = "балла" }] }]

[[promotions]]
promotion_id = "ten"
names = [{ language_code = "ru", text = "Скидка" }]
lane = "price"
when = { from_date = 2026-01-01, to_date = "2026-12-31", to_time = 18:00:00 }
gives = [{ code = "percent_off", rate_bp = 1000 }]
conditions = [
  { code = "weekdays", days = [6, 7] },
  { code = "products", products.skus = ["1"], articles_from = 1 },
]
cost = { asset_code = "points", amount_minor = 100 }
"""

WRONG = {
    "unknown key": (
        'lane = "price"',
        'lane = "price"\npriorty = 5',
        "promotions[0].priorty",
        "is not known here; known: promotion_id, names, lane, gives, priority",
    ),
    "unknown key at the top": ("chain_id", "chian_id", "chian_id", "known: program_id, chain_id"),
    "unknown key of a benefit": (
        "rate_bp = 1000",
        "rate = 1000",
        "promotions[0].gives[0].rate",
        "known: code, rate_bp, rounding",
    ),
    "unknown key of a condition": (
        "days =",
        "day =",
        "promotions[0].conditions[0].day",
        "known: code, days",
    ),
    "unknown key of a set in a condition": (
        "products.skus",
        "products.sku",
        "promotions[0].conditions[1].products.sku",
        "known: skus, categories, brands",
    ),
    "unknown key of what may be left out": (
        "amount_minor = 100",
        "amount = 100",
        "promotions[0].cost.amount",
        "known: asset_code, amount_minor",
    ),
    "key of another condition": (
        'code = "weekdays"',
        'code = "hours"',
        "promotions[0].conditions[0].days",
        "known: code, from_time, to_time",
    ),
    "unknown key of an item of a list": (
        'text = "Скидка"',
        'txt = "Скидка"',
        "promotions[0].names[0].txt",
        "known: language_code, text",
    ),
    "unknown benefit": (
        '"percent_off"',
        '"percent_of"',
        "promotions[0].gives[0].code",
        "'percent_of' is not one of: percent_off, amount_off, fixed_price",
    ),
    "benefit without a code": (
        'code = "percent_off", ',
        "",
        "promotions[0].gives[0].code",
        "is required; one of: percent_off",
    ),
    "benefit that is a text": (
        '{ code = "percent_off", rate_bp = 1000 }',
        '"10%"',
        "promotions[0].gives[0]",
        "Expected object, got str",
    ),
    "benefits that are no list": (
        '[{ code = "percent_off", rate_bp = 1000 }]',
        '{ code = "percent_off", rate_bp = 1000 }',
        "promotions[0].gives",
        "Expected array, got object",
    ),
    "no benefit": (
        '[{ code = "percent_off", rate_bp = 1000 }]',
        "[]",
        "promotions[0].gives",
        "of length >= 1",
    ),
    "unknown condition": (
        '"weekdays"',
        '"week_days"',
        "promotions[0].conditions[0].code",
        "'week_days' is not one of: weekdays, hours, zones",
    ),
    "condition without a code": (
        'code = "weekdays", ',
        "",
        "promotions[0].conditions[0].code",
        "is required; one of: weekdays",
    ),
    "eighth day": ("[6, 7]", "[6, 8]", "promotions[0].conditions[0].days[1]", "<= 7, found 8"),
    "time of no day": (
        '{ code = "weekdays", days = [6, 7] }',
        '{ code = "hours", from_time = "25:00", to_time = "08:00" }',
        "promotions[0].conditions[0].from_time",
        "matching regex",
    ),
    "code of what has none": (
        "amount_minor = 100",
        'amount_minor = 100, code = "points"',
        "promotions[0].cost.code",
        "is not known here; known: asset_code, amount_minor",
    ),
    "missing key of what may be left out": (
        ", amount_minor = 100",
        "",
        "promotions[0].cost.amount_minor",
        "is required",
    ),
    "text for what may be left out": (
        '{ asset_code = "points", amount_minor = 100 }',
        '"points"',
        "promotions[0].cost",
        "Expected object, got str, found 'points'",
    ),
    "set that is a list": (
        'products.skus = ["1"]',
        'products = ["1"]',
        "promotions[0].conditions[1].products",
        "got array",
    ),
    "key of the old form": (
        'lane = "price"',
        'lane = "price"\nwho.segments = ["a"]',
        "promotions[0].who",
        "is not known here; known: promotion_id",
    ),
    "unknown lane": ('"price"', '"prise"', "promotions[0].lane", "is not one of: basket, price"),
    "missing key": ('lane = "price"', "", "promotions[0].lane", "is required"),
    "wrong type": ("1000", '"1000"', "promotions[0].gives[0].rate_bp", "Expected int, got str"),
    "float for an integer": ("1000", "1000.0", "promotions[0].gives[0].rate_bp", "got float"),
    "out of range": (
        "1000",
        "10001",
        "promotions[0].gives[0].rate_bp",
        "Expected int <= 10000, found 10001",
    ),
    "bad pattern": ('"demo"', '"Demo!"', "program_id", "matching regex"),
    "empty list": (
        '[{ language_code = "ru", text = "Скидка" }]',
        "[]",
        "promotions[0].names",
        "of length >= 1",
    ),
    "time with seconds": (
        "18:00:00",
        "18:00:01",
        "promotions[0].when.to_time",
        "Expected str, got time",
    ),
    "date with a time": (
        "2026-01-01",
        "2026-01-01T00:00:00",
        "promotions[0].when.from_date",
        "Expected str, got datetime",
    ),
    "hexadecimal number without end": (
        "1000",
        "0x" + "f" * 5_000,
        "promotions[0].gives[0].rate_bp",
        "found a number of thousands of digits",
    ),
    "long text for a number": (
        "1000",
        f'"{"9" * 5_000}"',
        "promotions[0].gives[0].rate_bp",
        "found '" + "9" * 199 + "...",
    ),
    "no TOML": ('chain_id = "chain"', "chain_id = ", "line 3, column 12", "is no TOML"),
    "key twice": (
        'chain_id = "chain"',
        'chain_id = "chain"\nchain_id = "x"',
        "line 4, column 15",
        "is no TOML: Cannot overwrite a value",
    ),
}


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "program.toml"
    file.write_text(VALID)
    program = read_program(file)
    assert program.promotions[0].when.from_date == "2026-01-01"
    assert program.promotions[0].when.to_date == "2026-12-31"
    assert program.promotions[0].when.to_time == "18:00"


@pytest.mark.parametrize(("old", "new", "key", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_refused(tmp_path: Path, old: str, new: str, key: str, reason: str) -> None:
    file = tmp_path / "program.toml"
    assert old in VALID
    file.write_text(VALID.replace(old, new, 1))
    with pytest.raises(ProgramFileError) as refused:
        read_program(file)
    assert refused.value.path == file
    assert refused.value.key == key
    assert reason in refused.value.reason
    assert str(refused.value) == f"{file}: {key}: {refused.value.reason}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProgramFileError, match="No such file"):
        read_program(tmp_path / "none.toml")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ProgramFileError, match="directory"):
        read_program(tmp_path)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "program.toml"
    file.write_bytes(b'program_id = "\xff"')
    with pytest.raises(ProgramFileError, match="byte 14: is not UTF-8"):
        read_program(file)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """As editors of Windows write it."""
    file = tmp_path / "program.toml"
    file.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert read_program(file).program_id == "demo"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (".".join(["a"] * 2_000) + " = 1", "is nested too deeply"),
        ("a = " + "[" * 2_000 + "]" * 2_000, "is nested too deeply"),
        ("prompts_max = " + "9" * 5_000, "holds a number that is too long to be read"),
    ],
    ids=["dotted keys", "arrays", "number"],
)
def test_a_file_beyond_what_can_be_read(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "program.toml"
    file.write_text(f"{text}\n{VALID}")
    with pytest.raises(ProgramFileError) as refused:
        read_program(file)
    assert str(refused.value) == f"{file}: {reason}"

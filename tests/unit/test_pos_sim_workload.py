"""The demo's data is the same for a seed, shaped like a grocery, and fits the shipped programs."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from loyalty.v1.answer_pb2 import PieceToAdd
from loyalty.v1.receipt_pb2 import LineKind, QuantityUnit
from pos_sim import grocery, online_retail
from pos_sim.amount import format_amount, format_quantity, price_of, round_half_up
from pos_sim.run import Run
from pos_sim.sale import Place, add_pieces, plan_payment, write_sale
from pos_sim.shelf import read_shelves
from pos_sim.workload import PROGRAMS, Basket, Item, Workload
from rewards.authored import ProductSet
from rewards.condition import Segments
from rewards.program import Program
from rewards.program_check import check_program

RUN = Run(seed=1, epoch=1_790_000_000)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail"


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"), [(5, 10, 1), (4, 10, 0), (15, 10, 2), (0, 3, 0)]
)
def test_halves_round_up(numerator: int, denominator: int, rounded: int) -> None:
    assert round_half_up(numerator, denominator) == rounded


def test_weighed_goods_are_priced_half_up_and_pieces_exactly() -> None:
    assert price_of(19_990, 734) == 14_673
    assert price_of(100, 5) == 1
    assert price_of(1_990, 3_000) == 5_970


@pytest.mark.parametrize(
    ("amount", "decimals", "language", "text"),
    [
        (-123_456, 2, "ru", "-1 234,56"),
        (123_456, 2, "en", "1 234.56"),
        (5, 2, "ru", "0,05"),
        (7_000, 0, "en", "7 000"),
        (-5, 3, "en", "-0.005"),
    ],
)
def test_amounts_are_written_out(amount: int, decimals: int, language: str, text: str) -> None:
    assert format_amount(amount, decimals, language) == text


def test_quantities_are_written_out() -> None:
    assert [format_quantity(q, "ru") for q in (2_000, 734, 1_050)] == ["2", "0,734", "1,050"]


def baskets_of(load: Workload) -> list[Basket]:
    return sorted((b for till in load.tills for b in till.baskets), key=lambda b: b.index)


@pytest.fixture(scope="module")
def demo() -> Workload:
    return grocery.make_workload(RUN, 2_500, 32)


def test_a_seed_makes_the_same_demo(demo: Workload) -> None:
    assert grocery.make_workload(RUN, 2_500, 32) == demo
    other = grocery.make_workload(Run(seed=2, epoch=RUN.epoch), 2_500, 32)
    assert baskets_of(other) != baskets_of(demo)


def test_the_demo_has_the_size_of_a_small_chain(demo: Workload) -> None:
    assert demo.receipt_count == 2_500
    assert demo.beyond_limit_count == 0
    assert 550 <= len(demo.products) <= 650
    assert len(demo.customers) == 1_500
    assert len({store.time_zone for store in demo.stores}) >= 3
    assert {store.language_code for store in demo.stores} == {"ru", "en"}
    assert all(len(product.categories) == 3 for product in demo.products)


def test_skus_identifiers_and_category_names_are_unique(demo: Workload) -> None:
    skus = [product.sku for product in demo.products]
    assert len(set(skus)) == len(skus)
    identifiers = [i.value for customer in demo.customers for i in customer.identifiers]
    assert len(set(identifiers)) == len(identifiers)
    levels = [set[str](), set[str](), set[str]()]
    for shelf in read_shelves():
        for level, category in zip(levels, shelf.categories, strict=True):
            level.add(category)
    assert len(set.union(*levels)) == sum(map(len, levels))


def test_baskets_are_sensible(demo: Workload) -> None:
    baskets = baskets_of(demo)
    sizes = [len(basket.items) for basket in baskets]
    assert 7 <= sum(sizes) / len(sizes) <= 9
    assert 40 <= max(sizes) <= 60
    anonymous = sum(not basket.customer_number for basket in baskets) / len(baskets)
    assert 0.2 <= anonymous <= 0.3
    visits = Counter(b.customer_number for b in baskets if b.customer_number)
    assert visits.most_common(1)[0][1] >= 10
    kilograms = [i for b in baskets for i in b.items if i.quantity_milli % 1000]
    assert {i.unit for i in kilograms} == {QuantityUnit.QUANTITY_UNIT_KILOGRAM}
    assert len(kilograms) > 2_000


def test_customers_know_profiles_in_all_states(demo: Workload) -> None:
    answered = [{answer.field_code: answer for answer in c.answers} for c in demo.customers]
    for field_code in ("surname", "email", "sex"):
        ages = [a[field_code].answered_at_us for a in answered if field_code in a]
        old = sum(at < RUN.started_at_us - 1_400 * 86_400_000_000 for at in ages)
        assert 0.1 < old / 1_500 < 0.3
        assert 0.1 < (1_500 - len(ages)) / 1_500 < 0.3
    assert {c.state for c in demo.customers} == {"active", "earn_only", "blocked"}


@pytest.mark.parametrize("till_count", [1, 3, 40])
def test_every_receipt_stands_at_a_till_of_its_store(till_count: int) -> None:
    load = grocery.make_workload(RUN, 200, till_count)
    assert load.receipt_count == 200
    names = [(till.store_id, till.till_id) for till in load.tills]
    assert len(set(names)) == till_count
    unary = sum(till.unary for till in load.tills)
    assert unary == till_count // 8


def test_control_totals_follow_what_is_scanned(demo: Workload) -> None:
    till = demo.tills[0]
    place = Place(demo.chain_id, demo.currency_code, till)
    sale = write_sale(place, till.baskets[0])
    line = next(line for line in sale.lines if line.quantity_milli % 1000 == 0)
    piece = PieceToAdd(line_id=line.line_id, sku=line.sku, quantity_milli=2_000)
    grown, taken = add_pieces(sale, [piece], {})
    assert taken == 1
    paid = plan_payment(grown, 100)
    for written in (sale, grown, paid):
        totals = written.header.control_totals
        assert totals.line_count == len(written.lines)
        assert totals.amount_minor == sum(line.amount_minor for line in written.lines)
    added = grown.header.control_totals.amount_minor - sale.header.control_totals.amount_minor
    assert added == 2 * line.unit_price_scaled
    assert [tender.amount_minor for tender in paid.tenders] == [100]
    assert not sale.tenders


def test_of_a_choice_the_first_gift_with_a_known_price_is_scanned(demo: Workload) -> None:
    till = demo.tills[0]
    place = Place(demo.chain_id, demo.currency_code, till)
    sale = write_sale(place, till.baskets[0])
    offered = [
        PieceToAdd(sku=sku, quantity_milli=1_000, choice_group=1) for sku in ("x", "honey", "jam")
    ]
    grown, taken = add_pieces(sale, offered, {"honey": 199, "jam": 99})
    assert taken == 1
    assert len(grown.lines) == len(sale.lines) + 1
    assert (grown.lines[-1].sku, grown.lines[-1].amount_minor) == ("honey", 199)
    assert len({line.line_id for line in grown.lines}) == len(grown.lines)


PROGRAM_FILES = sorted(PROGRAMS.glob("*.toml"))


@pytest.mark.parametrize("path", PROGRAM_FILES, ids=lambda path: path.stem)
def test_a_shipped_program_is_valid(path: Path) -> None:
    program = msgspec.toml.decode(path.read_bytes(), type=Program)
    assert check_program(program) == ()
    languages = [{text.language_code for text in p.names} for p in program.promotions]
    assert all(spoken == {"en", "ru"} for spoken in languages)


def product_sets(program: Program) -> list[ProductSet]:
    return [
        *(promotion.products for promotion in program.promotions),
        *(link.basket for link in program.cross_sell_links),
        *(link.show for link in program.cross_sell_links),
    ]


def test_the_grocery_program_speaks_of_what_the_demo_sells(demo: Workload) -> None:
    path = PROGRAMS / "demo_grocery.toml"
    program = msgspec.toml.decode(path.read_bytes(), type=Program)
    known = {
        "categories": {c for product in demo.products for c in product.categories},
        "brands": {product.brand for product in demo.products},
        "properties": {p for product in demo.products for p in product.properties},
    }
    for products in product_sets(program):
        assert set(products.categories + products.except_categories) <= known["categories"]
        assert set(products.brands) <= known["brands"]
        assert set(products.properties) <= known["properties"]
    segments = {segment for customer in demo.customers for segment in customer.segments}
    asked = [c for p in program.promotions for c in p.conditions if isinstance(c, Segments)]
    wanted = {segment for condition in asked for segment in condition.any_of + condition.none_of}
    assert wanted | {s for link in program.cross_sell_links for s in link.segments} <= segments
    fields = {field.field_code for field in program.profile_fields}
    assert fields == {a.field_code for c in demo.customers for a in c.answers}


def write_csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def retail(tmp_path: Path) -> Path:
    receipts: list[tuple[object, ...]] = [
        ("receipt_id", "kind", "sold_at", "customer_id", "country", "lines", "units", "net_minor"),
        ("3", "sale", "2011-07-01T10:00:00", "", "France", 2, 3, 500),
        ("1", "sale", "2010-12-01T08:26:00", "17850", "United Kingdom", 3, 700, 1),
        ("C2", "return", "2010-12-02T08:26:00", "17850", "United Kingdom", 1, -1, -1),
        ("4", "sale", "2011-08-01T10:00:00", "12583", "France", 1, 80_995, 1),
    ]
    lines: list[tuple[object, ...]] = [
        ("receipt_id", "line_no", "sku", "qty", "unit_price_minor", "line_type"),
        ("3", 1, "A", 1, 100, "goods"),
        ("3", 2, "POST", 2, 200, "postage"),
        ("1", 1, "A", 300, 100, "goods"),
        ("1", 2, "A", 399, 0, "goods"),
        ("1", 3, "gift_10", 1, 1000, "gift_voucher"),
        ("C2", 1, "A", -1, 100, "goods"),
        ("4", 1, "A", 80_995, 104, "goods"),
    ]
    products: list[tuple[object, ...]] = [
        ("sku", "description", "line_type"),
        ("A", "SET OF 3 TEA CUPS & CHRISTMAS T-LIGHTS", "goods"),
        ("POST", "POSTAGE", "postage"),
        ("gift_10", "", "gift_voucher"),
    ]
    for name, rows in (("receipts", receipts), ("lines", lines), ("products", products)):
        write_csv(tmp_path / f"{name}.csv.gz", rows)
    return tmp_path


def test_real_sales_come_in_their_order_with_the_offset_of_their_day(retail: Path) -> None:
    first, second, third = baskets_of(online_retail.make_workload(retail, None, 2))
    assert [first.customer_number, second.customer_number] == ["17850", ""]
    assert (first.utc_offset_minutes, second.utc_offset_minutes) == (0, 60)
    assert second.opened_at_us == 1_309_510_800_000_000
    assert first.business_date == "2010-12-01"
    assert third.is_beyond_limit
    assert not first.is_beyond_limit


def test_an_article_that_stands_twice_stays_two_lines(retail: Path) -> None:
    first, second, _ = baskets_of(online_retail.make_workload(retail, None, 2))
    assert [(item.sku, item.quantity_milli) for item in first.items[:2]] == [
        ("A", 300_000),
        ("A", 399_000),
    ]
    assert first.items[2].kind == LineKind.LINE_KIND_GIFT_CARD
    assert second.items[1].kind == LineKind.LINE_KIND_SERVICE


def test_words_and_segments_come_from_the_data(retail: Path) -> None:
    load = online_retail.make_workload(retail, None, 2)
    goods, postage, voucher = load.products
    words = ["word=christmas", "word=cup", "word=set", "word=t-light", "word=tea"]
    assert list(goods.properties) == words
    assert (postage.no_discount, postage.no_earn, list(postage.properties)) == (True, True, [])
    assert voucher.name == "gift_10"
    segments = {c.customer_number: list(c.segments) for c in load.customers}
    assert segments == {"12583": ["wholesale", "export"], "17850": ["wholesale"]}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert online_retail.find_missing(tmp_path) == list(online_retail.FILES)


@pytest.mark.parametrize(
    ("counted", "beyond"), [(10_000, False), (10_001, True)], ids=["at the limit", "beyond"]
)
def test_the_limit_is_on_all_pieces_together(counted: int, beyond: bool) -> None:
    unit, kind = QuantityUnit.QUANTITY_UNIT_PIECE, LineKind.LINE_KIND_GOODS
    items = tuple(Item("A", 1000 * count, 1, unit, kind) for count in (5_000, counted - 5_000))
    basket = Basket(0, items, 1, 0, "d")
    assert basket.is_beyond_limit is beyond


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the online_retail files beside the project")
def test_the_real_year_is_read_whole() -> None:
    load = online_retail.make_workload(REAL, None, 32)
    assert load.receipt_count == 20_725
    assert load.beyond_limit_count == 15
    program = msgspec.toml.decode((PROGRAMS / "gift_shop.toml").read_bytes(), type=Program)
    words = {p for product in load.products for p in product.properties}
    skus = {product.sku for product in load.products}
    for products in product_sets(program):
        assert set(products.properties) <= words
        assert set(products.skus) <= skus

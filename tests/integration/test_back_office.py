"""BackOfficeService over gRPC: every bad field is refused by name, and nothing of it is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset
from tests.pg import create_database, drop_database
from tests.serving import (
    CHAIN,
    PROGRAM,
    publish,
    reason_of,
    seed,
    serving,
    test_program,
    wait_until,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def stub(
    pg_server_dsn: str, pg_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server that knows the world of the tests."""
    dsn = create_database(pg_server_dsn, template=pg_template)
    logs: Path = tmp_path_factory.mktemp("back-office")
    clock_file = logs / "clock"
    set_offset(clock_file, 0)
    place = {"LOYALTY_DSN": dsn, "LOYALTY_CLOCK_FILE": str(clock_file)}
    with serving(place, logs) as (server,):
        seed(server.target, clock_file)
        with grpc.insecure_channel(server.target) as channel:
            opened: Any = BackOfficeServiceStub(channel)
            opened.target, opened.clock_file = server.target, clock_file
            yield opened
    drop_database(dsn)


def fields_of(error: Any) -> list[str]:
    """Paths of the fields that a refusal names."""
    found = rpc_status.from_call(error)
    assert found is not None
    bad = BadRequest()
    assert any(detail.Unpack(bad) for detail in found.details), found
    return [violation.field for violation in bad.field_violations]


def store(**changes: Any) -> bo.Store:
    fields = {
        "store_id": "x",
        "time_zone": "Europe/Moscow",
        "currency_code": "RUB",
        "language_code": "ru",
        "name": "X",
    }
    return bo.Store(**(fields | changes))


def customer(**changes: Any) -> bo.Customer:
    card = bo.ImportedIdentifier(kind="card", value="new")
    return bo.Customer(**({"customer_number": "new", "identifiers": [card]} | changes))


def answer(at_us: int = 1, code: str = "sex", value: str = "x") -> bo.ImportedAnswer:
    return bo.ImportedAnswer(field_code=code, value=value, answered_at_us=at_us)


BAD_STORES = {
    "no store": ([], "stores", "FIELD_REQUIRED"),
    "no id": ([store(store_id="")], "stores[0].store_id", "FIELD_REQUIRED"),
    "id with NUL": ([store(store_id="a\0")], "stores[0].store_id", "BAD_TEXT"),
    "id too long": ([store(store_id="a" * 65)], "stores[0].store_id", "OUT_OF_RANGE"),
    "no such zone": (
        [store(), store(store_id="y", time_zone="Europe/Atlantis")],
        "stores[1].time_zone",
        "BAD_TEXT",
    ),
    "zone that is a path": ([store(time_zone="../passwd")], "stores[0].time_zone", "BAD_TEXT"),
    "no such currency": ([store(currency_code="RUR1")], "stores[0].currency_code", "BAD_TEXT"),
    "no such language": ([store(language_code="qq")], "stores[0].language_code", "BAD_TEXT"),
    "empty name of a zone": ([store(zones=["a", ""])], "stores[0].zones[1]", "FIELD_REQUIRED"),
    "twice": ([store(), store()], "stores[1].store_id", "INCONSISTENT"),
    "too many": ([store(store_id=str(n)) for n in range(1_001)], "stores", "LIMIT_EXCEEDED"),
}

BAD_PRODUCTS = {
    "no sku": (bo.Product(name="x"), "products[0].sku", "FIELD_REQUIRED"),
    "name too long": (bo.Product(sku="x", name="x" * 201), "products[0].name", "OUT_OF_RANGE"),
    "property without a value": (
        bo.Product(sku="x", name="x", properties=["a=b", "fat"]),
        "products[0].properties[1]",
        "BAD_TEXT",
    ),
    "eleven categories": (
        bo.Product(sku="x", name="x", categories=["c"] * 11),
        "products[0].categories",
        "LIMIT_EXCEEDED",
    ),
    "negative floor": (
        bo.Product(sku="x", name="x", minimum_price_minor=-1),
        "products[0].minimum_price_minor",
        "OUT_OF_RANGE",
    ),
}

BAD_CUSTOMERS = {
    "no number": (customer(customer_number=""), "customers[0].customer_number", "FIELD_REQUIRED"),
    "no identifier": (customer(identifiers=[]), "customers[0].identifiers", "FIELD_REQUIRED"),
    "unknown kind": (
        customer(identifiers=[bo.ImportedIdentifier(kind="passport", value="1")]),
        "customers[0].identifiers[0].kind",
        "UNKNOWN_ENUM_VALUE",
    ),
    "no kind": (
        customer(identifiers=[bo.ImportedIdentifier(value="1")]),
        "customers[0].identifiers[0].kind",
        "FIELD_REQUIRED",
    ),
    "unknown state": (customer(state="asleep"), "customers[0].state", "UNKNOWN_ENUM_VALUE"),
    "segment with NUL": (customer(segments=["\0"]), "customers[0].segments[0]", "BAD_TEXT"),
    "answered in the future": (
        customer(answers=[answer(at_us=4_000_000_000_000_000)]),
        "customers[0].answers[0].answered_at_us",
        "OUT_OF_RANGE",
    ),
    "answer too long": (
        customer(answers=[answer(value="x" * 513)]),
        "customers[0].answers[0].value",
        "OUT_OF_RANGE",
    ),
    "card of another customer": (
        customer(identifiers=[bo.ImportedIdentifier(kind="card", value="card1")]),
        "customers[0].identifiers[0]",
        "INCONSISTENT",
    ),
}


@pytest.mark.parametrize(("stores", "path", "reason"), BAD_STORES.values(), ids=BAD_STORES.keys())
def test_stores_refused(stub: Any, stores: list[bo.Store], path: str, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.ImportStores(bo.ImportStoresRequest(chain_id=CHAIN, stores=stores))
    assert reason_of(refused.value)[:2] == (INVALID, reason)
    assert fields_of(refused.value) == [path]


@pytest.mark.parametrize(
    ("product", "path", "reason"), BAD_PRODUCTS.values(), ids=BAD_PRODUCTS.keys()
)
def test_product_refused(stub: Any, product: bo.Product, path: str, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.ImportProducts(bo.ImportProductsRequest(chain_id=CHAIN, products=[product]))
    assert reason_of(refused.value)[:2] == (INVALID, reason)
    assert fields_of(refused.value) == [path]


@pytest.mark.parametrize(
    ("one", "path", "reason"), BAD_CUSTOMERS.values(), ids=BAD_CUSTOMERS.keys()
)
def test_customer_refused(stub: Any, one: bo.Customer, path: str, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=[one]))
    assert reason_of(refused.value)[:2] == (INVALID, reason)
    assert fields_of(refused.value) == [path]


def listed(price_minor: int, **fields: Any) -> bo.ListedPrice:
    return bo.ListedPrice(sku="sku0", price_minor=price_minor, **fields)


@pytest.mark.parametrize(
    ("changes", "reason", "path"),
    [
        ({"list_code": "Card"}, "BAD_TEXT", "list_code"),
        ({"prices": []}, "FIELD_REQUIRED", "prices"),
        ({"prices": [listed(-1)]}, "OUT_OF_RANGE", "prices[0].price_minor"),
        ({"prices": [listed(1, unit="mile")]}, "UNKNOWN_ENUM_VALUE", "prices[0].unit"),
        ({"prices": [listed(1, removed=True)]}, "INCONSISTENT", "prices[0].removed"),
        ({"prices": [listed(1), listed(2)]}, "INCONSISTENT", "prices[1].sku"),
    ],
)
def test_a_bad_price_is_refused(stub: Any, changes: dict[str, Any], reason: str, path: str) -> None:
    request = bo.ImportPricesRequest(
        **{"chain_id": CHAIN, "list_code": "card", "prices": [listed(1)], **changes}
    )
    with pytest.raises(grpc.RpcError) as refused:
        stub.ImportPrices(request)
    assert reason_of(refused.value)[:2] == (INVALID, reason)
    assert fields_of(refused.value) == [path]


@pytest.mark.parametrize(
    "keys",
    [
        {"limits": {"customer_times": 1, "store_minor": 5, "total_minor": 1_000}},
        {"cost": {"asset_code": "points", "amount_minor": 5}},
    ],
)
def test_limits_over_many_receipts_and_costs_are_valid(stub: Any, keys: dict[str, Any]) -> None:
    program = test_program(promotions=[{**PROGRAM["promotions"][0], **keys}])
    assert not stub.ValidateProgram(bo.ValidateProgramRequest(program=program)).problems


def test_importing_again_counts_again(stub: Any) -> None:
    for _ in range(2):
        request = bo.ImportStoresRequest(chain_id="again", stores=[store()])
        assert stub.ImportStores(request).imported == 1


def test_a_program_is_validated_against_stores_and_articles(stub: Any) -> None:
    program = test_program(till_groups=[{"group_id": "all", "stores": ["s1", "nowhere"]}])
    program.promotions[0].products.categories.append("coffee")
    program.promotions[0].lane = program.promotions[1].lane
    response = stub.ValidateProgram(bo.ValidateProgramRequest(program=program))
    assert [(problem.path, problem.reason) for problem in response.problems] == [
        ("promotions[0].lane", "percent_off cannot stand in lane reward; allowed: price, basket"),
        ("promotions[0].products.categories[1]", "no article is in category 'coffee'"),
        ("till_groups[0].stores[1]", "no store of the chain is 'nowhere'"),
    ]


def test_a_program_is_validated_against_how_articles_are_sold(stub: Any) -> None:
    leaf = bo.Product(sku="leaf", name="Leaf", weighed=True)
    stub.ImportProducts(bo.ImportProductsRequest(chain_id=CHAIN, products=[leaf]))
    program = test_program()
    program.promotions[0].products.Clear()
    program.promotions[0].products.skus.append("leaf")
    request = bo.ValidateProgramRequest(program=program)
    wait_until(lambda: not stub.ValidateProgram(request).problems, "the article is known")
    gives = program.promotions[0].gives[0]
    gives.n_plus_m.pay_count = gives.n_plus_m.free_count = 1
    (problem,) = stub.ValidateProgram(bo.ValidateProgramRequest(program=program)).problems
    assert problem.path == "promotions[0].products.skus[0]"
    assert problem.reason == "'leaf' is not sold by the piece, and n_plus_m takes pieces"


def test_a_valid_program_has_no_problems(stub: Any) -> None:
    response = stub.ValidateProgram(bo.ValidateProgramRequest(program=test_program()))
    assert list(response.problems) == []


def test_a_program_with_a_bad_field_is_a_problem_not_a_refusal(stub: Any) -> None:
    program = test_program()
    program.promotions[0].gives[0].percent_off.rate_bp = 10_001
    response = stub.ValidateProgram(bo.ValidateProgramRequest(program=program))
    assert [problem.path for problem in response.problems] == ["promotions[0].gives[0].rate_bp"]


def test_an_invalid_program_is_not_published(stub: Any) -> None:
    before = len(stub.GetRuleset(bo.GetRulesetRequest()).versions)
    program = test_program(currency_code="QQQ")
    program.promotions[0].lane = program.promotions[1].lane
    with pytest.raises(grpc.RpcError) as refused:
        stub.PublishProgram(bo.PublishProgramRequest(program=program, published_by="test"))
    code, reason, metadata = reason_of(refused.value)
    assert (code, reason, metadata["problems"]) == (INVALID, "PROGRAM_INVALID", "2")
    assert fields_of(refused.value) == ["program.currency_code", "program.promotions[0].lane"]
    assert len(stub.GetRuleset(bo.GetRulesetRequest()).versions) == before


def test_ten_thousand_problems_fit_a_refusal(stub: Any) -> None:
    program = test_program()
    for _ in range(5_000):
        program.promotions.append(program.promotions[0])
    with pytest.raises(grpc.RpcError) as refused:
        stub.PublishProgram(bo.PublishProgramRequest(program=program, published_by="test"))
    assert reason_of(refused.value)[2]["problems"] == "5000"
    assert len(fields_of(refused.value)) == 20


def test_problems_in_long_words_fit_a_refusal(stub: Any) -> None:
    """A client takes 8 KiB of trailers; what is longer it drops, and with it the reason."""
    program = test_program()
    codes = ["\N{GRINNING FACE}" * 128] * 40
    program.promotions[0].conditions.add().coupon.any_of.extend(codes)
    with pytest.raises(grpc.RpcError) as refused:
        stub.PublishProgram(bo.PublishProgramRequest(program=program, published_by="test"))
    code, reason, metadata = reason_of(refused.value)
    assert (code, reason, metadata["problems"]) == (INVALID, "PROGRAM_INVALID", "39")
    first = "program.promotions[0].conditions[0].any_of[1]"
    assert fields_of(refused.value)[0] == first


def test_a_program_is_required(stub: Any) -> None:
    for call, request in (
        (stub.ValidateProgram, bo.ValidateProgramRequest()),
        (stub.PublishProgram, bo.PublishProgramRequest(published_by="test")),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(request)
        assert fields_of(refused.value) == ["program"]


def test_a_version_in_the_past_names_the_earliest_instant(stub: Any) -> None:
    request = bo.PublishProgramRequest(
        program=test_program(), published_by="test", effective_at_us=1
    )
    with pytest.raises(grpc.RpcError) as refused:
        stub.PublishProgram(request)
    code, reason, metadata = reason_of(refused.value)
    assert (code, reason) == (PRECONDITION, "EFFECTIVE_TOO_EARLY")
    now_us = stub.GetRuleset(bo.GetRulesetRequest()).now_us
    assert now_us < int(metadata["earliest_us"]) <= now_us + 3_000_000


def test_an_answer_that_its_field_does_not_offer_is_rejected(stub: Any) -> None:
    sex = {
        "field_code": "sex",
        "questions": [{"language_code": "ru", "text": "?"}],
        "check": "choice",
        "choices": ["female", "male"],
    }
    publish(stub, test_program(profile_fields=[sex]), stub.clock_file)
    one = customer(answers=[answer(value="none")])
    with pytest.raises(grpc.RpcError) as refused:
        stub.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=[one]))
    assert reason_of(refused.value)[:2] == (INVALID, "ANSWER_REJECTED")
    assert fields_of(refused.value) == ["customers[0].answers[0].value"]


def test_an_empty_ledger_is_not_balanced(stub: Any) -> None:
    found = stub.AuditLedger(bo.AuditLedgerRequest())
    assert not found.balanced
    assert "empty" in found.problems[0]


def test_a_plan_says_what_would_change_and_what_is_not_known(stub: Any) -> None:
    publish(stub, test_program(), stub.clock_file)
    program = test_program(till_groups=[{"group_id": "all", "stores": ["s1", "nowhere"]}])
    program.promotions[0].gives[0].percent_off.rate_bp = 1_500
    before = len(stub.ListRulesetVersions(bo.ListRulesetVersionsRequest()).versions)
    plan = stub.PlanProgram(bo.PlanProgramRequest(program=program))
    assert [(p.path, p.reason) for p in plan.warnings] == [
        ("till_groups[0].stores[1]", "no store of the chain is 'nowhere'")
    ]
    (change,) = plan.programs
    assert (change.program_id, change.chain_id) == ("test", CHAIN)
    assert change.change == bo.CHANGE_KIND_CHANGED
    first = change.items[0]
    assert (first.kind, first.item_id) == ("promotion", "tea-10")
    assert [(f.path, f.old_value, f.new_value) for f in first.fields] == [
        ("gives[percent_off].rate_bp", "1000", "1500")
    ]
    assert len(plan.problems) == 0
    assert plan.base_version == plan.newest_version > 0
    assert len(stub.ListRulesetVersions(bo.ListRulesetVersionsRequest()).versions) == before


def test_a_plan_of_a_program_with_a_bad_field_names_it(stub: Any) -> None:
    program = test_program()
    program.promotions[0].gives[0].percent_off.rate_bp = 10_001
    plan = stub.PlanProgram(bo.PlanProgramRequest(program=program))
    assert [problem.path for problem in plan.problems] == ["promotions[0].gives[0].rate_bp"]
    assert len(plan.programs) == 0


TOO_LATE_US = 2**62
BAD_CALLS = {
    "plan of nothing": ("PlanProgram", {}, "content", "FIELD_REQUIRED"),
    "plan of version 0": ("PlanProgram", {"version": 0}, "content", "FIELD_REQUIRED"),
    "plan at no instant": (
        "PlanProgram",
        {"version": 1, "effective_at_us": TOO_LATE_US},
        "effective_at_us",
        "OUT_OF_RANGE",
    ),
    "plan of a program with NUL": (
        "PlanProgram",
        {"version": 1, "program_id": "\0"},
        "program_id",
        "BAD_TEXT",
    ),
    "plan of no such program": (
        "PlanProgram",
        {"version": 1, "program_id": "nope"},
        "program_id",
        "INCONSISTENT",
    ),
    "back to nothing": ("RollBackRuleset", {"published_by": "x"}, "version", "FIELD_REQUIRED"),
    "back by nobody": ("RollBackRuleset", {"version": 1}, "published_by", "FIELD_REQUIRED"),
    "back to a large number": (
        "RollBackRuleset",
        {"version": 2**64 - 1, "published_by": "x"},
        "version",
        "OUT_OF_RANGE",
    ),
    "a large page": ("ListRulesetVersions", {"page_size": 51}, "page_size", "OUT_OF_RANGE"),
    "a long chain": ("ListRulesetVersions", {"chain_id": "x" * 65}, "chain_id", "OUT_OF_RANGE"),
}


@pytest.mark.parametrize(
    ("call", "fields", "path", "reason"), BAD_CALLS.values(), ids=BAD_CALLS.keys()
)
def test_a_call_is_refused(
    stub: Any, call: str, fields: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        getattr(stub, call)(getattr(bo, f"{call}Request")(**fields))
    assert reason_of(refused.value)[:2] == (INVALID, reason)
    assert fields_of(refused.value) == [path]


@pytest.mark.parametrize("call", ["PlanProgram", "RollBackRuleset"])
def test_a_version_that_there_is_not_is_refused(stub: Any, call: str) -> None:
    request = getattr(bo, f"{call}Request")(version=999_999)
    if call == "RollBackRuleset":
        request.published_by = "test"
    with pytest.raises(grpc.RpcError) as refused:
        getattr(stub, call)(request)
    code, reason, metadata = reason_of(refused.value)
    assert (code, reason, metadata["version"]) == (PRECONDITION, "NO_RULESET", "999999")


def test_rolling_back_and_history(stub: Any) -> None:
    old = publish(stub, test_program(prompts_max=1), stub.clock_file)
    publish(stub, test_program(prompts_max=2), stub.clock_file)
    plan = stub.PlanProgram(bo.PlanProgramRequest(version=old))
    request = bo.RollBackRulesetRequest(
        version=old, published_by="test", newest_version=plan.newest_version
    )
    rolled = stub.RollBackRuleset(request)
    assert (rolled.version, rolled.promotion_count) == (plan.newest_version + 1, 2)
    history = stub.ListRulesetVersions(bo.ListRulesetVersionsRequest(chain_id=CHAIN, page_size=2))
    assert [version.version for version in history.versions] == [rolled.version, rolled.version - 1]
    assert history.next_before_version == rolled.version - 1
    newest = history.versions[0]
    assert (newest.published_by, newest.effective_at_us) == ("test", rolled.effective_at_us)
    assert [(c.kind, c.changed) for c in newest.programs[0].counts] == [("setting", 1)]
    assert history.live_version <= rolled.version


@pytest.mark.parametrize("call", ["ValidateProgram", "PlanProgram", "PublishProgram"])
def test_bytes_that_are_no_message_are_refused(stub: Any, call: str) -> None:
    path = f"/loyalty.v1.BackOfficeService/{call}"
    with grpc.insecure_channel(stub.target) as channel:
        send: Any = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as refused:
            send(b"\xff\xff")
    assert reason_of(refused.value)[:2] == (INVALID, "MALFORMED_MESSAGE")

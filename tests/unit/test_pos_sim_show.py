"""A cashier can read the answer, the slip fits its paper, and progress suits where it goes."""

import asyncio
import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from loyalty.v1 import answer_pb2 as answers
from loyalty.v1.back_office_service_pb2 import AuditLedgerResponse
from loyalty.v1.receipt_pb2 import EntryMethod, IdentifierKind, LineKind, QuantityUnit, TillType
from loyalty.v1.till_service_pb2 import CheckoutRequest, CheckoutResponse
from pos_sim.__main__ import app
from pos_sim.auditor import Auditor
from pos_sim.progress import RunProgress
from pos_sim.replay import Replayed
from pos_sim.run import Run
from pos_sim.sale import Place, write_sale
from pos_sim.server_process import DemoError, ServerProcess, unless_one_dies
from pos_sim.show import show_answer
from pos_sim.showcase import Showcase, Shown, is_full
from pos_sim.slip import print_slip
from pos_sim.summary import show_summary
from pos_sim.tally import Latency, Tally
from pos_sim.till import Books
from pos_sim.wording import Wording
from pos_sim.workload import PROGRAMS, Basket, Given, Item, TillPlan, Workload
from tests.unit.pos_sim_fake import FakeServer

NAMES = {"tea": "Чай чёрный крупный лист «Чайная Тропа» 100 пакетиков", "apples": "Яблоки"}


def shown(language: str = "ru") -> Shown:
    piece, kilogram = QuantityUnit.QUANTITY_UNIT_PIECE, QuantityUnit.QUANTITY_UNIT_KILOGRAM
    goods = LineKind.LINE_KIND_GOODS
    items = (
        Item("tea", 2_000, 34_990, piece, goods),
        Item("apples", 734, 12_990, kilogram, goods),
    )
    card, scanned = IdentifierKind.IDENTIFIER_KIND_CARD, EntryMethod.ENTRY_METHOD_SCANNED
    basket = Basket(0, items, 1_790_000_000_000_000, 180, "d", "C1", Given(card, "1", scanned))
    till = TillPlan("t01", "s01", TillType.TILL_TYPE_STAFFED, language, True, False, [])
    sale = write_sale(Place("demo", "RUB", till), basket)
    response = FakeServer().checkout(CheckoutRequest(sale=sale))
    return Shown(sale, response)


def written(width: int = 100) -> tuple[Console, io.StringIO]:
    paper = io.StringIO()
    return Console(file=paper, width=width, force_terminal=False), paper


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_slip_fits_its_paper_and_ends_with_the_texts(language: str) -> None:
    receipt = shown(language)
    slip = print_slip(
        receipt.sale, receipt.response.answer, NAMES, "Москва, Садовая", Wording(language)
    )
    assert max(map(len, slip)) == 40
    assert "Вы сэкономили" in "\n".join(slip[-4:])
    priced = [line for line in slip if line.endswith(("699,80", "-69,98", "95,35", "699.80"))]
    assert len(priced) >= 1
    assert all(len(line) == 40 for line in priced)


def test_a_cashier_sees_all_four_sets_and_why() -> None:
    console, paper = written()
    show_answer(console, shown(), NAMES, "Москва, Садовая")
    text = paper.getvalue()
    for expected in (
        "Скидка 10% на первый товар",
        "-69,98",
        "Начислено баллов",
        "Ваш адрес электронной почты?",
        "К чаю: пряники",
        "Поблагодарите клиента",
        "не хватило 123,45",
        "сработала x 2",
        "К ОПЛАТЕ",
    ):
        assert expected in text


def test_markup_in_texts_is_shown_as_it_is() -> None:
    console, paper = written()
    receipt = shown()
    receipt.response.answer.prompts.prompts[0].text = "[red]Имя?[/red]"
    show_answer(console, receipt, NAMES, "[b]")
    assert "[red]Имя?[/red]" in paper.getvalue()


def test_only_a_full_answer_is_worth_showing() -> None:
    answer = shown().response.answer
    assert is_full(answer)
    for spoil in ("rewards", "prompts", "cross_sell"):
        poorer = answers.Answer()
        poorer.CopyFrom(answer)
        poorer.ClearField(spoil)
        assert not is_full(poorer)
    answer.prompts.status.completeness = answers.SET_COMPLETENESS_PARTIAL
    assert not is_full(answer)


def test_the_answer_with_more_kinds_of_adjustments_is_kept() -> None:
    showcase, plain, rich = Showcase(), shown(), shown()
    rich.response.answer.lines.lines[1].adjustments.add(kind=answers.ADJUSTMENT_KIND_RECEIPT_SHARE)
    showcase.offer(plain.sale, plain.response)
    showcase.offer(rich.sale, rich.response)
    showcase.offer(plain.sale, plain.response)
    showcase.offer(plain.sale, CheckoutResponse())
    assert showcase.best is not None
    assert showcase.best.response == rich.response


def test_progress_in_a_file_is_plain_lines() -> None:
    console, paper = written()
    tally = Tally()
    with RunProgress(console, 3) as progress:
        for _ in range(3):
            tally.answered += 1
            progress(tally)
    assert paper.getvalue().count("\n") == 1
    assert "3 of 3 receipts (100%)" in paper.getvalue()


def test_progress_in_a_terminal_is_a_bar() -> None:
    paper = io.StringIO()
    console = Console(file=paper, width=100, force_terminal=True)
    with RunProgress(console, 1) as progress:
        progress(Tally(answered=1))
    assert "1/1" in paper.getvalue()


def test_percentiles_are_those_of_the_histogram() -> None:
    latency = Latency()
    for milliseconds in range(1, 101):
        latency.record(milliseconds / 1000)
    assert latency.count == 100
    assert latency.percentile_ms(50.0) == pytest.approx(50, rel=0.01)
    assert latency.max_ms == pytest.approx(100, rel=0.01)
    assert Latency().max_ms == 0


def test_the_summary_names_refusals_points_and_the_ledger() -> None:
    console, paper = written()
    books = Books(Tally(answered=5), Auditor(), Showcase())
    books.tally.refused["LIMIT_EXCEEDED"] = 2
    books.auditor.note_sold("C1", shown().response)
    load = Workload("demo", "RUB", PROGRAMS, [], [], [], [])
    audit = AuditLedgerResponse(balanced=True, transfers=7, receipts=5)
    show_summary(console, load, Replayed(books, 2.0, 1, []), audit)
    text = paper.getvalue()
    for expected in ("LIMIT_EXCEEDED 2", "points", "ledger balanced", "7 transfers", "p99"):
        assert expected in text


def test_anonymous_receipts_own_nothing() -> None:
    auditor = Auditor()
    auditor.open("C1", [])
    auditor.note_sold("C1", shown().response)
    auditor.note_uncertain("")
    assert auditor.customers == ["C1"]
    assert auditor.uncertain_count == 0
    assert [m.grown_minor for m in auditor.check("C1", [])] == [0]


def test_what_an_earlier_run_sold_is_not_posted_again() -> None:
    auditor = Auditor(since_us=100)
    auditor.open("C1", [])
    response = shown().response
    response.decided_at_us = 99
    assert not auditor.note_sold("C1", response)
    assert auditor.check("C1", []) == []
    response.decided_at_us = 100
    assert auditor.note_sold("C1", response)
    assert [mismatch.asset_code for mismatch in auditor.check("C1", [])] == ["points"]


def test_a_run_that_cannot_be_says_why_and_fails(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--receipts", str(tmp_path)])
    assert result.exit_code == 1
    assert "lacks receipts.csv.gz" in result.output.replace("\n", "")


async def start(tmp_path: Path, code: str) -> ServerProcess:
    log = tmp_path / "server.log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=sink, stderr=sink
        )
    return ServerProcess(process, "127.0.0.1:1", log)


async def test_a_server_that_dies_while_starting_shows_its_log(tmp_path: Path) -> None:
    server = await start(tmp_path, "print('no such setting'); raise SystemExit(3)")
    with pytest.raises(DemoError, match=r"died while starting(.|\n)*no such setting"):
        await server.wait_until_ready()


async def test_a_server_that_dies_at_work_ends_the_work(tmp_path: Path) -> None:
    server = await start(tmp_path, "print('out of memory'); raise SystemExit(3)")
    with pytest.raises(DemoError, match=r"ended by itself \(3\)(.|\n)*out of memory"):
        await unless_one_dies([server], asyncio.sleep(60))


async def test_a_server_must_end_with_zero(tmp_path: Path) -> None:
    server = await start(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(DemoError, match="ended with -15 after SIGTERM"):
        await server.stop()


def test_a_run_names_its_keys_by_epoch() -> None:
    key = Run(1, 99).receipt_key("demo", "s01", "t01", "2026-11-22", 12)
    assert (key.epoch, key.receipt_number, key.shift_id) == (99, "000012", "1")


def test_a_cashier_sees_coupons_hints_other_rewards_and_proofs() -> None:
    console, paper = written()
    receipt = shown()
    answer = receipt.response.answer
    answer.coupons.add(code="TEA", state=answers.COUPON_STATE_UNKNOWN, text="Купон TEA не найден")
    answer.rewards.rewards.add(kind=answers.REWARD_KIND_COUPON, count=2, text="Два купона")
    answer.rewards.rewards.add(
        kind=answers.REWARD_KIND_GIFT_CERTIFICATE, amount_minor=50_000, text="Сертификат"
    )
    answer.lane_proofs.add(lane=answers.LANE_PRICE, optimal=True)
    answer.lane_proofs.add(lane=answers.LANE_BASKET, bound_minor=150)
    answer.texts.add(
        place=answers.TEXT_PLACE_CASHIER, text="Спросите паспорт", must_acknowledge=True
    )
    answer.trace.add(
        promotion_id="late",
        outcome=answers.TRACE_OUTCOME_FAILED,
        condition=answers.TRACE_CONDITION_ARTICLES,
        missing=2,
    )
    show_answer(console, Shown(receipt.sale, receipt.response, ("Ещё 1 шт.",)), NAMES, "Москва")
    text = paper.getvalue()
    for expected in (
        "Купон TEA не найден",
        "+2 ",
        "+500,00",
        "price: лучшее сочетание, доказано",
        "basket: найдено сочетание; лучшее дало бы ещё не более 1,50",
        "! Спросите паспорт",
        "разные товары (не хватило 2)",
        "Ещё 1 шт.",
    ):
        assert expected in text

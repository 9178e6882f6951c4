"""Compiled evaluation of promotions over flat integers.

An `Engine` holds the plan of one program (rewards/plan.py) and evaluates lowered receipts
(rewards/lowering.py). It must not know what the numbers mean to anybody else: it imports nothing
of ours. Its reference twin is `rewards.evaluate.evaluate`; differential tests hold them equal.

What it costs follows the candidates of a receipt, never the promotions of the plan: slots count
only with the stamp of the evaluation that filled them, so nothing is cleared. Money and quantity
are 64-bit integers, products of them 128-bit ones; what does not fit is refused. All memory of an
evaluation stands in two arenas that are given back when it ends.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from ext.packing cimport PACK_DONE, PACK_NO_MEMORY, PackAnswer, PackProblem, pack_arrays

cdef extern from "Python.h":
    ctypedef struct PyObject
    long long PyLong_AsLongLong(object value) except? -1

include "engine_numbers.pxi"
include "engine_constants.pxi"
include "engine_rows.pxi"
include "engine_types.pxi"
include "engine_share.pxi"
include "engine_facts.pxi"
include "engine_basket.pxi"
include "engine_candidates.pxi"
include "engine_gates.pxi"
include "engine_deal.pxi"
include "engine_piece.pxi"
include "engine_set.pxi"
include "engine_bundle.pxi"
include "engine_gift.pxi"
include "engine_reward.pxi"
include "engine_proposal.pxi"
include "engine_effect.pxi"
include "engine_group.pxi"
include "engine_course.pxi"
include "engine_choice.pxi"
include "engine_column.pxi"
include "engine_column_set.pxi"
include "engine_combination.pxi"
include "engine_best.pxi"
include "engine_outcome.pxi"

cdef enum:
    TABLES_COUNT = 12


cdef class Engine:
    """Evaluates receipts under one plan. One evaluation at a time: it holds the interpreter lock.

    Args:
        tables: those of `rewards.plan.Plan`, in its order: 64-bit integers each.

    Raises:
        ValueError: a table is not there or is of another width than the engine's.
    """

    cdef Scene scene
    cdef int64_t *copied[TABLES_COUNT]
    cdef bint busy

    def __cinit__(self, tuple tables not None):
        cdef Py_ssize_t counts[TABLES_COUNT]
        cdef Py_ssize_t n
        self.scene.kept.first = _new_chunk(CHUNK_BYTES)
        self.scene.scratch.first = _new_chunk(CHUNK_BYTES)
        _rewind(&self.scene.kept)
        _rewind(&self.scene.scratch)
        if len(tables) != TABLES_COUNT:
            raise ValueError(f"a plan has {TABLES_COUNT} tables")
        for n in range(TABLES_COUNT):
            self.copied[n] = _copy_table(tables[n], &counts[n])
        _read_plan(&self.scene.plan, self.copied, counts)
        _make_slots(&self.scene)

    def __dealloc__(self):
        cdef Py_ssize_t n
        for n in range(TABLES_COUNT):
            PyMem_Free(self.copied[n])
        PyMem_Free(self.scene.slots)
        PyMem_Free(self.scene.candidate_words)
        _free_arena(&self.scene.kept)
        _free_arena(&self.scene.scratch)

    def evaluate(self, list lines not None, dict articles not None, list lowered not None):
        """Evaluate a lowered receipt, as `rewards.lowering` gave it for this plan.

        Args:
            lines: a tuple of the values of each line.
            articles: by sku a tuple of integers, those that lines name, in the order of items.
            lowered: everything else: integers of 64 bits.

        Returns:
            Lists of integers, () where one is empty, in the order of `rewards.raising.Found`.

        Raises:
            ValueError: this is no receipt of this plan.
            TypeError: a value is no integer, or a line or an article is no tuple.
            OverflowError: an amount or a quantity does not fit 64 bits.
            ZeroDivisionError: a line has no quantity.
        """
        cdef Scene *scene = &self.scene
        if self.busy:
            raise RuntimeError("the engine evaluates one receipt at a time")
        self.busy = True
        try:
            return _evaluate(scene, lines, articles, lowered)
        except BaseException:
            _clear_candidates(scene)
            raise
        finally:
            _shrink(&scene.kept)
            _shrink(&scene.scratch)
            self.busy = False


cdef tuple _evaluate(Scene *scene, list lines, dict articles, list lowered):
    cdef int64_t *withheld = NULL
    cdef Py_ssize_t count = 0, before = -1
    # Again without those promotions of which the till can sell nothing, until there are none.
    while before < count:
        before = count
        _start(scene)
        _withhold(scene, withheld, count)
        _read_receipt(scene, lines, articles, lowered)
        _run_prices(scene)
        withheld = _trimmed_away(scene, withheld, &count)
    _settle_items(scene)
    _run_lane(scene, LANE_REWARD)
    return _as_lists(scene)


cdef int _run_prices(Scene *scene) except -1:
    """Run the lanes before the reward lane, and bring what they did to the lines."""
    cdef int64_t lane
    cdef Py_ssize_t n
    _build_items(scene)
    _enter_sets(scene)
    _enter_classes(scene)
    _enter_facts(scene)
    _find_candidates(scene)
    scene.trace = <Entry *> _take(&scene.kept, scene.candidates_count, sizeof(Entry))
    scene.spends = <Notice *> _take(&scene.kept, scene.candidates_count, sizeof(Notice))
    for n in range(scene.items_count):
        if scene.items[n].goods:
            scene.goods_sent_minor += scene.items[n].sent_minor
    for lane in range(LANE_REWARD):
        _run_lane(scene, lane)
    return _effects_to_lines(scene)


cdef void _start(Scene *scene) noexcept:
    """Forget the last receipt."""
    scene.stamp += 1
    scene.mark = 0
    scene.lane_end = 0
    scene.exclusive_by = NOBODY
    scene.goods_sent_minor = 0
    scene.effects_count = scene.effects_size = 0
    scene.trace_count = scene.spends_count = scene.proofs_count = 0
    scene.decisions_count = scene.decisions_size = 0
    scene.offers_count = scene.offers_size = 0
    scene.grants_count = scene.grants_size = 0
    scene.messages_count = scene.messages_size = 0


cdef void _clear_candidates(Scene *scene) noexcept:
    """After a refusal: bits may be left that nobody has read."""
    cdef Py_ssize_t words = (scene.plan.promotions_count >> 12) + 1
    memset(scene.candidate_words, 0, <size_t> words * sizeof(uint64_t))
    memset(scene.candidate_bits, 0, <size_t> words * 64 * sizeof(uint64_t))


# --- the plan ---------------------------------------------------------------------------------

cdef int64_t *_copy_table(object table, Py_ssize_t *count) except NULL:
    """Copy 64-bit integers; never NULL, not even of an empty table."""
    cdef const int64_t[::1] values = table
    cdef Py_ssize_t n
    cdef int64_t *copied = <int64_t *> PyMem_Malloc(
        (<size_t> len(values) + 1) * sizeof(int64_t)
    )
    if copied == NULL:
        raise MemoryError()
    count[0] = len(values)
    for n in range(count[0]):
        copied[n] = values[n]
    return copied


cdef Py_ssize_t _rows_of(Py_ssize_t count, size_t width) except -1:
    """How many rows of a struct a table holds."""
    cdef Py_ssize_t integers = <Py_ssize_t> width // 8
    if count % integers:
        raise ValueError(f"a table of the plan is not {integers} wide")
    return count // integers


cdef int _read_plan(Plan *plan, int64_t **tables, const Py_ssize_t *counts) except -1:
    cdef Py_ssize_t n
    if counts[0] != 6:
        raise ValueError("the first table of a plan has 6 numbers")
    plan.numbers_count, plan.offers_count = tables[0][0], tables[0][1]
    for n in range(4):
        plan.steps_max[n] = tables[0][2 + n]
    plan.promotions = <const Promotion *> tables[1]
    plan.promotions_count = _rows_of(counts[1], sizeof(Promotion))
    plan.benefits = <const Benefit *> tables[2]
    _rows_of(counts[2], sizeof(Benefit))
    plan.pool = tables[3]
    plan.bounds = <const PriceBounds *> tables[4]
    plan.sets_count = _rows_of(counts[4], sizeof(PriceBounds))
    plan.touched_starts, plan.touched = tables[5], tables[6]
    plan.called_starts, plan.called = tables[7], tables[8]
    plan.tokens_count = counts[7] - 1
    plan.chooses, plan.groups_count = tables[9], counts[9]
    plan.classes = <const ProductClass *> tables[10]
    plan.classes_count = _rows_of(counts[10], sizeof(ProductClass))
    plan.assets = <const Asset *> tables[11]
    plan.assets_count = _rows_of(counts[11], sizeof(Asset))
    if counts[5] != plan.sets_count + 1 or plan.tokens_count < 0:
        raise ValueError("a table of the plan is cut short")
    return 0


cdef Slot *_next_slots(Slot **at, int64_t count) noexcept:
    cdef Slot *slots = at[0]
    at[0] = slots + count
    return slots


cdef int _make_slots(Scene *scene) except -1:
    """All slots in one block, all bits in another, the words of words first."""
    cdef const Plan *plan = &scene.plan
    cdef int64_t promotions = plan.promotions_count
    cdef int64_t words = (promotions >> 12) + 1
    cdef int64_t count = plan.tokens_count + plan.numbers_count + plan.offers_count
    cdef Slot *at
    count += 6 * promotions + plan.sets_count + plan.groups_count
    scene.slots = <Slot *> PyMem_Calloc(<size_t> count + 1, sizeof(Slot))
    scene.candidate_words = <uint64_t *> PyMem_Calloc(<size_t> words * 65, sizeof(uint64_t))
    if scene.slots == NULL or scene.candidate_words == NULL:
        raise MemoryError()
    scene.candidate_bits = scene.candidate_words + words
    at = scene.slots
    scene.tokens = _next_slots(&at, plan.tokens_count)
    scene.numbers = _next_slots(&at, plan.numbers_count)
    scene.own_offers = _next_slots(&at, plan.offers_count)
    scene.quotas = _next_slots(&at, promotions)
    scene.traced = _next_slots(&at, promotions)
    scene.decided = _next_slots(&at, promotions)
    scene.given = _next_slots(&at, promotions)
    scene.withheld = _next_slots(&at, promotions)
    scene.sold = _next_slots(&at, promotions)
    scene.sets = _next_slots(&at, plan.sets_count)
    scene.winners = _next_slots(&at, plan.groups_count)
    return 0

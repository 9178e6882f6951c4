"""Plans, and the history of the ruleset, as messages."""

from collections.abc import Iterable

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.limits import TEXT_ID_MAX
from rewards.problem import Problem
from rewards.program_diff import ChangeCount, ItemChange
from server.authoring.messages import ProgramChange
from server.codec import check
from server.publishing import Plan, RollBack, instant_of
from server.ruleset_history import PAGE_MAX, History, PastVersion, Wanted
from server.store.rulesets import Published, VersionHead

VERSION_MAX = 2**63 - 1

_CHANGE_KINDS = {
    "added": pb.CHANGE_KIND_ADDED,
    "removed": pb.CHANGE_KIND_REMOVED,
    "changed": pb.CHANGE_KIND_CHANGED,
}


def roll_back_from_pb(request: pb.RollBackRulesetRequest) -> RollBack:
    """Read what to roll back to.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    if not request.version:
        check.refuse_required("version")
    return RollBack(
        version=check.number_of(request.version, "version", 1, VERSION_MAX),
        program_id=check.optional_text_of(request.program_id, "program_id", TEXT_ID_MAX),
        effective_at_us=instant_of(request.effective_at_us),
        published_by=check.text_of(request.published_by, "published_by"),
        newest_version=check.number_of(request.newest_version, "newest_version", 0, VERSION_MAX),
        replaces_scheduled=request.replaces_scheduled,
    )


def wanted_from_pb(request: pb.ListRulesetVersionsRequest) -> Wanted:
    """Read which versions are asked for.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    return Wanted(
        program_id=check.optional_text_of(request.program_id, "program_id", TEXT_ID_MAX),
        chain_id=check.optional_text_of(request.chain_id, "chain_id", TEXT_ID_MAX),
        before_version=check.number_of(request.before_version, "before_version", 0, VERSION_MAX),
        page_size=check.number_of(request.page_size, "page_size", 0, PAGE_MAX),
    )


def plan_to_pb(plan: Plan) -> pb.PlanProgramResponse:
    """Spell a plan."""
    base, newest = plan.base, plan.newest
    return pb.PlanProgramResponse(
        problems=_problems(plan.problems),
        warnings=_problems(plan.warnings),
        programs=[_program(change) for change in plan.changes],
        base_version=base.version if base else 0,
        base_effective_at_us=base.effective_at_us if base else 0,
        newest_version=newest.version if newest else 0,
        newest_effective_at_us=newest.effective_at_us if newest else 0,
        earliest_us=plan.earliest_us,
        replaced=_replaced(plan.replaced),
    )


def published_to_pb(published: Published) -> pb.PublishProgramResponse:
    """Spell a version that is published."""
    return pb.PublishProgramResponse(
        version=published.head.version,
        effective_at_us=published.head.effective_at_us,
        promotion_count=published.head.promotion_count,
        replaced=_replaced(published.replaced),
    )


def rolled_back_to_pb(published: Published) -> pb.RollBackRulesetResponse:
    """Spell a version with the content of an old one."""
    return pb.RollBackRulesetResponse(
        version=published.head.version,
        effective_at_us=published.head.effective_at_us,
        promotion_count=published.head.promotion_count,
        replaced=_replaced(published.replaced),
    )


def history_to_pb(history: History) -> pb.ListRulesetVersionsResponse:
    """Spell a page of versions."""
    return pb.ListRulesetVersionsResponse(
        versions=[_version(past) for past in history.versions],
        next_before_version=history.next_before,
        live_version=history.live_version,
    )


def _version(past: PastVersion) -> pb.VersionHistory:
    head = past.head
    return pb.VersionHistory(
        version=head.version,
        effective_at_us=head.effective_at_us,
        published_at_us=head.published_at_us,
        published_by=head.published_by,
        promotion_count=head.promotion_count,
        programs=[_program(change) for change in past.summary.changes],
        unreadable=not past.summary.is_read,
        replaced_by_version=head.replaced_by,
        base_version=head.base_version,
    )


def _replaced(heads: Iterable[VersionHead]) -> list[pb.ReplacedVersion]:
    return [
        pb.ReplacedVersion(
            version=head.version,
            effective_at_us=head.effective_at_us,
            published_by=head.published_by,
        )
        for head in heads
    ]


def _program(change: ProgramChange) -> pb.ProgramChange:
    difference = change.difference
    return pb.ProgramChange(
        program_id=change.program_id,
        chain_id=change.chain_id,
        change=_CHANGE_KINDS[change.change],
        promotion_count=change.promotion_count,
        counts=[_count(count) for count in difference.counts],
        items=[_item(item) for item in difference.changes],
        items_omitted=difference.omitted,
    )


def _count(count: ChangeCount) -> pb.ChangeCount:
    return pb.ChangeCount(
        kind=count.kind, added=count.added, removed=count.removed, changed=count.changed
    )


def _item(item: ItemChange) -> pb.ItemChange:
    return pb.ItemChange(
        kind=item.kind,
        item_id=item.item_id,
        change=_CHANGE_KINDS[item.change],
        fields=[
            pb.FieldChange(path=field.path, old_value=field.old, new_value=field.new)
            for field in item.fields
        ],
        fields_cut=item.is_cut,
    )


def _problems(problems: Iterable[Problem]) -> list[pb.ProgramProblem]:
    return [pb.ProgramProblem(path=found.path, reason=found.reason) for found in problems]

from collections.abc import Sequence

def pack(
    capacities: Sequence[int],
    values: Sequence[int],
    times_max: Sequence[int],
    promotions: Sequence[int],
    offsets: Sequence[int],
    classes: Sequence[int],
    counts: Sequence[int],
    party_times_max: Sequence[int],
    party_groups: Sequence[int],
    steps_max: int,
) -> tuple[list[int], int, int, int]: ...

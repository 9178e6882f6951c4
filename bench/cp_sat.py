"""CP-SAT of OR-tools as an opponent: solves packing problems, one JSON line each, in its own venv.

OR-tools wants an older protobuf than our stubs, so it runs with another interpreter; this module
imports nothing of ours. The model is written straight from the problem: an integer a way, a
constraint a class, a constraint a limit, and a yes or no for each promotion of a group.
"""

import json
import sys
import time
from typing import Any

from ortools.sat.python import cp_model


def solve(problem: dict[str, Any], seconds_max: float, repeats: int) -> dict[str, Any]:
    """Solve one problem with one worker.

    Args:
        problem: capacities, applications as (promotion, value, times_max, uses), parties as
            (times_max, group).
        seconds_max: when to give up.
        repeats: how often to solve it; the fastest counts.

    Returns:
        The total, whether it is proved, and microseconds: to build the model, and to solve it.
    """
    begun = time.perf_counter()
    model = _model(problem)
    build_us = (time.perf_counter() - begun) * 1e6
    solve_us = []
    for _ in range(repeats):
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_time_in_seconds = seconds_max
        begun = time.perf_counter()
        status = solver.solve(model)
        solve_us.append((time.perf_counter() - begun) * 1e6)
    return {
        "total": round(solver.objective_value),
        "proved": status == cp_model.OPTIMAL,
        "build_us": build_us,
        "solve_us": min(solve_us),
    }


def _model(problem: dict[str, Any]) -> Any:
    model = cp_model.CpModel()
    capacities, parties = problem["capacities"], problem["parties"]
    used: list[list[Any]] = [[] for _ in capacities]
    taken: list[list[Any]] = [[] for _ in parties]
    most: list[int] = [0] * len(parties)
    worth = []
    for promotion, value, times_max, uses in problem["applications"]:
        times_max = min([times_max, *(capacities[number] // count for number, count in uses)])
        times = model.new_int_var(0, times_max, "")
        for number, count in uses:
            used[number].append(count * times)
        taken[promotion].append(times)
        most[promotion] += times_max
        worth.append(value * times)
    for capacity, pieces in zip(capacities, used, strict=True):
        model.add(sum(pieces) <= capacity)
    fired: dict[int, list[Any]] = {}
    for number, (times_max, group) in enumerate(parties):
        if times_max:
            model.add(sum(taken[number]) <= times_max)
        if group >= 0:
            fires = model.new_bool_var("")
            model.add(sum(taken[number]) <= most[number] * fires)
            fired.setdefault(group, []).append(fires)
    for members in fired.values():
        model.add_at_most_one(members)
    model.maximize(sum(worth))
    return model


def main() -> None:
    """Answer each line of standard input; the arguments are the limit in seconds, and repeats."""
    seconds_max, repeats = float(sys.argv[1]), int(sys.argv[2])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(solve(json.loads(line), seconds_max, repeats)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

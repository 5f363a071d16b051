"""The table: per file how many mutants were tried, killed, and survived."""

from collections import Counter

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome
from hunt import database


def show(names: list[str]) -> float:
    """Print the table and the survivors; return the share of the killed in per cent."""
    rows, survivors = [], []
    for name in names:
        if not database(name).exists():
            continue
        count: Counter[str] = Counter()
        with use_db(database(name)) as db:
            for item, result in db.completed_work_items:
                if result.worker_outcome != WorkerOutcome.NORMAL:
                    continue
                killed = result.test_outcome == TestOutcome.KILLED
                count["killed" if killed else "survived"] += 1
                count["hung"] += killed and result.output.startswith("hung")
                if not killed:
                    place = item.mutations[0]
                    operator = place.operator_name.removeprefix("core/")
                    where = f"{name}:{place.start_pos[0]}:{place.start_pos[1]}"
                    survivors.append(f"{where} {operator}: {result.diff}")
        rows.append((name, count))
    whole = sum((count for _, count in rows), Counter[str]())
    print("| file | mutants | killed | of these by a hang | survived |")
    print("|---|---:|---:|---:|---:|")
    for name, count in [*rows, ("all", whole)]:
        tried = count["killed"] + count["survived"]
        if tried:
            print(
                f"| {name} | {tried} | {count['killed']} | {count['hung']} | {count['survived']} |"
            )
    print("\n".join(survivors))
    share = 100 * whole["killed"] / max(1, whole["killed"] + whole["survived"])
    print(f"{share:.1f} % killed")
    return share

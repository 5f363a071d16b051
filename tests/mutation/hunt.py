"""Every mutant of a file against the tests that come to its line."""

import ast
from pathlib import Path
from time import monotonic

import mutants
import trials
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult
from covering import Covering
from suite import SCRATCH, pytest_arguments

# Seconds of tests, those most particular to the line first: most mutants die in the first step.
STEPS = (3.0, 15.0, 60.0)


def database(name: str) -> Path:
    return SCRATCH / (name.replace("/", "-").removesuffix(".py") + ".sqlite")


def hunt(path: Path, name: str, covering: Covering, again: bool) -> None:
    """Try the mutants of `path`, or its survivors once more; what is found stays in a database."""
    with use_db(database(name)) as db:
        if again:
            items = [item for item, result in db.completed_work_items if _survived(result)]
        else:
            mutants.make(path, db)
            items = list(db.pending_work_items)
        items.sort(key=lambda item: item.mutations[0].start_pos)
        tree = ast.parse(path.read_text())
        for item in items:
            began = monotonic()
            how = _try(db, item, name, covering, tree)
            place = item.mutations[0]
            print(
                f"{name}:{place.start_pos[0]} {place.operator_name.removeprefix('core/')}: {how}"
                f" ({monotonic() - began:.1f} s)",
                flush=True,
            )


def _survived(result: WorkResult) -> bool:
    return result.test_outcome == TestOutcome.SURVIVED


def _try(db: WorkDB, item: WorkItem, name: str, covering: Covering, tree: ast.AST) -> str:
    mutation: MutationSpec = item.mutations[0]
    tests = covering.tests_for(name, mutation.start_pos[0], mutation.end_pos[0], tree)
    operator = get_operator(mutation.operator_name)()
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (before, after):
        how, tried = "survived", 0
        for some in _in_steps(tests, covering.seconds):
            how = _killed_by(some, covering)
            tried += len(some)
            if how:
                break
        diff = "\n".join(_changed(before, after))
    outcome = TestOutcome.KILLED if how else TestOutcome.SURVIVED
    how = how or f"SURVIVED {tried} tests"
    db.set_result(item.job_id, WorkResult(WorkerOutcome.NORMAL, how, outcome, diff))
    return how


def _in_steps(tests: list[str], seconds: dict[str, float]) -> list[list[str]]:
    """Split, in their order, into what takes as many seconds as each of STEPS; no more is tried."""
    steps: list[list[str]] = []
    rest = list(tests)
    for most in STEPS:
        step: list[str] = []
        while rest and (not step or sum(map(seconds.__getitem__, [*step, rest[0]])) <= most):
            step.append(rest.pop(0))
        steps.append(step)
    return [step for step in steps if step]


def _killed_by(tests: list[str], covering: Covering) -> str:
    """Return the test that failed, or how the run ended; empty if it passed."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    log = SCRATCH / "trial.log"
    trial = trials.run(["-x", *pytest_arguments(files)], tests, covering.seconds, log)
    if trial.passed:
        return ""
    if trial.status is None:
        return f"hung in {trial.last}"
    if trial.failed:
        return trial.failed[0]
    if trial.status == 5:
        raise RuntimeError(f"no test was run: see {log}")
    return f"ended with {trial.status}"  # such as a module that no longer imports


def _changed(before: str, after: str) -> list[str]:
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return [f"{old.strip()}  ->  {new.strip()}" for old, new in pairs if old != new][:1]

"""Which changes are tried: cosmic-ray's, without those that no test is needed for."""

import ast
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, WorkerOutcome, WorkResult

# Of every operator its neighbours, by one of which a boundary shows and by one the direction. All
# others (`a << b` for `a + b`) fail wherever these do and would only raise the share of the killed.
NEIGHBOURS = {
    "Binary": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul LShift_RShift "
    "RShift_LShift BitOr_BitAnd BitAnd_BitOr BitXor_BitAnd",
    "Comparison": "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt "
    "Is_IsNot IsNot_Is",
}
WANTED = {
    f"core/Replace{kind}Operator_{each}"
    for kind, names in NEIGHBOURS.items()
    for each in names.split()
}


def make(path: Path, db: WorkDB) -> None:
    """List the mutants of a file in `db`; what is not tried is there as skipped."""
    init([path], db, {})
    source = path.read_text()
    annotations = list(_annotations(ast.parse(source)))
    for item in db.work_items:
        (mutation,) = item.mutations
        why = _not_tried(mutation, source, annotations)
        if why:
            db.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED, output=why))


def _not_tried(
    mutation: MutationSpec, source: str, annotations: list[tuple[tuple[int, int], tuple[int, int]]]
) -> str:
    name = mutation.operator_name
    if name.startswith(("core/ReplaceBinary", "core/ReplaceComparison")) and name not in WANTED:
        return "no neighbour"
    if any(begin <= mutation.start_pos < end for begin, end in annotations):
        return "an annotation"
    if name == "core/ReplaceBinaryOperator_Mul_Div":
        code = mutate_code(source, get_operator(name)(), mutation.occurrence)
        try:
            compile(code, mutation.module_path, "exec")
        except SyntaxError:
            return "no Python"  # the tool takes the star before keywords for a product
    return ""


def _annotations(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where types stand: mypy's to check. Columns in characters, the sources being ASCII there."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                yield (
                    (found.lineno, found.col_offset),
                    (found.end_lineno or 0, found.end_col_offset or 0),
                )

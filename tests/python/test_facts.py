"""What a session reports is a value: it cannot be changed and compares by its content."""

import dataclasses
from typing import Any

import inferkit
import pytest

TENSOR = inferkit.TensorInfo("x", "float32", ("batch", 3, None))
RESULT = inferkit.ResultInfo(1, 4, 2, "runner", 0.25, 0.5, 0.75)
NUMBERS = {field.name: number for number, field in enumerate(dataclasses.fields(inferkit.Stats))}
STATS = inferkit.Stats(**{**NUMBERS, "batch_sizes": {3: 2}})  # type: ignore[arg-type]


@pytest.mark.parametrize("fact", [TENSOR, RESULT, STATS])
def test_a_fact_is_a_value(fact: Any) -> None:
    first = dataclasses.fields(fact)[0].name
    with pytest.raises(AttributeError):
        setattr(fact, first, 5)
    with pytest.raises((AttributeError, TypeError)):
        fact.something_else = 5
    assert not hasattr(fact, "__dict__")
    again = dataclasses.replace(fact)
    assert again == fact and again is not fact
    assert repr(fact).startswith(f"{type(fact).__name__}({first}=")
    assert type(fact).__module__ == "inferkit"


def test_facts_without_a_dict_are_keys() -> None:
    assert {TENSOR: 1, RESULT: 2}[dataclasses.replace(TENSOR)] == 1


def test_statistics_as_a_dict_are_a_copy() -> None:
    found = STATS.as_dict()
    assert found == {**NUMBERS, "batch_sizes": {3: 2}}
    found["batch_sizes"][3] = 9  # type: ignore[index]
    assert STATS.batch_sizes == {3: 2}

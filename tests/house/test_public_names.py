"""What users may rely on is what __all__ lists, no more and no less."""

import importlib
import types

import inferkit
import pytest

PUBLIC_MODULES = ["inferkit", "inferkit.errors"]


def name_violations(module: types.ModuleType) -> list[str]:
    """One line for each difference between __all__ and the public attributes."""
    listed = module.__all__
    found = [] if listed == sorted(set(listed)) else ["__all__ is not sorted, or has doubles"]
    found += [f"{name} is listed and missing" for name in listed if not hasattr(module, name)]
    for name, value in vars(module).items():
        public = not name.startswith("_") and not isinstance(value, types.ModuleType)
        if public and name not in listed:
            found.append(f"{name} is public and not listed")
    return found


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_all_is_sorted_and_complete(name: str) -> None:
    assert name_violations(importlib.import_module(name)) == []


def test_public_classes_say_where_users_find_them() -> None:
    strangers = [
        name
        for name in inferkit.__all__
        if isinstance(value := getattr(inferkit, name), type)
        and value.__module__.split(".")[0] == "inferkit"
        and "._" in value.__module__
    ]
    assert strangers == []


def test_the_rule_sees_each_difference() -> None:
    module = types.ModuleType("synthetic")
    module.__dict__.update(__all__=["b", "a"], a=1, c=2, _d=3, e=types)
    assert name_violations(module) == [
        "__all__ is not sorted, or has doubles",
        "b is listed and missing",
        "c is public and not listed",
    ]

"""Facts: when a target is reached, how variants are named, what a catalog refuses."""

import dataclasses
import json
import math
from typing import Any

import pytest

from algoperf.facts import DataFiles, Facts, index, reached, variant
from workloads.catalog import CATALOG


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "name": "cifar",
        "base": "cifar",
        "scale": "full",
        "metric": "accuracy",
        "goal": "max",
        "validation_target": 0.75,
        "test_target": 0.5,
        "max_runtime_s": 100.0,
        "step_hint": 1_000,
        "loss": "softmax_cross_entropy",
        "batch_size": 128,
        "eval_batch_size": 256,
        "examples": {"train": 1_000, "eval_train": 100, "validation": 100},
        "data": DataFiles("small pictures"),
        "eval_period_s": 10.0,
        "model": {"activation": "relu"},
    }
    return Facts(**(values | changes))


@pytest.mark.parametrize(
    ("value", "target", "goal", "expected"),
    [
        (0.75, 0.75, "max", True),
        (0.75, 0.75, "min", True),
        (0.76, 0.75, "max", True),
        (0.76, 0.75, "min", False),
        (0.74, 0.75, "max", False),
        (0.74, 0.75, "min", True),
        (math.nextafter(0.75, 0), 0.75, "max", False),
        (math.nextafter(0.75, 1), 0.75, "min", False),
        (math.inf, 0.75, "max", True),
        (math.inf, 0.75, "min", False),
        (-math.inf, 0.75, "min", True),
        (math.nan, 0.75, "max", False),
        (math.nan, 0.75, "min", False),
    ],
)
def test_equality_reaches_a_target_and_nan_never_does(value, target, goal, expected):
    assert reached(value, target, goal) is expected


def test_validation_and_test_have_their_own_targets():
    assert facts().reached_validation(0.75)
    assert not facts().reached_validation(0.5)
    assert facts().reached_test(0.5)
    assert not facts().reached_test(math.nan)


def test_without_a_test_target_the_test_target_is_reached():
    assert facts(test_target=None).reached_test(math.nan)


@pytest.mark.parametrize(
    ("base", "expected"),
    [("cifar", "cifar_gelu"), ("cifar_mini", "cifar_gelu_mini")],
)
def test_the_suffix_of_a_variant_goes_before_mini(base, expected):
    assert variant(facts(name=base, base=base), "gelu").name == expected


def test_a_variant_differs_from_its_base_in_what_is_named_only():
    base = facts()
    changed = variant(base, "gelu", model={"activation": "gelu"}, validation_target=0.7)
    assert changed.base == "cifar"
    assert changed.model == {"activation": "gelu"}
    assert changed.validation_target == 0.7
    back = dataclasses.replace(
        changed, name="cifar", model=base.model, validation_target=0.75
    )
    assert back == base
    assert base.model == {"activation": "relu"}


def test_a_variant_refuses_a_fact_that_does_not_exist():
    with pytest.raises(TypeError, match="learning_rate"):
        variant(facts(), "gelu", learning_rate=0.1)


def test_a_catalog_refuses_two_workloads_of_a_name():
    with pytest.raises(ValueError, match="two workloads are called 'cifar'"):
        index([facts(), facts()])


def test_a_catalog_refuses_a_base_that_is_not_there():
    with pytest.raises(ValueError, match="cifar_gelu: base 'cifar' is not"):
        index([variant(facts(), "gelu")])


def test_a_catalog_takes_a_variant_before_its_base_and_is_read_only():
    catalog: Any = index([variant(facts(), "gelu"), facts()])
    assert list(catalog) == ["cifar_gelu", "cifar"]
    with pytest.raises(TypeError):
        catalog["cifar"] = facts()


@pytest.mark.parametrize(
    "periods",
    [
        {"eval_period_s": None, "eval_period_steps": None},
        {"eval_period_s": 10.0, "eval_period_steps": 50},
    ],
)
def test_an_eval_period_is_given_exactly_once(periods):
    with pytest.raises(ValueError, match="cifar: give eval_period_s or eval_period_s"):
        facts(**periods)


def test_an_eval_period_may_be_in_steps():
    by_steps = facts(eval_period_s=None, eval_period_steps=50)
    assert (by_steps.eval_period_s, by_steps.eval_period_steps) == (None, 50)


def test_facts_are_read_only():
    row: Any = facts()
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.validation_target = 0.0
    with pytest.raises(TypeError):
        row.examples["train"] = 1
    with pytest.raises(TypeError):
        row.model["activation"] = "gelu"


def test_facts_do_not_follow_the_mapping_they_were_made_of():
    examples = {"train": 1_000, "eval_train": 100}
    row = facts(examples=examples)
    examples["train"] = 1
    assert row.examples["train"] == 1_000


def test_facts_can_be_keys():
    assert len({facts(), facts(), variant(facts(), "gelu")}) == 2


@pytest.mark.parametrize("row", CATALOG.values(), ids=CATALOG)
def test_facts_are_plain_json(row):
    plain = row.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["name"] == row.name
    assert plain["examples"] == dict(row.examples)
    assert plain["data"] == row.data.summary
    assert plain.keys() == {field.name for field in dataclasses.fields(Facts)}


def test_changing_the_plain_facts_changes_no_facts():
    row = facts()
    row.as_dict()["examples"]["train"] = 1
    assert row.examples["train"] == 1_000

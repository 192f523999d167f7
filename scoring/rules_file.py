"""Rules from a JSON file of the shape of `rules` in scores.json."""

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

from algoperf.facts import Goal, UserError, closest
from scoring.rules import Rules, WorkloadRule, get_rules

_LISTS = ("workloads", "held_out", "optional")
_COUNTS = ("studies", "trials_external", "trials_self")
_FACTORS = ("self_tuning_budget_factor", "tau_max", "far_factor")


def read_rules(rules: str | Path) -> Rules:
    """The rules of a version, or those in a JSON file.

    Raises:
      UserError: neither a version nor a file; or a file that is no rules, with the
        key that is wrong.
    """
    path = Path(rules)
    if not (path.suffix == ".json" or path.is_file()):
        return get_rules(str(rules))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read the rules {path}: {reason}.") from None
    except ValueError as error:
        raise UserError(f"the rules {path} are no JSON: {error}.") from None
    if isinstance(content, dict) and "leaderboard" in content:
        content = content.get("rules")  # a whole scores.json
    try:
        return rules_of(content, name=path.stem)
    except UserError as error:
        raise UserError(f"rules {path}: {error}") from None


def rules_of(content: Any, name: str) -> Rules:
    """Rules from plain JSON values.

    Args:
      name: of the rules, if the content gives them none.

    Raises:
      UserError: what is wrong, and what is allowed.
    """
    content = {"name": name, **_object(content, "the rules", Rules)}
    lists = {key: _workloads(content.get(key, []), key) for key in _LISTS}
    if not lists["workloads"]:
        raise UserError("'workloads' is empty: name one workload at least.")
    every = [rule for rules in lists.values() for rule in rules]
    for rule in every:
        if sum(other.name == rule.name for other in every) > 1:
            raise UserError(f"two workloads are called {rule.name!r}.")
    scored = [rule.name for rule in lists["workloads"]]
    for rule in lists["workloads"]:
        if rule.base != rule.name:
            raise UserError(
                f"workload {rule.name!r} has the base {rule.base!r}: a scored workload "
                "is its own base. Put variants that guard one into 'held_out'."
            )
    for rule in lists["held_out"]:
        if rule.base not in scored:
            raise UserError(
                f"held-out workload {rule.name!r} has the base {rule.base!r}, which is "
                f"not scored; {closest(rule.base, scored)}Scored: {', '.join(scored)}."
            )
    checks: dict[str, Callable[[Any, str], Any]] = {
        **dict.fromkeys(_COUNTS, _count),
        **dict.fromkeys(_FACTORS, _factor),
        "restricted": _flag,
        "name": _text,
    }
    single = {
        key: check(content[key], key) for key, check in checks.items() if key in content
    }
    rules = Rules(**lists, **single)
    if rules.tau_max <= 1:
        raise UserError(f"'tau_max' is {rules.tau_max:g}; it has to be above 1.")
    return rules


def _workloads(content: Any, key: str) -> tuple[WorkloadRule, ...]:
    if not isinstance(content, list):
        raise UserError(f"{key!r} is {_shown(content)}; it has to be a list.")
    return tuple(_workload(one, f"{key}[{place}]") for place, one in enumerate(content))


def _workload(content: Any, where: str) -> WorkloadRule:
    content = dict(_object(content, where, WorkloadRule, optional=("base",)))
    content.setdefault("base", content["name"])
    for key in ("name", "base", "metric"):
        _text(content[key], f"{where}.{key}")
    if content["goal"] not in get_args(Goal):
        raise UserError(
            f"'{where}.goal' is {_shown(content['goal'])}; allowed: "
            f"{', '.join(get_args(Goal))}."
        )
    target = content["validation_target"]
    content["validation_target"] = _number(target, f"{where}.validation_target")
    content["max_runtime_s"] = _factor(
        content["max_runtime_s"], f"{where}.max_runtime_s"
    )
    return WorkloadRule(**content)


def _object(
    content: Any, where: str, kind: type, optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A JSON object with the fields of a dataclass and no others."""
    if not isinstance(content, dict):
        raise UserError(f"{where} is {_shown(content)}; it has to be an object.")
    known = {field.name: field for field in fields(kind)}
    for key in content:
        if key not in known:
            raise UserError(
                f"{where} has an unknown key {key!r}; {closest(key, known)}"
                f"Known: {', '.join(known)}."
            )
    for key, field in known.items():
        needed = field.default is MISSING and key not in (*optional, "name")
        if key not in content and (needed or (kind is WorkloadRule and key == "name")):
            raise UserError(f"{where} lacks {key!r}.")
    return content


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key!r} is {_shown(value)}; it has to be a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UserError(f"{key!r} is {_shown(value)}; it has to be finite.")
    return number


def _factor(value: Any, key: str) -> float:
    number = _number(value, key)
    if number <= 0:
        raise UserError(f"{key!r} is {number:g}; it has to be above 0.")
    return number


def _count(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(
            f"{key!r} is {_shown(value)}; it has to be a whole number >= 1."
        )
    return value


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{key!r} is {_shown(value)}; it has to be true or false.")
    return value


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{key!r} is {_shown(value)}; it has to be a text.")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."

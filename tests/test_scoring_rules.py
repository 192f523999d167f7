"""The rule versions are the published ones; `mini` follows the catalog."""

import pytest

from algoperf.facts import UserError
from scoring.rules import (
    VERSIONS,
    Rules,
    WorkloadRule,
    get_rules,
    versions_with,
)
from workloads.catalog import CATALOG


def test_versions():
    assert VERSIONS == ("mini", "v0.5", "v0.6", "a100")
    for version in VERSIONS:
        rules = get_rules(version)
        assert (rules.name, rules.tau_max, rules.restricted) == (version, 4.0, False)
        assert (rules.trials("external"), rules.trials("self")) == (5, 1)


@pytest.mark.parametrize(
    ("version", "workloads", "held_out", "studies", "factor", "fastmri_s"),
    [
        ("v0.5", 8, 6, 5, 3.0, 8_859),
        ("v0.6", 8, 0, 3, 1.5, 4_430),
        ("a100", 9, 0, 3, 1.5, 2_745),
    ],
)
def test_published_versions(
    version: str,
    workloads: int,
    held_out: int,
    studies: int,
    factor: float,
    fastmri_s: float,
):
    rules = get_rules(version)
    assert (len(rules.workloads), len(rules.held_out)) == (workloads, held_out)
    assert rules.studies == studies
    fastmri = rules.workloads[rules.names.index("fastmri")]
    assert (fastmri.column, fastmri.goal) == ("validation/ssim", "max")
    assert rules.budget_s(fastmri, "external") == fastmri_s
    assert rules.budget_s(fastmri, "self") == factor * fastmri_s


def test_held_out_workloads_have_their_own_target_and_the_base_budget():
    rules = get_rules("v0.5")
    assert {
        (rule.name, rule.base, rule.validation_target) for rule in rules.held_out
    } == {
        ("criteo1tb_embed_init", "criteo1tb", 0.129657),
        ("fastmri_tanh", "fastmri", 0.71784),
        ("imagenet_resnet_large_bn_init", "imagenet_resnet", 0.76526),
        ("librispeech_conformer_layernorm", "librispeech_conformer", 0.09731),
        ("ogbg_model_size", "ogbg", 0.269446),
        ("wmt_glu_tanh", "wmt", 29.5779),
    }
    bases = {rule.name: rule for rule in rules.workloads}
    for rule in rules.held_out:
        base = bases[rule.base]
        assert (rule.metric, rule.goal) == (base.metric, base.goal)
        assert rule.max_runtime_s == base.max_runtime_s


def test_mini_scores_every_base_mini_workload_of_the_catalog():
    rules = get_rules("mini")
    mini = [facts for facts in CATALOG.values() if facts.scale == "mini"]
    bases = [facts.name for facts in mini if facts.base == facts.name]
    assert list(rules.names) == bases
    assert {rule.name for rule in rules.optional} == {f.name for f in mini} - set(bases)
    digits = rules.workloads[rules.names.index("digits")]
    assert digits.validation_target == CATALOG["digits"].validation_target
    assert rules.studies == 3


def test_only_restricts_the_workloads_with_their_held_out_ones():
    rules = get_rules("v0.5").only(["wmt", "ogbg", "wmt"])
    assert rules.names == ("ogbg", "wmt")
    assert [rule.name for rule in rules.held_out] == ["ogbg_model_size", "wmt_glu_tanh"]
    assert rules.restricted
    whole = get_rules("v0.6")
    assert not whole.only(whole.names).restricted


def test_optional_workloads_count_only_by_name():
    base = WorkloadRule("cifar_mini", "cifar_mini", "accuracy", "max", 0.5, 60.0)
    gelu = WorkloadRule("cifar_gelu_mini", "cifar_mini", "accuracy", "max", 0.5, 60.0)
    rules = Rules(name="mini", workloads=(base,), optional=(gelu,))
    assert rules.needed == (base,)
    assert rules.only(["cifar_gelu_mini"]).workloads == (gelu,)
    both = rules.only(["cifar_gelu_mini", "cifar_mini"])
    assert both.workloads == (base, gelu)
    assert both.restricted


def test_errors_list_what_there_is():
    with pytest.raises(UserError) as error:
        get_rules("v06")
    assert str(error.value) == (
        "no scoring rules 'v06'; did you mean v0.6 or v0.5? "
        "--rules takes one of: mini, v0.5, v0.6, a100."
    )
    with pytest.raises(UserError, match=r"'v0.6' have no workload 'wtm'; did you mean"):
        get_rules("v0.6").only(["wtm"])


def test_versions_with_a_workload():
    assert versions_with("finewebedu_lm") == ("a100",)
    assert versions_with("wmt_glu_tanh") == ("v0.5",)
    assert versions_with("digits") == ("mini",)
    assert versions_with("nothing") == ()

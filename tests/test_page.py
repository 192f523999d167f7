"""leaderboard.html: safe, self-contained, small, and there for every kind of logs."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from test_scoring_load import write_trial

import scoring
from scoring.rules import Rules, WorkloadRule, get_rules
from scoring.web.axes import FINE, Frame, short, stairs, thinned, ticks, traced
from scoring.web.markup import Cell, Column, Markup, el, listed, table
from scoring.web.page import render_page

RULES = get_rules("mini").only(["digits", "mnist_mini"])
ROWS = [(10.0, 0.5), (20.0, 0.999)]
PARTS = "leaderboard profiles times curves speed tuning clock sensitivity health rules"


class Outline(HTMLParser):
    """What the browser would make of a page: balanced elements, ids, addresses."""

    EMPTY = ("br", "input", "meta", "link", "!doctype")

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.addresses += [attributes[k] for k in ("href", "src") if k in attributes]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def page_of(root: Path, rules: Rules = RULES, **options) -> str:
    return render_page(scoring.score(root, rules, **options))


def write_tree(root: Path, names, studies: int = 3, rows=ROWS) -> Path:
    for place, name in enumerate(names):
        late = [(time_s + place, value) for time_s, value in rows]
        for study in range(studies):
            for workload in ("digits", "mnist_mini"):
                write_trial(root / name / f"study_{study}/{workload}_jax/trial_1", late)
    return root


def test_every_part_is_there_and_nothing_is_loaded(tmp_path: Path):
    text = page_of(write_tree(tmp_path, ["adam", "sgd"]), reference="adam")
    outline = Outline(text)
    assert set(PARTS.split()) <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    assert all(a.startswith("#") or a == "data:," for a in outline.addresses)
    assert {a[1:] for a in outline.addresses if a.startswith("#")} <= set(outline.ids)
    assert "default-src 'none'" in html.unescape(text)
    assert not re.search(r"url\(|@import|https?://|//cdn", text)


def test_the_same_logs_give_the_same_page(tmp_path: Path):
    write_tree(tmp_path, ["adam", "sgd"])
    assert page_of(tmp_path) == page_of(tmp_path)


def test_names_are_text_and_never_markup(tmp_path: Path):
    name = "<script>alert(1)</script> & \"q\" 'a' [b]"
    folder = name.replace("/", "\u2215")
    text = page_of(write_tree(tmp_path, [folder, "sgd"]))
    outline = Outline(text)
    assert "<script>alert" not in text
    assert folder in outline.texts


def test_hyperparameters_are_text_too(tmp_path: Path):
    write_tree(tmp_path, ["adam"])
    trial = tmp_path / "adam/study_0/digits_jax/trial_1"
    (trial / "hparams.json").write_text('{"note": "<img src=x onerror=alert(1)>"}')
    text = page_of(tmp_path)
    assert "<img" not in text
    assert "note &lt;img src=x" in text


@pytest.mark.parametrize(
    ("studies", "rows", "said"),
    [
        (3, [(1.0, 0.1)], "No submission reached a target that counts."),
        (3, [(1.0, 0.1)], "study 0 missed; trial 1 came nearest, 0.1 at 1.0 s"),
        (3, [], "No evaluations in the logs."),
        (1, ROWS, "1 of 3 planned studies found"),
        (3, [(1.0, float("nan")), (2.0, 0.999)], "NaN in validation/accuracy"),
        (3, ROWS, "speed-ups need a reference"),
    ],
)
def test_logs_with_little_in_them(tmp_path: Path, studies: int, rows, said: str):
    text = page_of(write_tree(tmp_path, ["adam"], studies, rows))
    Outline(text)
    assert said in text
    assert not re.search(r'="(nan|inf)"|>nan<|>inf<|nan,|,nan', text)


def test_the_first_sentence_says_who_leads_and_how_surely(tmp_path: Path):
    write_tree(tmp_path, ["adam", "sgd"])
    told = page_of(tmp_path)
    assert "and the studies tell it apart from every other" in told
    assert ">alike<" not in told
    # One study of three is the other way round: a resample may have it twice.
    trial = tmp_path / "adam/study_0/digits_jax/trial_1/eval_measurements.csv"
    trial.write_text(trial.read_text().replace("20.0", "90.0"))
    other = tmp_path / "adam/study_0/mnist_mini_jax/trial_1/eval_measurements.csv"
    other.write_text(other.read_text().replace("20.0", "90.0"))
    told = page_of(tmp_path)
    assert "adam leads" in told
    assert "but the studies do not tell it apart from sgd." in told
    assert told.count('class="rule top"') == told.count('class="rule end"') == 1


def test_equal_submissions_share_the_first_place(tmp_path: Path):
    write_tree(tmp_path / "a", ["adam"])
    (tmp_path / "a/adam").rename(tmp_path / "adam")
    write_tree(tmp_path / "b", ["sgd"])
    (tmp_path / "b/sgd").rename(tmp_path / "sgd")
    (tmp_path / "a").rmdir()
    (tmp_path / "b").rmdir()
    assert "adam, sgd share the first place with a score of 1.0000." in page_of(
        tmp_path
    )


def test_the_clock_says_what_the_logs_do_not_have(tmp_path: Path):
    text = page_of(write_tree(tmp_path, ["adam"]))
    said = "The logs do not say how many seconds went to evaluation, logging, compile"
    assert said in text
    facts = {"seconds": {"submission": 20.0, "evaluation": 5.0, "logging": 0.0}}
    for file in tmp_path.rglob("trial.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | facts))
    text = page_of(tmp_path)
    assert "how many seconds went to compile, data wait." in text
    assert '<td class="share" style="--v:0.2" data-v="0.2">20.0%</td>' in text


def test_a_single_study_has_no_intervals(tmp_path: Path):
    write_tree(tmp_path, ["adam", "sgd"], studies=1)
    text = page_of(tmp_path, replace(RULES, studies=1))
    assert "with one study, nothing can be said about luck" in text
    assert "Who beats whom" not in text
    assert "P(first)" not in text
    assert "Resampled" not in text


def test_logs_without_steps(tmp_path: Path):
    write_tree(tmp_path, ["adam"])
    for file in tmp_path.rglob("eval_measurements.csv"):
        file.write_text(file.read_text().replace("global_step", "other"))
    report = scoring.score(tmp_path, RULES)
    assert report.steps is None
    Outline(render_page(report))


def test_of_many_submissions_charts_show_the_best(tmp_path: Path):
    write_tree(tmp_path, [f"s{place:02}" for place in range(23)])
    text = page_of(tmp_path, resamples=50)
    assert "Charts show the best 20 of 23 submissions; tables have all." in text
    assert 'data-hide="19"' in text
    assert 'data-hide="20"' not in text
    assert text.count("s22") > 3  # in the tables


def test_a_warning_that_names_everybody_is_folded(tmp_path: Path):
    names = [f"a_name_that_says_everything_about_{'it' * 9}_{n:03}" for n in range(14)]
    text = page_of(write_tree(tmp_path, names, studies=2), resamples=50)
    start = text.index("2 of 3 planned studies found")
    assert "<summary>All of it</summary>2 of 3 planned" in text[start:]
    assert text.index(" …</p>", start) - start < 400


def test_a_full_leaderboard_stays_below_a_megabyte(tmp_path: Path):
    # 11 submissions, 14 workloads, 5 studies, 5 trials of 40 evaluations.
    rules = get_rules("v0.5")
    draws = np.random.default_rng(0)
    for submission in range(11):
        for study in range(5):
            for rule in rules.needed:
                for trial in range(1, 6):
                    name = f"longer_submission_name_{submission}"
                    folder = f"study_{study}/{rule.name}_jax/trial_{trial}"
                    write_random_trial(tmp_path / name / folder, rule, draws)
    text = page_of(tmp_path, rules, resamples=100)
    assert 300_000 < len(text.encode()) < 1_000_000


def write_random_trial(folder: Path, rule: WorkloadRule, draws) -> None:
    folder.mkdir(parents=True)
    done = np.sort(draws.uniform(0.5, 1.1, 40))
    share = done if rule.goal == "max" else 2 - done
    times = rule.max_runtime_s * np.sort(draws.uniform(0, 1, 40))
    rows = zip(times, range(0, 40_000, 1_000), share, strict=True)
    lines = [f"{t},{step},{rule.validation_target * s}" for t, step, s in rows]
    header = f"accumulated_submission_time,global_step,{rule.column}"
    (folder / "eval_measurements.csv").write_text("\n".join([header, *lines, ""]))
    point = {name: draws.uniform() for name in ("learning_rate", "beta2", "decay")}
    (folder / "hparams.json").write_text(str(point).replace("'", '"'))


def test_elements_escape_what_is_not_markup():
    assert el("b", "<i>", el("i", "&"), None, class_="a", data_s=0, hidden=False) == (
        '<b class="a" data-s="0">&lt;i&gt;<i>&amp;</i></b>'
    )
    assert el("p", title='"') == '<p title="&quot;"></p>'
    assert isinstance(el("br"), Markup)


def test_cells_carry_the_class_of_their_column_and_what_they_sort_by():
    head = ["name", Column("n", "wide")]
    text = table("c", head, [["a", Cell("1.2 s", 1.2)], ["b", Cell("3", "3")]])
    assert '<th scope="col" class="wide">n</th>' in text
    assert '<td class="wide" data-v="1.2">1.2 s</td>' in text
    assert '<td class="wide">3</td>' in text


def test_long_names_wrap():
    text = table("c", ["name", "b" * 40], [["a", 1], ["c" * 40, 2]])
    assert text.count('class="long"') == 2


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"


def test_a_traced_line_is_moves_of_whole_numbers():
    frame = Frame(110, 20, 0.0, 100.0, 0.0, 10.0, left=0, right=10, top=0, bottom=0)
    path = traced(frame, [0.0, 10.0, 30.0], [0.0, 5.0, 2.5])
    x, y = 10 * FINE, 20 * FINE
    assert path == f"M0,{y}l{x}-{y // 2} {2 * x} {y // 4}"
    assert traced(frame, [0.0], [0.0]) == f"M0,{y}"


def test_a_column_is_left_aligned_in_head_and_cells_alike():
    text = table("c", ["name", "n", "why"], [["a", 1, Cell("b", left=True)]])
    assert '<table class="l3"' in text
    assert ".l3 :nth-child(3)" in resources.files("scoring.web").joinpath(
        "page.css"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.0, 4.0, [1, 2, 3, 4]),
        (0.0, 7_703.0, [0, 2_000, 4_000, 6_000]),
        (0.1234, 0.1259, [0.1235, 0.124, 0.1245, 0.125, 0.1255]),
        (3.0, 3.0, [3.0]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]):
    assert ticks(low, high) == pytest.approx(expected)


def test_numbers_on_axes():
    assert [short(v) for v in (12_000, 0.25, 3.0)] == ["12k", "0.25", "3"]


def test_a_step_function_keeps_its_height_until_the_next_step():
    frame = Frame(114, 44, 1.0, 3.0, 0.0, 1.0, left=10, right=4, top=0, bottom=4)
    assert stairs(frame, [1.0, 2.0], [0.5, 1.0]) == (
        "M10.0,40.0H10.0V20.0H60.0V0.0H110.0"
    )


def test_thinning_keeps_both_ends_and_what_is_asked_for():
    places = thinned(1_000, 30, keep=[777]).tolist()
    assert places[0] == 0
    assert places[-1] == 999
    assert 777 in places
    assert len(places) == 31
    assert thinned(3, 30).tolist() == [0, 1, 2]

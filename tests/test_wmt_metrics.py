"""BLEU by hand and by sacrebleu's own default; what counts as a hypothesis."""

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import sacrebleu
from small_wmt import model_of, padded, sentences, small_mini

from workloads.wmt import metrics, phrases
from workloads.wmt.metrics import bleu, text, translate, translation_metrics
from workloads.wmt.tokenizers import Numbers, Words

WORDS = Words(["the", "cat", "sat", "on", "mat", "a", "."])


def geometric_mean(*precisions):
    return math.exp(sum(map(math.log, precisions)) / len(precisions))


def test_bleu_by_hand():
    # 1-grams 5 of 6 ("the" counts as often as the reference has it), 2-grams 3 of 5,
    # 3-grams 2 of 4, 4-grams 1 of 3; 6 words against 7.
    found = bleu(["the cat sat on the the"], ["the cat sat on a mat the"])
    matches = geometric_mean(5 / 6, 3 / 5, 2 / 4, 1 / 3)
    assert found == pytest.approx(100 * matches * math.exp(1 - 7 / 6))


def test_bleu_is_of_the_whole_corpus():
    hypotheses = ["a b c d e", "x y z w"]
    references = ["a b c d f", "x y z w"]
    # 8 of 9, 6 of 7, 4 of 5, 2 of 3: added up before they are divided.
    expected = 100 * geometric_mean(8 / 9, 6 / 7, 4 / 5, 2 / 3)
    assert bleu(hypotheses, references) == pytest.approx(expected)


def test_an_order_without_a_match_gives_zero():
    assert bleu(["a b c x e f"], ["a b c d e f"]) == 0.0
    assert sacrebleu.corpus_bleu(["a b c x e f"], [["a b c d e f"]]).score > 0


def test_bleu_is_sacrebleus_where_all_orders_match():
    hypotheses = ["The cat, it sat on the mat.", "Prices rose by 3.5%-4% (again)!"]
    references = ["The cat, it sat on a mat.", "Prices rose by 3.5%-4% (again)."]
    expected = sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert 20 < expected < 100
    assert bleu(hypotheses, references) == pytest.approx(expected)
    assert bleu(["a b c d"], ["A b c d"]) == 0.0  # case counts


def test_empty_hypotheses_and_references():
    assert bleu([""], ["a b c d"]) == 0.0
    assert bleu(["a b c d"], [""]) == 0.0
    with_empty = bleu(["a b c d e", "f"], ["a b c d e", ""])
    expected = 100 * geometric_mean(5 / 6, 1, 1, 1)
    assert with_empty == pytest.approx(expected)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([3, 4, 2, 5, 2], "the cat"),  # what follows the first end does not count
        ([3, 4, 5, 0, 0], "the cat sat"),  # no end: all of it, not its first token
        ([3, 4, 5, 6, 7], "the cat sat on mat"),
        ([3, 0, 4, 2, 0], "the ? cat"),  # an unknown token is not padding
        ([3, 99, 4, 2, 0], "the ? cat"),  # a model may have room for more words
        ([2, 0, 0, 0, 0], ""),
        ([0, 0, 0, 0, 0], ""),
    ],
)
def test_the_text_of_a_row(row, expected):
    assert text(WORDS, np.array(row)) == expected


def test_padding_is_not_translated_nor_scored():
    workload = small_mini(depth=1)
    params, _ = workload.init_model_fn(jax.random.PRNGKey(0))
    batch = next(workload.batches("validation", 8))
    key = jax.random.PRNGKey(0)
    part = workload.measure(params, None, batch, key)
    padding = {name: np.zeros_like(leaf) for name, leaf in batch.items()}
    both = {n: np.concatenate([leaf, padding[n]]) for n, leaf in batch.items()}
    whole = workload.measure(params, None, both, key)
    values = [
        workload.metrics.summarize(jax.device_get([measured]))
        for measured in (part, whole)
    ]
    assert values[0].keys() == {"loss", "accuracy", "bleu"}
    for name, value in values[0].items():
        assert values[1][name] == pytest.approx(value, rel=1e-6), name
    assert not np.any(np.asarray(whole["is_real"])[8:])


def measurement(hypotheses, references, is_real=None):
    rows = len(hypotheses)
    is_real = np.ones(rows, bool) if is_real is None else np.array(is_real)
    one = np.float32(1)
    return {
        "loss": (one * 6, one * 3),
        "accuracy": (one, one * 4),
        "hypotheses": np.array(hypotheses),
        "references": np.array(references),
        "is_real": is_real,
    }


def test_a_split_is_summarised_over_its_batches():
    row, other = [3, 4, 5, 6, 2], [7, 8, 3, 4, 2]
    parts = [
        measurement([row, other], [row, other]),
        measurement([row, other], [row, row], is_real=[True, False]),
    ]
    values = translation_metrics(model_of(), lambda: WORDS).summarize(parts)
    assert values == {"loss": 2.0, "accuracy": 0.25, "bleu": pytest.approx(100.0)}


def test_a_model_that_knows_the_answer_translates_it():
    # Logits that only depend on the step: the search has to follow them to the end.
    wanted = [5, 7, 3, 2]

    class Knows:
        def apply(self, variables, *arguments, method):
            if method.__name__ == "encode":
                return ()
            tokens, index, cache = arguments[:3]
            answer = jax.nn.one_hot(np.array(wanted), 9)[index] * 9.0
            return np.zeros((*tokens.shape, 1)) + answer[None, None], cache

        def empty_cache(self, batch, beams, length):
            return ()

    inputs = np.ones((2, 6), np.int32)
    found = jax.jit(lambda: translate(Knows(), {}, inputs, 6, np.ones(2, bool)))()
    assert found.tolist() == [[*wanted, 0, 0]] * 2


def test_translations_do_not_depend_on_the_length_of_rows():
    model = model_of(vocab_size=20, depth=1)
    first = np.ones((1, 3), np.int32)
    params = jax.jit(model.init)(jax.random.PRNGKey(4), first, first)["params"]
    # Larger kernels, so that what is said follows the source.
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 4 * leaf if path[-1].key == "kernel" else leaf, params
    )
    sources = sentences(6, 20, seed=8)
    ones = np.ones(6, bool)

    def translations(width):
        run = jax.jit(lambda p, x: translate(model, p, x, 10, ones))
        return np.asarray(run(params, padded(sources, width)))

    found = translations(8)
    np.testing.assert_array_equal(found, translations(14))
    assert len({tuple(row) for row in found.tolist()}) > 1


def test_random_data_shows_tokens_as_numbers():
    assert text(Numbers(), np.array([17, 5, 2, 0])) == "17 5"


def test_a_missing_sacrebleu_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(metrics.UserError, match=r"BLEU needs sacrebleu .*pip install"):
        bleu(["a"], ["a"])


# The generated language.


def test_generated_sentences_stay_the_same():
    tokens = phrases.pairs("validation", 3, 2017)
    decode = phrases.tokenizer().decode
    shown = [
        (decode(tokens.sentence(i, 0)[:-1]), decode(tokens.sentence(i, 1)[:-1]))
        for i in range(2)
    ]
    assert shown == [
        (
            "das woftes Land viele Schagen fondt und ein fofter Staft viele mollen "
            "Laften togt .",
            "the hoom jick deps some nirns and a doom zeck serns some joock grecks .",
        ),
        (
            "viele Manden rund die Baft in viele Waften rondten .",
            "some zims clemed the pem inside some hems cloom .",
        ),
    ]


def test_words_are_known_and_mean_something_else_with_another_verb():
    words, lexicon = phrases.tokenizer(), phrases.lexicon()
    tokens = phrases.pairs("train", 400, 2017)
    assert tokens.tokens.min() > 0
    assert tokens.tokens.max() < words.vocab_size <= 512
    assert tokens.lengths().max() <= 32
    meanings = [noun.targets for noun in lexicon.nouns]
    assert sum(a != b for a, b in meanings) == phrases.NUM_AMBIGUOUS
    known = [w for pair in meanings for w in set(pair)]
    known += [target for _, target in (*lexicon.verbs, *lexicon.adjectives)]
    assert len(known) == len(set(known)), "two words have the same translation"


def test_splits_have_other_sentences():
    seen = {tuple(row) for row in texts("train", 2_000)}
    for split in ("validation", "test"):
        rows = texts(split, 200)
        assert sum(row in seen for row in rows) < 0.15 * len(rows)


def texts(split, count):
    tokens = phrases.pairs(split, count, 2017)
    return [tuple(tokens.sentence(i, 0)) for i in range(count)]


def test_a_clause_by_hand():
    # Chances are given in the order in which they are drawn.
    draw = SimpleNamespace(
        below=lambda bound: next(script), chance=lambda p: next(script)
    )
    # verb 0; plural; subject: noun 0, definite, no adjective; object: singular, noun 1,
    # indefinite, adjective 0; no adverb, no place; present, negated.
    script = iter(
        [0, True, 0, 1, False, False, 1, 0, True, 0, False, False, False, True]
    )
    source, target = phrases._clause(draw, phrases.lexicon())
    (noun, other), verb = phrases.lexicon().nouns[:2], phrases.lexicon().verbs[0]
    adjective = phrases.lexicon().adjectives[0]
    assert source == [
        "dei", noun.source + "en", "eine", adjective[0] + "e", other.source, "nicht",
        verb[0] + "en",
    ]  # fmt: skip
    assert target == [
        "the", noun.targets[0] + "s", "do", "not", verb[1], "a", adjective[1],
        other.targets[0],
    ]  # fmt: skip

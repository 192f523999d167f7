"""A generated language and its translation: what the mini wmt workloads train on.

As from German to English: the source has its verbs at the end of clauses, articles and
adjectives that agree with their noun in gender, case and number, and one word where the
target needs another one for each kind of verb in the clause. The target has its verb
after the subject, agrees in number, and negates with an auxiliary. So a word has to be
looked for, and looked at together with others.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from algoperf.facts import Split
from workloads.wmt.tokenizers import END, Words
from workloads.wmt.tokens import Pairs, in_memory

NUM_NOUNS, NUM_VERBS, NUM_ADJECTIVES, NUM_ADVERBS = 40, 24, 16, 8
NUM_AMBIGUOUS = 16  # nouns with two meanings
_STREAMS: Mapping[Split, int] = {"train": 0, "validation": 1, "test": 2}

# [definite][gender]: nominative, accusative; gender 3 is the plural of all.
_ARTICLES = (
    (("ein", "einen"), ("eine", "eine"), ("eini", "eini"), ("viele", "viele")),
    (("der", "den"), ("die", "die"), ("das", "das"), ("dei", "dei")),
)
_ENDINGS = ("er", "e", "es", "en")  # of adjectives, by gender
_TARGET_ARTICLES = (("a", "some"), ("the", "the"))  # [definite][plural]
_PREPOSITIONS = (("mit", "with"), ("in", "inside"), ("von", "of"), ("zu", "to"))
_CONJUNCTIONS = (("weil", "because"), ("und", "and"), ("aber", "but"), ("wenn", "if"))

Text = list[str]
T = TypeVar("T")


class Noun(NamedTuple):
    """A noun; `targets` are its meanings with the two kinds of verbs."""

    source: str
    gender: int
    targets: tuple[str, str]


class Lexicon(NamedTuple):
    """Words of the source with those of the target; verb i is of the kind i % 2."""

    nouns: list[Noun]
    verbs: list[tuple[str, str]]
    adjectives: list[tuple[str, str]]
    adverbs: list[tuple[str, str]]


class _Draw:
    """Whole numbers from raw 64-bit draws, which NumPy promises to keep the same."""

    def __init__(self, key: tuple[int, int]):
        self._bits = np.random.Philox(key=key)
        self._left: Iterator[int] = iter(())

    def below(self, bound: int) -> int:
        for raw in self._left:
            return (raw >> 11) % bound
        self._left = iter(self._bits.random_raw(4096).tolist())
        return self.below(bound)

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


@functools.cache
def lexicon() -> Lexicon:
    """The words, made of syllables."""
    source = _stems("k r l st b f w t sch m", "a o u ei", "nd g ll ft")
    target = _stems("p d h s n j v cl gr z", "i e oo ay", "ck m p rn")
    nouns = [
        Noun(
            next(source).capitalize(),
            number % 3,
            (
                meaning := next(target),
                next(target) if _is_ambiguous(number) else meaning,
            ),
        )
        for number in range(NUM_NOUNS)
    ]

    def words(count: int) -> list[tuple[str, str]]:
        return [(next(source), next(target)) for _ in range(count)]

    return Lexicon(nouns, words(NUM_VERBS), words(NUM_ADJECTIVES), words(NUM_ADVERBS))


@functools.cache
def tokenizer() -> Words:
    """All words that occur, in both languages."""
    words = lexicon()
    forms: dict[str, None] = dict.fromkeys((".", "nicht", "not", "do", "does", "did"))
    fixed = (_ARTICLES, _TARGET_ARTICLES, _PREPOSITIONS, _CONJUNCTIONS)
    forms |= dict.fromkeys(_flat((*fixed, words.adverbs)))
    for noun in words.nouns:
        forms |= dict.fromkeys((noun.source, noun.source + "en"))
        forms |= dict.fromkeys((*noun.targets, *(t + "s" for t in noun.targets)))
    for source, target in words.verbs:
        forms |= dict.fromkeys(source + ending for ending in ("t", "en", "te", "ten"))
        forms |= dict.fromkeys((target, target + "s", target + "ed"))
    for source, target in words.adjectives:
        forms |= dict.fromkeys((target, *(source + ending for ending in _ENDINGS)))
    return Words(list(forms))


# The variants have the sentences of their base.
@functools.lru_cache(maxsize=8)
def pairs(split: Split, count: int, seed: int) -> Pairs:
    """Tokens of `count` sentences and their translations, ends included."""
    draw, words = _Draw((seed, _STREAMS[split])), tokenizer()
    texts = (sentence(draw, lexicon()) for _ in range(count))
    lines = [" ".join(text) for pair in texts for text in pair]
    return in_memory([*line, END] for line in words.encode(lines))


def sentence(draw: _Draw, words: Lexicon) -> tuple[Text, Text]:
    """One or two clauses, and their translation."""
    source, target = _clause(draw, words)
    if draw.chance(40):
        conjunction = _one_of(draw, _CONJUNCTIONS)
        second = _clause(draw, words)
        source += [conjunction[0], *second[0]]
        target += [conjunction[1], *second[1]]
    return [*source, "."], [*target, "."]


def _clause(draw: _Draw, words: Lexicon) -> tuple[Text, Text]:
    """Subject, [adverb], object, [where], [not], verb; the target has another order."""
    number = draw.below(NUM_VERBS)
    kind, is_plural = number % 2, draw.chance(35)
    subject = _noun_phrase(draw, words, 0, kind, is_plural)
    target_object = _noun_phrase(draw, words, 1, kind, draw.chance(35))
    adverb, where = ([], []), ([], [])
    if draw.chance(40):
        word = _one_of(draw, words.adverbs)
        adverb = [word[0]], [word[1]]
    if draw.chance(35):
        word = _one_of(draw, _PREPOSITIONS)
        phrase = _noun_phrase(draw, words, 1, kind, draw.chance(35))
        where = [word[0], *phrase[0]], [word[1], *phrase[1]]
    verb = _verb(draw, *words.verbs[number], is_plural)
    source = [*subject[0], *adverb[0], *target_object[0], *where[0], *verb[0]]
    return source, [*subject[1], *verb[1], *target_object[1], *where[1], *adverb[1]]


def _noun_phrase(
    draw: _Draw, words: Lexicon, case: int, kind: int, is_plural: bool
) -> tuple[Text, Text]:
    """Article, [adjective], noun; `kind` is that of the clause's verb."""
    noun = _one_of(draw, words.nouns)
    gender, is_definite = 3 if is_plural else noun.gender, draw.below(2)
    source = [_ARTICLES[is_definite][gender][case]]
    target = [_TARGET_ARTICLES[is_definite][is_plural]]
    if draw.chance(45):
        adjective = _one_of(draw, words.adjectives)
        source.append(adjective[0] + _ENDINGS[gender])
        target.append(adjective[1])
    source.append(noun.source + ("en" if is_plural else ""))
    target.append(noun.targets[kind] + ("s" if is_plural else ""))
    return source, target


def _verb(draw: _Draw, source: str, target: str, is_plural: bool) -> tuple[Text, Text]:
    """The verb in its form, with what negates it."""
    is_past = draw.chance(40)
    form = source + (("t", "en"), ("te", "ten"))[is_past][is_plural]
    if draw.chance(20):
        auxiliary = "did" if is_past else ("does", "do")[is_plural]
        return ["nicht", form], [auxiliary, "not", target]
    return [form], [target + ("ed" if is_past else ("s", "")[is_plural])]


def _is_ambiguous(number: int) -> bool:
    return number < NUM_AMBIGUOUS


def _one_of(draw: _Draw, options: Sequence[T]) -> T:
    return options[draw.below(len(options))]


def _stems(onsets: str, vowels: str, codas: str) -> Iterator[str]:
    """Stems of one syllable, in an order in which neighbours begin differently."""
    parts = (letters.split() for letters in (vowels, codas, onsets))
    for vowel, coda, onset in itertools.product(*parts):
        yield onset + vowel + coda


def _flat(nested: Any) -> Iterator[str]:
    for item in nested:
        if isinstance(item, str):
            yield item
        else:
            yield from _flat(item)

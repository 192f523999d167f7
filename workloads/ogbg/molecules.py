"""Generated molecules with binary labels: what the mini graph workloads train on.

Atoms of a few elements are joined within their valences to chains, branches and rings.
A label says whether somewhere in the molecule two atoms of given kinds lie a given
number of bonds apart. Kinds are more than elements: the size of the ring that an atom
is in, or what it is bound to, is in no feature, so a model has to pass messages along
the bonds. Some labels are missing, and most are rarely 1, as in ogbg-molpcba.
"""

import functools
from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from algoperf.facts import Split
from workloads.ogbg.graph_set import MISSING, GraphSet, starts

MAX_ATOMS, MAX_BONDS = 20, 25
_SMALLEST = 8  # atoms that a molecule may grow to: so many to MAX_ATOMS
_STEPS = 24  # pieces that are tried; they may not fit
_MISSING_PERCENT = 30
_STREAMS: Mapping[str, int] = {"train": 0, "validation": 1, "test": 2}

# Elements by their number in the tables below.
CARBON, NITROGEN, OXYGEN, SULFUR, FLUORINE, CHLORINE = range(6)
_VALENCE = np.array([4, 3, 2, 2, 1, 1])
# Sixteen equally likely cases each: the element of an atom, of a ring's atom, and how
# many atoms the next piece has.
_ALONE = np.repeat(np.arange(6), [7, 3, 3, 1, 1, 1])
_IN_RING = np.repeat([CARBON, NITROGEN], [12, 4])
_PIECE = np.repeat([1, 5, 6], [12, 2, 2])

# The features have OGB's columns and numbers.
_ATOMIC_INDEX = np.array([5, 6, 7, 15, 8, 16])  # the atomic number less one
_NO_CHARGE = 5
SINGLE, DOUBLE, TRIPLE, AROMATIC = range(4)  # bonds


class Task(NamedTuple):
    """Positive if an atom of `kind` and one of `other` are `bonds` apart."""

    kind: str
    other: str
    bonds: int


TASKS = (
    Task("carbonyl", "nitrogen", 1),  # amides
    Task("carbonyl", "oxygen", 2),
    Task("nitrogen", "oxygen", 3),
    Task("halogen", "aromatic", 1),
    Task("ring of 5", "ring of 6", 2),
    Task("ring of 5", "oxygen", 1),
    Task("ring of 6", "nitrogen", 2),
    Task("sulfur", "nitrogen", 3),
    Task("nitrile", "ring of 6", 2),
    Task("nitrogen in a ring of 5", "halogen", 3),
    Task("branch", "halogen", 2),
    Task("nitrogen in a ring of 6", "carbonyl", 3),
)


class Molecules(NamedTuple):
    """Molecules side by side, each with room for MAX_ATOMS and MAX_BONDS."""

    size: np.ndarray  # int [molecule], atoms
    element: np.ndarray  # int [molecule, atom], -1 where there is none
    free: np.ndarray  # int [molecule, atom], valences left: hydrogen atoms
    ring: np.ndarray  # int [molecule, atom], atoms of its ring or 0
    bonds: np.ndarray  # int [molecule]
    ends: np.ndarray  # int [molecule, bond, 2]
    order: np.ndarray  # int [molecule, bond], SINGLE to AROMATIC


def molecules(examples: Mapping[Split, int], seed: int, split: str) -> GraphSet:
    """The molecules of `train`, `validation` or `test`, read-only."""
    count = examples[split]  # type: ignore[index]
    return _molecules(count, (seed, _STREAMS[split]))


# Workloads share their graphs: the variants have those of their base.
@functools.lru_cache(maxsize=3)
def _molecules(count: int, key: tuple[int, int]) -> GraphSet:
    draw = _Draws(key)
    grown = grow(draw, count)
    labels = labels_of(grown)
    hidden = draw(100, *labels.shape) < _MISSING_PERCENT
    hidden[:, 0] &= ~hidden.all(axis=1)  # something is known of every molecule
    graphs = _flat(grown, np.where(hidden, MISSING, labels))
    for field in fields(graphs):
        getattr(graphs, field.name).flags.writeable = False
    return graphs


class _Draws:
    """Integers from raw 64-bit draws, whose stream NumPy promises to keep."""

    def __init__(self, key: tuple[int, int]):
        self._bits = np.random.Philox(key=np.array(key, np.uint64))

    def __call__(self, below: int | np.ndarray, *shape: int) -> np.ndarray:
        """Integers from 0, nearly equally likely, below a number or one for each."""
        raw = self._bits.random_raw(int(np.prod(shape))) >> np.uint64(32)
        return raw.astype(np.int64).reshape(shape) % below


def grow(draw: _Draws, count: int) -> Molecules:
    """Molecules of random pieces, atoms and rings, each joined to an atom before it."""
    grown = Molecules(
        size=np.ones(count, np.int64),
        element=np.full((count, MAX_ATOMS), -1),
        free=np.zeros((count, MAX_ATOMS), np.int64),
        ring=np.zeros((count, MAX_ATOMS), np.int64),
        bonds=np.zeros(count, np.int64),
        ends=np.zeros((count, MAX_BONDS, 2), np.int64),
        order=np.zeros((count, MAX_BONDS), np.int64),
    )
    grown.element[:, 0], grown.free[:, 0] = CARBON, _VALENCE[CARBON]
    final_size = _SMALLEST + draw(MAX_ATOMS + 1 - _SMALLEST, count)
    for _ in range(_STEPS):
        piece = _PIECE[draw(16, count)]
        fits = (grown.size + piece <= final_size) & (grown.free > 0).any(axis=1)
        for atoms in (1, 5, 6):
            _add(draw, grown, np.flatnonzero(fits & (piece == atoms)), atoms)
    return grown


def _add(draw: _Draws, grown: Molecules, rows: np.ndarray, atoms: int) -> None:
    """Adds an atom, or a ring of `atoms`, to the molecules of these rows."""
    is_open = grown.free[rows] > 0
    pick = draw(is_open.sum(axis=1), len(rows))
    anchor = np.argmax(np.cumsum(is_open, axis=1) > pick[:, None], axis=1)
    first = grown.size[rows]
    choices = _ALONE if atoms == 1 else _IN_RING
    element = choices[draw(16, len(rows), atoms)]
    if atoms > 1:
        element[:, 0] = CARBON  # has a valence left for the anchor
    aromatic = (draw(2, len(rows)) > 0) & (atoms == 6)
    place = rows[:, None], first[:, None] + np.arange(atoms)
    grown.element[place] = element
    grown.free[place] = _VALENCE[element]
    if atoms > 1:
        grown.ring[place] = atoms
        grown.free[place] -= 2 + aromatic[:, None]
        order = np.where(aromatic, AROMATIC, SINGLE)
        for i in range(atoms):
            _bond(grown, rows, first + i, first + (i + 1) % atoms, order)
    grown.size[rows] += atoms
    # A double or triple bond now and then, where both have so many valences left.
    spare = np.minimum(grown.free[rows, anchor], grown.free[rows, first]) - 1
    order = np.minimum(np.array([0, 0, 1, 2])[draw(4, len(rows))], spare)
    _bond(grown, rows, anchor, first, order)
    for atom in (anchor, first):
        grown.free[rows, atom] -= 1 + order


def _bond(
    grown: Molecules,
    rows: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    order: np.ndarray,
) -> None:
    place = rows, grown.bonds[rows]
    grown.ends[place] = np.stack([one, other], axis=1)
    grown.order[place] = order
    grown.bonds[rows] += 1


def _matrix(grown: Molecules) -> np.ndarray:
    """The order of the bond between any two atoms plus 1, or 0: [molecule, ., .]."""
    count = len(grown.size)
    matrix = np.zeros((count, MAX_ATOMS, MAX_ATOMS), np.int64)
    there = np.arange(MAX_BONDS) < grown.bonds[:, None]
    molecule = np.nonzero(there)[0]
    one, other = grown.ends[there].T
    matrix[molecule, one, other] = matrix[molecule, other, one] = grown.order[there] + 1
    return matrix


def kinds_of(grown: Molecules) -> dict[str, np.ndarray]:
    """Which atoms are of which kind, bool [molecule, atom]."""
    matrix = _matrix(grown)
    element = {
        "nitrogen": grown.element == NITROGEN,
        "oxygen": grown.element == OXYGEN,
        "sulfur": grown.element == SULFUR,
        "halogen": grown.element >= FLUORINE,
    }
    carbon = grown.element == CARBON

    def bound_to(order: int, partner: np.ndarray) -> np.ndarray:
        return np.any((matrix == order + 1) & partner[:, None, :], axis=2)

    rings = {f"ring of {size}": grown.ring == size for size in (5, 6)}
    return (
        element
        | rings
        | {
            f"nitrogen in a {name}": ring & element["nitrogen"]
            for name, ring in rings.items()
        }
        | {
            "aromatic": np.any(matrix == AROMATIC + 1, axis=2),
            "carbonyl": carbon & bound_to(DOUBLE, element["oxygen"]),
            "nitrile": carbon & bound_to(TRIPLE, element["nitrogen"]),
            "branch": (grown.ring == 0) & (np.sum(matrix > 0, axis=2) >= 3),
        }
    )


def distances(grown: Molecules) -> np.ndarray:
    """Bonds on the shortest path between atoms [molecule, atom, atom], up to 3.

    What is farther apart, or no atom, has -1.
    """
    joined = (_matrix(grown) > 0).astype(np.float32)
    exists = np.arange(MAX_ATOMS) < grown.size[:, None]
    reached = np.eye(MAX_ATOMS, dtype=np.float32) * exists[:, None, :]
    found = np.where(reached > 0, 0, -1)
    for step in range(1, 1 + max(task.bonds for task in TASKS)):
        reached = reached @ joined
        found[(reached > 0) & (found < 0)] = step
    return found


def labels_of(grown: Molecules) -> np.ndarray:
    """The label of every task, int [molecule, task]."""
    kinds, apart = kinds_of(grown), distances(grown)
    labels = [
        np.any(
            (apart == task.bonds)
            & kinds[task.kind][:, :, None]
            & kinds[task.other][:, None, :],
            axis=(1, 2),
        )
        for task in TASKS
    ]
    return np.stack(labels, axis=1).astype(np.int64)


def _flat(grown: Molecules, labels: np.ndarray) -> GraphSet:
    """The same as graphs with OGB's features."""
    matrix = _matrix(grown)
    zero = np.zeros_like(grown.element)
    highest = matrix.max(axis=2)
    # By the highest bond of an atom: none or single, double, triple, aromatic.
    hybridization = np.array([2, 2, 1, 0, 1])[highest]
    nodes = [
        _ATOMIC_INDEX[grown.element],
        zero,  # chirality
        np.sum(matrix > 0, axis=2),  # degree
        zero + _NO_CHARGE,
        grown.free,  # hydrogen atoms
        zero,  # radical electrons
        hybridization,
        highest == AROMATIC + 1,
        grown.ring > 0,
    ]
    bonds = [grown.order, np.zeros_like(grown.order), grown.order == AROMATIC]
    atom = np.arange(MAX_ATOMS) < grown.size[:, None]
    bond = np.arange(MAX_BONDS) < grown.bonds[:, None]
    return GraphSet(
        nodes=np.stack(nodes, axis=2)[atom].astype(np.uint8),
        edges=np.stack(bonds, axis=2)[bond].astype(np.uint8),
        ends=grown.ends[bond].astype(np.uint16),
        node_starts=starts(grown.size),
        edge_starts=starts(grown.bonds),
        labels=labels.astype(np.int8),
    )

"""Generated molecules: what chemistry and their labels demand, atom by atom."""

import collections

import numpy as np
import pytest

from workloads.ogbg import graph_set
from workloads.ogbg.molecules import TASKS, molecules

EXAMPLES = {"train": 400, "eval_train": 50, "validation": 60, "test": 40}
MOLECULES = molecules(EXAMPLES, 5, "train")
SYMBOL = {5: "C", 6: "N", 7: "O", 15: "S", 8: "F", 16: "Cl"}
VALENCE = {"C": 4, "N": 3, "O": 2, "S": 2, "F": 1, "Cl": 1}
DOUBLE, TRIPLE, AROMATIC = 1, 2, 3


class Molecule:
    """A graph with dictionaries and sets."""

    def __init__(self, number: int):
        nodes = slice(*MOLECULES.node_starts[number : number + 2])
        edges = slice(*MOLECULES.edge_starts[number : number + 2])
        self.features = MOLECULES.nodes[nodes].tolist()
        self.symbols = [SYMBOL[row[0]] for row in self.features]
        self.bonds = {
            frozenset(ends): row[0]
            for ends, row in zip(
                MOLECULES.ends[edges].tolist(),
                MOLECULES.edges[edges].tolist(),
                strict=True,
            )
        }
        assert len(self.bonds) == edges.stop - edges.start, "no two have the same ends"
        self.near = collections.defaultdict(set)
        for one, other in map(tuple, self.bonds):
            self.near[one].add(other)
            self.near[other].add(one)

    def distances(self, start: int, without: frozenset = frozenset()) -> dict:
        """Breadth first, over all bonds but `without`."""
        found, queue = {start: 0}, [start]
        for atom in queue:
            for other in self.near[atom] - found.keys():
                if frozenset((atom, other)) != without:
                    found[other] = found[atom] + 1
                    queue.append(other)
        return found

    def rings(self, atom: int) -> set[int]:
        """Sizes of the shortest rings through the bonds of an atom."""
        sizes = set()
        for other in self.near[atom]:
            around = self.distances(atom, frozenset((atom, other))).get(other)
            if around:
                sizes.add(around + 1)
        return sizes

    def bound(self, atom: int, order: int, symbol: str) -> bool:
        return any(
            self.bonds[frozenset((atom, other))] == order
            and self.symbols[other] == symbol
            for other in self.near[atom]
        )

    def is_kind(self, atom: int, kind: str) -> bool:
        symbol = self.symbols[atom]
        if "ring of" in kind:
            is_member = int(kind[-1]) in self.rings(atom)
            return is_member and (kind.startswith("ring") or symbol == "N")
        orders = {self.bonds[frozenset((atom, other))] for other in self.near[atom]}
        return {
            "nitrogen": symbol == "N",
            "oxygen": symbol == "O",
            "sulfur": symbol == "S",
            "halogen": symbol in ("F", "Cl"),
            "aromatic": AROMATIC in orders,
            "carbonyl": symbol == "C" and self.bound(atom, DOUBLE, "O"),
            "nitrile": symbol == "C" and self.bound(atom, TRIPLE, "N"),
            "branch": len(self.near[atom]) >= 3 and not self.rings(atom),
        }[kind]


ALL = [Molecule(number) for number in range(EXAMPLES["train"])]


def test_molecules_are_connected_and_of_the_sizes_that_fit():
    sizes = [len(molecule.symbols) for molecule in ALL]
    assert max(sizes) <= 20
    assert np.mean(sizes) == pytest.approx(13.7, abs=0.7)
    for molecule in ALL:
        assert len(molecule.distances(0)) == len(molecule.symbols)
    graph_set.check("molecules", MOLECULES)


def test_no_atom_has_more_bonds_than_its_valence():
    for molecule in ALL:
        for atom, symbol in enumerate(molecule.symbols):
            orders = [molecule.bonds[frozenset((atom, o))] for o in molecule.near[atom]]
            # Two aromatic bonds take three valences together.
            used = sum(1.5 if order == AROMATIC else order + 1 for order in orders)
            degree, hydrogens = molecule.features[atom][2], molecule.features[atom][4]
            assert degree == len(orders)
            assert used + hydrogens == VALENCE[symbol]


def test_labels_are_what_their_tasks_say():
    kinds = {kind for task in TASKS for kind in (task.kind, task.other)}
    for number, molecule in enumerate(ALL):
        atoms = range(len(molecule.symbols))
        of_kind = {k: {a for a in atoms if molecule.is_kind(a, k)} for k in kinds}
        apart = [molecule.distances(atom) for atom in atoms]
        for task, label in zip(TASKS, MOLECULES.labels[number], strict=True):
            expected = any(
                apart[one][other] == task.bonds
                for one in of_kind[task.kind]
                for other in of_kind[task.other]
            )
            assert label in (expected, graph_set.MISSING), (number, task)


def test_features_say_which_atoms_and_bonds_are_in_rings_and_aromatic():
    for molecule in ALL[:100]:
        for atom, row in enumerate(molecule.features):
            assert row[8] == bool(molecule.rings(atom))
            assert row[7] == molecule.is_kind(atom, "aromatic")


def test_labels_are_missing_and_rare_as_in_the_real_data():
    labels = molecules({**EXAMPLES, "train": 4_000}, 5, "train").labels
    known = labels >= 0
    assert known.any(axis=1).all()
    assert 0.65 < known.mean() < 0.75
    shares = (labels == 1).sum(axis=0) / known.sum(axis=0)
    assert shares.min() > 0.01
    assert shares.max() < 0.5
    assert np.median(shares) < 0.15


def test_a_set_is_a_function_of_seed_and_split():
    molecules.__globals__["_molecules"].cache_clear()
    again = molecules(EXAMPLES, 5, "train")
    assert again is not MOLECULES
    for name, array in vars(MOLECULES).items():
        np.testing.assert_array_equal(getattr(again, name), array)
        assert not array.flags.writeable
    for other in (molecules(EXAMPLES, 6, "train"), molecules(EXAMPLES, 5, "test")):
        assert not np.array_equal(other.nodes[:200], MOLECULES.nodes[:200])


def test_the_stream_of_molecules_stays_the_same():
    # Counted when the targets of the mini workloads were set.
    assert (len(MOLECULES.nodes), len(MOLECULES.edges)) == (5_382, 5_436)
    assert MOLECULES.nodes.sum(dtype=int) == 86_832
    assert MOLECULES.labels.sum(dtype=int) == -939

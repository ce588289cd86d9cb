"""The order in which evaluations stand."""

from __future__ import annotations

from itertools import permutations

from ean_mm.search import Evaluation, rank_scheme
from ean_mm.structures import ConnectionScheme

# best first: a higher reward, fewer connections, smaller bits; a failed scoring last
RANKED = [('11', 3.0), ('00', 2.0), ('01', 2.0), ('10', 2.0), ('11', 2.0), ('00', -1.0), ('01', None), ('11', None)]


def test_ranks_break_ties_by_size_and_then_by_bits():
    pairs = [(ConnectionScheme.from_string(bits), reward) for bits, reward in RANKED]
    for start in permutations(range(8), 2):
        shuffled = [pairs[i] for i in start] + [pair for i, pair in enumerate(pairs) if i not in start][::-1]
        assert sorted(shuffled, key=lambda pair: rank_scheme(*pair)) == pairs


def test_an_evaluation_ranks_by_scheme_and_reward():
    scheme = ConnectionScheme.from_string('10 1')
    assert Evaluation(scheme, 'control', None, 70.0, 2.5).rank == rank_scheme(scheme, 2.5) == (-2.5, 2, '10 1')
    assert Evaluation(scheme, 'proposal', 1, None, None, 'nan').rank == (float('inf'), 2, '10 1')

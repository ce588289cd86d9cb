"""Effects of bits, blocks and pairs against their definitions."""

import json
from itertools import permutations

import numpy as np
import pytest

from ean_mm.analysis import find_effects, flip_each, guess_best_of_size
from ean_mm.analysis.effects import BlockEffect, Effects, Flip, PairEffect
from ean_mm.search.masks import every_mask
from ean_mm.search.strategies.pair_model import Functions, to_signs
from ean_mm.structures import ConnectionScheme, GroupScores

LAYOUT = (2, 3)
TICKET = ConnectionScheme.from_string('10 110')
MASKS = every_mask(5)
EVERYTHING = lambda masks: np.ones(len(masks), bool)  # noqa: E731


@pytest.fixture(scope='module')
def world():
    """A function of single blocks and pairs, the score of each scheme on 50 groups, and what is found from all scores."""
    generator = np.random.default_rng(0)
    upper = np.triu(generator.normal(size=(1, 5, 5)), 1)
    sites, pairs = 2 * generator.normal(size=(1, 5)), upper + upper.transpose(0, 2, 1)
    function = Functions(np.array([70.0]), sites, pairs, np.empty((1, 0)))
    metrics = function(MASKS)[0]
    schemes = tuple(ConnectionScheme.from_mask(mask, LAYOUT) for mask in MASKS)
    values = metrics[:, None] + generator.normal(size=(32, 50))
    values += (metrics - values.mean(1))[:, None]
    scores = GroupScores(schemes, metrics, values, np.full(50, 4), True)
    return function, scores, find_effects(scores, TICKET, MASKS, metrics)


def average_over_orders(metrics):
    """Shapley values by their definition."""
    of = {mask.tobytes(): metric for mask, metric in zip(MASKS, metrics, strict=True)}
    totals = np.zeros(5)
    orders = list(permutations(range(5)))
    for order in orders:
        mask = np.zeros(5, bool)
        for bit in order:
            before = of[mask.tobytes()]
            mask[bit] = True
            totals[bit] += of[mask.tobytes()] - before
    return totals / len(orders)


def test_shapley_values_are_those_of_all_orders(world):
    function, scores, effects = world
    expected = average_over_orders(scores.metrics)
    assert 2 * function.sites[0] == pytest.approx(expected)
    assert [each.effect for each in effects.shapley] == pytest.approx(expected, abs=0.05)
    assert expected.sum() == pytest.approx(scores.metrics[-1] - scores.metrics[0])
    assert all(each.low <= value <= each.high for each, value in zip(effects.shapley, expected, strict=True))


def test_pairs_are_differences_of_differences(world):
    function, _, effects = world
    assert len(effects.pairs) == 10
    for each in effects.pairs:
        i, j = each.bits
        masks = np.zeros((4, 5), bool)
        masks[1, i] = masks[2, j] = masks[3, i] = masks[3, j] = True
        off, first, second, both = function(masks)[0]
        assert both - first - second + off == pytest.approx(4 * function.pairs[0, i, j])
        assert each.effect == pytest.approx(4 * function.pairs[0, i, j], abs=0.1)
        assert each.low <= 4 * function.pairs[0, i, j] <= each.high
    sizes = [abs(each.effect) for each in effects.pairs]
    assert sizes == sorted(sizes, reverse=True)


def test_flips_are_paired_differences(world):
    _, scores, effects = world
    own = scores.rows([TICKET])[0]
    for each, scheme in zip(effects.flips, flip_each(TICKET), strict=True):
        difference = scores.rows([scheme])[0] - own
        assert each.difference == pytest.approx(difference.mean())
        assert (each.high - each.low) / 2 == pytest.approx(1.96 * difference.std() / 50**0.5, rel=0.1)
        assert each.on == bool(TICKET.mask[each.bit])
        assert each.worth == -each.difference


def test_blocks_that_do_nothing_are_unclear():
    generator = np.random.default_rng(1)
    masks = generator.permutation(every_mask(9))[:120]
    metrics = 70 + 2.0 * masks[:, 0] - 2.0 * masks[:, 8] + generator.normal(0, 0.3, len(masks))
    ticket = ConnectionScheme.from_string('100 000 000')
    schemes = (ticket, *flip_each(ticket))
    values = 70 + generator.normal(size=(10, 40))
    scores = GroupScores(schemes, values.mean(1), values, np.full(40, 1), True)
    effects = find_effects(scores, ticket, masks, metrics)
    assert effects.num_scores == 120
    average = effects.sentences[-2]
    assert average.startswith('On average over all schemes, attention helps in stage 1 block 1 (+2.')
    assert ' and hurts in stage 3 block 3 (-1.9' in average
    assert average.endswith('; no clear effect elsewhere.')
    assert sum(each.low <= 0 <= each.high for each in effects.shapley) >= 5


def effects_of(bits, flips, shapley=(), pairs=()):
    """Effects as (value, half of the interval)."""
    scheme = ConnectionScheme.from_string(bits)
    ends = lambda value, half: (value, value - half, value + half)  # noqa: E731
    return Effects(
        scheme,
        9,
        tuple(Flip(bit, bool(scheme.mask[bit]), *ends(*each)) for bit, each in enumerate(flips)),
        tuple(BlockEffect(bit, *ends(*each)) for bit, each in enumerate(shapley)),
        tuple(PairEffect(bits, *ends(*each)) for bits, each in pairs),
    )


@pytest.mark.parametrize(
    ('effects', 'sentences'),
    [
        pytest.param(
            effects_of('110 0', [(-2, 1), (-30, 1), (-4, 1), (1, 2)], [(1, 2)] * 4, [((0, 3), (-5, 1))]),
            [
                'In the ticket, attention pays in stage 1 block 2 (+30.00), stage 1 block 1 (+2.00).',
                'Added to it, attention would hurt in stage 1 block 3 (-4.00).',
                'On average over all schemes, no block has a clear effect.',
                'Strongest pair: stage 1 block 1 and stage 2 block 1 make each other less useful (-5.00).',
            ],
            id='what pays in the ticket alone',
        ),
        pytest.param(
            effects_of('10 0', [(-1, 2), (2, 1), (3, 1)], [(2, 1), (-3, 1), (-4, 1)], [((0, 1), (1, 2))]),
            [
                'In the ticket, no single connection clearly pays.',
                'Added to it, attention would clearly hurt in no block.',
                'Flipping stage 2 block 1 would raise the metric by 3.00.',
                'On average over all schemes, attention helps in stage 1 block 1 (+2.00) and hurts in '
                'stage 2 block 1 (-4.00), stage 1 block 2 (-3.00).',
                'No pair of blocks clearly depends on each other.',
            ],
            id='a better one beside it',
        ),
        pytest.param(
            effects_of('00', [(-3, 1), (-1, 2)], [(-3, 1), (1, 2)]),
            [
                'Added to it, attention would hurt in stage 1 block 1 (-3.00).',
                'On average over all schemes, attention hurts in stage 1 block 1 (-3.00); no clear effect elsewhere.',
                'No pair of blocks clearly depends on each other.',
            ],
            id='none',
        ),
        pytest.param(
            effects_of('11', [(-3, 1), (-4, 1)], [(3, 1), (4, 1)]),
            [
                'In the ticket, attention pays in stage 1 block 2 (+4.00), stage 1 block 1 (+3.00).',
                'On average over all schemes, attention helps in stage 1 block 2 (+4.00), stage 1 block 1 (+3.00).',
                'No pair of blocks clearly depends on each other.',
            ],
            id='all',
        ),
    ],
)
def test_in_words(effects, sentences):
    assert effects.sentences == sentences


def test_plain_values(world):
    fields = json.loads(json.dumps(world[2].to_dict(), allow_nan=False))
    assert fields['scheme'] == '10 110'
    assert set(fields['flips'][0]) == {'bit', 'on', 'difference', 'low', 'high'}
    assert set(fields['shapley'][0]) == {'bit', 'effect', 'low', 'high'}
    assert set(fields['pairs'][0]) == {'bits', 'effect', 'low', 'high'}


class TestGuess:
    @pytest.mark.parametrize('num_sites', [8, 18])
    def test_the_best_of_its_size_without_a_score(self, num_sites):
        generator = np.random.default_rng(2)
        weights = generator.normal(size=num_sites)
        masks = np.unique(generator.random((150, num_sites)) < 0.5, axis=0)
        best = np.isin(np.arange(num_sites), np.argsort(-weights)[:3])
        masks = masks[(masks != best).any(1)]
        found = guess_best_of_size(masks, to_signs(masks) @ weights, 3, EVERYTHING)
        assert np.array_equal(found, best)
        again = guess_best_of_size(
            np.vstack([masks, best]), to_signs(np.vstack([masks, best])) @ weights, 3, EVERYTHING
        )
        assert again.sum() == 3
        assert not np.array_equal(again, best)
        without_first = lambda others: ~others[:, np.argmax(weights)]  # noqa: E731
        assert not guess_best_of_size(masks, to_signs(masks) @ weights, 3, without_first)[np.argmax(weights)]

    def test_none_where_all_have_a_score_or_none_is_allowed(self):
        assert guess_best_of_size(MASKS, MASKS.sum(1).astype(float), 2, EVERYTHING) is None
        assert guess_best_of_size(MASKS[:3], np.arange(3.0), 2, lambda masks: np.zeros(len(masks), bool)) is None

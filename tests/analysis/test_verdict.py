"""The verdict: right in numbers, in simulated searches, and in words."""

import json

import numpy as np
import pytest

from ean_mm.analysis import Bootstrap, choose_controls, judge
from ean_mm.analysis.controls import count_of_size
from ean_mm.search import Reward, rank_scheme
from ean_mm.structures import ConnectionScheme, GroupScores

LAYOUT = (3, 3, 3)
ALL = list(ConnectionScheme.every(LAYOUT))
ROW = {scheme: row for row, scheme in enumerate(ALL)}
NUM_IMAGES, NUM_GROUPS = 2000, 100
STANDARD_ERROR = 100 * (0.7 * 0.3 / NUM_IMAGES) ** 0.5
REWARD = Reward('accuracy')


def search(values, proposals, seed=0):
    """Judge the best of some proposals, given the value of each group under every scheme."""
    metrics = values.mean(1)
    order = sorted(proposals, key=lambda s: rank_scheme(s, REWARD(metrics[ROW[s]], s.mask)))
    scores = GroupScores(tuple(ALL), metrics, values, np.full(values.shape[1], NUM_IMAGES // values.shape[1]), True)
    of_size = count_of_size(9, order[0].num_connected)
    controls = choose_controls(LAYOUT, order[0], seed)
    return judge(scores, order[0], order[:20], len(proposals), controls, of_size, 'accuracy', REWARD, seed)


def toss(seed):
    """Every scheme right on each image with probability 0.7: there is nothing to find."""
    generator = np.random.default_rng([seed, 7])
    in_group = NUM_IMAGES // NUM_GROUPS
    values = 100 * generator.binomial(in_group, 0.7, size=(512, NUM_GROUPS)) / in_group
    return values, [ALL[row] for row in generator.choice(np.arange(1, 511), 30, replace=False)]


def test_where_all_schemes_are_equal_the_plain_difference_is_fooled_and_the_verdict_is_not():
    verdicts = [search(*toss(seed), seed=seed) for seed in range(30)]
    judged = [each for each in verdicts if each.num_random]
    assert np.mean([each.verdict == 'not distinguishable' for each in judged]) > 0.85
    assert np.mean([each.comparisons[0].chosen.verdict == 'better' for each in judged]) > 0.25


def test_a_true_lead_is_found():
    found = []
    for seed in range(15):
        values, proposals = toss(seed)
        values[ROW[proposals[0]]] += 5 * STANDARD_ERROR
        found.append(search(values, proposals, seed=seed).verdict)
    assert found.count('better') > 10
    assert 'worse' not in found


@pytest.fixture(scope='module')
def clear():
    """A world where attention in block 0 gains 5 points and costs nothing else."""
    generator = np.random.default_rng(0)
    values = 60 + generator.normal(size=(512, NUM_GROUPS)) + 5 * np.array([scheme.mask[0] for scheme in ALL])[:, None]
    return search(values, [ConnectionScheme.from_string('100 010 000'), *ALL[3:30]]), values


def test_numbers_by_hand(clear):
    verdict, values = clear
    assert str(verdict.ticket) == '100 010 000'
    fair = {each.name: each for each in verdict.comparisons}
    assert set(fair) == {'random', 'none', 'all', 'last stage', 'every other'}
    difference = values[ROW[verdict.ticket]] - values[0]
    assert fair['none'].chosen.value == pytest.approx(difference.mean())
    assert fair['none'].difference.value == pytest.approx(difference.mean(), abs=0.01)
    assert fair['none'].chosen.margin == pytest.approx(1.96 * difference.std() / 10, rel=0.07)
    peers = [values[ROW[scheme]].mean() for name, (scheme, _, _) in verdict.controls.items() if 'random' in name]
    assert len(peers) == 20
    assert fair['random'].chosen.value == pytest.approx(values[ROW[verdict.ticket]].mean() - np.mean(peers))
    # which random schemes were drawn matters far more than which images
    assert fair['random'].chosen.margin == pytest.approx(1.96 * np.std(peers) / 20**0.5, rel=0.15)


def test_words(clear):
    verdict, _ = clear
    assert verdict.verdict == 'better'
    assert verdict.sentence.startswith('Better than random schemes with 2 connections by ')
    assert verdict.sentence.endswith(' points (95 %, 20 schemes, same 2,000 images).')
    assert verdict.sentences[0].startswith('Better than no attention by 5.')
    assert verdict.sentences[1].startswith('Not distinguishable from attention everywhere: ')
    assert verdict.sentences[-1].endswith('the best of 28 looks better than it is.')


def test_plain_values(clear):
    verdict, _ = clear
    fields = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert fields['num_connected'] == 2
    assert [row['name'] for row in fields['controls']][:5] == ['none', 'all', 'last stage', 'every other', 'random 1']
    assert set(fields['comparisons'][0]) == {
        'name', 'difference', 'low', 'high', 'chosen_difference', 'chosen_low', 'chosen_high',
    }  # fmt: skip


@pytest.mark.parametrize(
    ('bits', 'sentence'),
    [
        (
            '000 000 000',
            'no random schemes with 0 connections to compare with: the ticket is the only one of its size.',
        ),
        ('100 000 000', '(95 %, 8 schemes, which are all others of that size, same 2,000 images).'),
    ],
)
def test_where_random_schemes_are_few(bits, sentence):
    values, _ = toss(0)
    ticket = ConnectionScheme.from_string(bits)
    verdict = search(values, [ticket])
    assert verdict.sentence.endswith(sentence)
    assert (verdict.verdict == 'no random schemes') == (verdict.num_random == 0)
    assert ('The ticket is no attention.' in verdict.sentences) == (ticket.num_connected == 0)
    assert not verdict.is_sample


def test_a_worse_ticket_is_called_so():
    values, _ = toss(0)
    ticket = ALL[100]
    values[100] -= 20
    assert search(values, [ticket]).sentence.startswith('Worse than random schemes with 3 connections by ')


class TestBootstrap:
    def test_groups_count_by_their_images(self):
        bootstrap = Bootstrap(np.array([30, 10]))
        assert bootstrap.difference(np.array([1.0, 5.0])).value == 2.0
        assert set(bootstrap.draw(np.array([1.0, 5.0])).round(9)) == {1.0, 2.0, 5.0}

    def test_its_error_is_that_of_a_mean(self):
        values = np.random.default_rng(0).normal(size=100)
        found = Bootstrap(np.full(100, 20)).difference(values)
        assert found.margin == pytest.approx(1.96 * values.std() / 10, rel=0.05)

    def test_members_are_drawn_only_if_they_stand_for_others(self):
        values = np.repeat([[1.0], [3.0]], 50, axis=1)
        bootstrap = Bootstrap(np.full(50, 1))
        assert bootstrap.draw_members(values, is_sample=False).std() == pytest.approx(0, abs=1e-12)
        assert bootstrap.draw_members(values, is_sample=True).std() == pytest.approx(0.5**0.5, rel=0.05)

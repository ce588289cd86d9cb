"""Searches of one supernet with several seeds."""

import json
from pathlib import Path

import numpy as np
import pytest

from ean_mm.launch import search_seeds
from ean_mm.launch.seeds import Agreement
from ean_mm.structures import ConnectionScheme, Ticket


def agreement_of(*texts):
    return Agreement(tuple(range(len(texts))), tuple(map(ConnectionScheme.from_string, texts)))


def test_agreement_by_hand():
    three = agreement_of('110 000', '111 000', '100 001')
    np.testing.assert_allclose(three.keep, [1, 2 / 3, 1 / 3, 0, 0, 1 / 3])
    assert three.agreement == pytest.approx((5 + 4 + 3) / 3 / 6)
    assert str(three.consensus) == '110 000'
    chance = (7 / 18) ** 2 + (11 / 18) ** 2
    assert three.kappa == pytest.approx((2 / 3 - chance) / (1 - chance))
    assert not three.is_stable
    assert 'agree on 67% of the blocks' in three.sentence
    assert 'unstable' in three.sentence


def test_equal_tickets_agree_in_full_and_opposite_ones_not_at_all():
    same = agreement_of('10 01', '10 01', '10 01')
    assert (same.agreement, same.kappa, same.is_stable) == (1.0, 1.0, True)
    assert 'found the same ticket' in same.sentence
    opposite = agreement_of('10 01', '01 10')
    assert (opposite.agreement, opposite.kappa) == (0.0, -1.0)
    everything = agreement_of('11', '11')
    assert everything.kappa == 1.0  # nothing is left to chance


def test_random_tickets_agree_as_by_chance():
    draws = np.random.default_rng(0)
    kappas = []
    for _ in range(300):
        masks = draws.random((3, 30)) < 0.3
        kappas.append(Agreement((0, 1, 2), tuple(ConnectionScheme.from_mask(mask, (30,)) for mask in masks)).kappa)
    assert abs(np.mean(kappas)) < 4 * np.std(kappas) / 300**0.5 + 0.02


@pytest.mark.parametrize('seeds', [[0], [], [1, 1]])
def test_one_seed_is_no_comparison(tiny_config, seeds):
    with pytest.raises(ValueError, match=r'`seeds` must be at least two different numbers, but got \['):
        search_seeds(tiny_config, seeds)
    with pytest.raises(ValueError, match=r'`seeds` must be a whole number of at least 0, but got -1'):
        search_seeds(tiny_config, [0, -1])


def test_searches_share_supernet_scores_and_images(tiny_config):
    directory = Path(tiny_config.work_dir)
    text = search_seeds(tiny_config, [0, 1])
    other = directory / 'seeds' / '1'
    assert (directory / 'supernet.pth').exists()
    assert not (other / 'supernet.pth').exists()
    assert not list(other.glob('epoch_*.pth'))
    assert not (other / 'scores.jsonl').exists()
    logs = [
        [json.loads(line) for line in (each / 'search.jsonl').read_text().splitlines()] for each in (directory, other)
    ]
    metrics = [{line['scheme']: line['metric'] for line in log} for log in logs]
    common = metrics[0].keys() & metrics[1].keys()
    assert {'00 00 00', '11 11 11'} <= common
    assert all(metrics[0][scheme] == metrics[1][scheme] for scheme in common)
    timing = json.loads((other / 'timing.jsonl').read_text().splitlines()[-1])
    assert timing['remembered'] >= len(common)
    assert [line['scheme'] for line in logs[0]] != [line['scheme'] for line in logs[1]]
    found = json.loads((directory / 'seeds.json').read_text())
    tickets = [Ticket.load(each / 'ticket.json') for each in (directory, other)]
    assert found['tickets'] == [str(ticket.scheme) for ticket in tickets]
    consensus = Ticket.load(directory / 'consensus.json')
    assert str(consensus.scheme) == found['consensus']
    assert (consensus.origin, consensus.metrics, consensus.attention) == ('given', {}, tickets[0].attention)
    assert found['sentence'] in text
    before = (directory / 'search.jsonl').read_bytes(), (other / 'search.jsonl').read_bytes()
    assert search_seeds(tiny_config, [0, 1]) == text  # nothing is trained or scored again
    assert ((directory / 'search.jsonl').read_bytes(), (other / 'search.jsonl').read_bytes()) == before

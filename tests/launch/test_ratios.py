"""Random schemes by connection ratio: which, trained once, and what is said of them."""

import json
from pathlib import Path

import pytest

from ean_mm.launch import compare, study_ratios
from ean_mm.launch.ratios import choose_by_ratio, spell_ratios
from ean_mm.visualization import RatioRow, TrainedScheme


class TestChoice:
    def test_sizes_are_rounded_and_both_ends_added(self):
        chosen = choose_by_ratio((3, 3, 3), [0.2, 0.5, 0.8], 4, seed=0)
        assert list(chosen) == [0, 0.2, 0.5, 0.8, 1]
        assert [{scheme.num_connected for scheme in row} for row in chosen.values()] == [{0}, {2}, {4}, {7}, {9}]
        assert [len(set(row)) for row in chosen.values()] == [1, 4, 4, 4, 1]

    def test_more_are_the_same_and_further_ones(self):
        few, many = (choose_by_ratio((3, 3, 3), [0.4], num, seed=0)[0.4] for num in (3, 8))
        assert many[:3] == few
        assert choose_by_ratio((3, 3, 3), [0.4], 3, seed=1)[0.4] != few

    def test_there_are_no_more_than_there_are(self):
        assert len(choose_by_ratio((2, 2), [0.25], 50, seed=0)[0.25]) == 4

    def test_a_size_counts_once(self):
        assert list(choose_by_ratio((2, 2), [0.2, 0.3, 0.05, 0.99], 1, seed=0)) == [0, 0.2, 1]

    @pytest.mark.parametrize('ratio', [-0.1, 1.5, float('nan')])
    def test_other_numbers_are_refused(self, ratio):
        with pytest.raises(ValueError, match=f'`ratios` must be numbers from 0 to 1, but got {ratio}'):
            choose_by_ratio((2, 2), [0.5, ratio], 1, seed=0)


def test_a_study(finished_search, monkeypatch):
    """Trainings that are made up, beside those of a comparison: their rows, and nothing twice."""
    directory = Path(finished_search.work_dir)
    trained = []

    def train(cfg, work_dir, seed):
        trained.append((work_dir.name, cfg.model.backbone.get('scheme')))
        value = 50.0 + work_dir.name.split('_')[0].count('1') + seed
        (work_dir / 'metrics.json').write_text(json.dumps({'accuracy/top1': value}))

    monkeypatch.setattr('ean_mm.launch.trainings.train_once', train)
    monkeypatch.setattr(
        'ean_mm.launch.scheme_facts.measure_latency',
        lambda run, schemes, device: {scheme: 10.0 + scheme.num_connected for scheme in schemes},
    )
    compare(directory, ['none', 'all'], [0, 1])
    trained.clear()
    text = study_ratios(directory, [0.5], 2, [0, 1])
    facts = json.loads((directory / 'ratios.json').read_text())
    assert (facts['metric'], facts['seeds'], facts['per_ratio']) == ('accuracy/top1', [0, 1], 2)
    assert [(row['ratio'], row['num_connected'], len(row['schemes'])) for row in facts['rows']] == [
        (0, 0, 1),
        (0.5, 3, 2),
        (1, 6, 1),
    ]
    middle = facts['rows'][1]
    assert {name for name, _ in trained} == {
        f'{each["scheme"].replace(" ", "")}_{seed}' for each in middle['schemes'] for seed in (0, 1)
    }
    assert {bits for _, bits in trained} == {each['scheme'] for each in middle['schemes']}
    assert [each['values'] for each in middle['schemes']] == [[53, 54]] * 2
    assert (middle['mean'], middle['low'], middle['high']) == (53.5, 53.5, 53.5)  # over schemes: they agree
    assert facts['rows'][0]['low'] < 50 < 50.5 == facts['rows'][0]['mean']  # over seeds: there is one scheme
    assert [each['latency_ms'] for each in middle['schemes']] == [13, 13]
    assert '+30.0 %' in text
    assert facts['sentence'] in text
    assert (directory / 'ratios.png').read_bytes().startswith(b'\x89PNG')
    trained.clear()
    assert study_ratios(directory, [0.5], 2, [0, 1]) == text
    assert trained == []


def row(ratio, *values):
    schemes = tuple(TrainedScheme('1', (value,), 1, 1, 1.0) for value in values)
    return RatioRow(ratio, 1, schemes, sum(values) / len(values), None, None)


def test_sentences():
    rows = [row(0, 70.0), row(0.5, 69.0, 71.0, 73.0), row(0.8, 74.0), row(1, 72.0)]
    assert spell_ratios(rows, 3) == (
        'Of 4 sparse schemes 2 are above full attention (72.00) and 1 below the plain network (70.00); means of 3 seeds.'
    )
    assert spell_ratios(rows, 1).endswith('; one seed, which tells little.')
    assert spell_ratios([rows[0], rows[-1]], 1) == 'No ratio between 0 and 1 was trained.'

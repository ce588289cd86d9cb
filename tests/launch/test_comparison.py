"""Trainings from scratch beside each other: what is trained, what is said, what is left."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from ean_mm.analysis import Interval, paired_difference, t_interval
from ean_mm.launch import compare
from ean_mm.launch.comparison import spell_differences


def cells(text):
    """The rows of a table by their first cell."""
    rows = [[cell.strip() for cell in line.strip('│').split('│')] for line in text.splitlines() if line.startswith('│')]
    return {row[0] or row[1]: row[1:] for row in rows}


def fake(monkeypatch, value):
    """Have a training leave the metric that ``value`` computes from its scheme and seed, in a moment."""

    def train(cfg, work_dir, seed):
        (work_dir / 'metrics.json').write_text(json.dumps({'accuracy/top1': value(work_dir.name, seed)}))

    monkeypatch.setattr('ean_mm.launch.trainings.train_once', train)
    monkeypatch.setattr(
        'ean_mm.launch.scheme_facts.measure_latency', lambda run, schemes, device: dict.fromkeys(schemes, 1.0)
    )


def test_the_four_are_trained_once_and_side_by_side(finished_search, monkeypatch):
    directory = Path(finished_search.work_dir)
    lines = []
    text = compare(directory, ['none', 'all', 'ticket', 'random'], [0], lines.append)
    assert [line.split(', about')[0] for line in lines[1:]] == [
        f'Training {place} of 4: {name}, seed 0' for place, name in enumerate(('none', 'all', 'ticket', 'random'), 1)
    ]
    assert lines[0].startswith('4 of 4 trainings to run, about ')
    assert lines[0].endswith('(measured on a few batches)')
    facts = json.loads((directory / 'comparison.json').read_text())
    for row in facts['rows']:
        metrics = json.loads((directory / f'compare/{row["name"]}_0/metrics.json').read_text())
        assert row['values'] == [metrics['accuracy/top1']]
        assert (row['low'], row['high']) == (None, None)
        assert row['latency_ms'] > 0
        trained = Config.fromfile(directory / f'compare/{row["name"]}_0/retrain.py').model.backbone
        assert trained.get('ticket') or trained.scheme == row['schemes'][0]
    assert 'One seed tells little' in text
    assert (directory / 'comparison.png').read_bytes().startswith(b'\x89PNG')
    monkeypatch.setattr(Runner, 'train', lambda self: pytest.fail('trained twice'))
    lines.clear()
    again = compare(directory, ['ticket'], [0], lines.append)
    assert lines == []
    assert cells(again).keys() == {'none', 'all', 'ticket', 'random'}
    assert {row['name']: row['values'] for row in facts['rows']} == {
        row['name']: row['values'] for row in json.loads((directory / 'comparison.json').read_text())['rows']
    }


class TestSeveralSeeds:
    @pytest.fixture
    def compared(self, finished_search, monkeypatch):
        """A comparison in which the ticket is 10 above none, 5 above all with more noise than that, and below random."""
        level = {'none': 40, 'all': 45, 'ticket': 50, 'random': 70}
        fake(
            monkeypatch, lambda name, seed: level[name.split('_')[0]] + seed + 20 * (seed == 1) * name.startswith('all')
        )
        directory = Path(finished_search.work_dir)
        return compare(directory, level, [2, 0, 1]), json.loads((directory / 'comparison.json').read_text())

    def test_means_have_intervals(self, compared):
        text, facts = compared
        rows = {row['name']: row for row in facts['rows']}
        expected = t_interval([52, 50, 51])
        assert rows['ticket']['values'] == [52, 50, 51]
        assert (rows['ticket']['mean'], rows['ticket']['low'], rows['ticket']['high']) == pytest.approx(
            (51, expected.low, expected.high)
        )
        assert cells(text)['ticket'][1] == f'51.00 ± {expected.margin:.2f}'
        assert facts['metric'] == 'accuracy/top1'
        assert facts['seeds'] == [2, 0, 1]

    def test_the_random_scheme_is_another_one_for_each_seed(self, compared):
        text, facts = compared
        schemes = {row['name']: row['schemes'] for row in facts['rows']}
        assert len(set(schemes['random'])) == 3
        assert {sum(map(int, bits.replace(' ', ''))) for bits in schemes['random']} == {3}
        assert schemes['ticket'] == ['11 00 10']
        assert schemes['ticket'][0] not in schemes['random']
        assert cells(text)['random'][0] == 'one for each seed'

    def test_differences_are_paired_and_put_in_words(self, compared):
        text, facts = compared
        found = {row['name']: row for row in facts['differences']}
        against_all = paired_difference({2: 52, 0: 50, 1: 51}, {2: 47, 0: 45, 1: 66})
        assert (found['ticket - none']['mean'], found['ticket - none']['low']) == pytest.approx((10, 10))
        assert found['ticket - all']['low'] == pytest.approx(against_all.low)
        assert found['ticket - random']['num_seeds'] == 3
        assert facts['sentence'] in text
        assert facts['sentence'] == (
            f'The ticket is better than none (by 10.00 ± 0.00); worse than random (by 20.00 ± 0.00); '
            f'not distinguishable from all ({against_all.mean:+.2f} ± {against_all.margin:.2f}).'
        )

    def test_costs_are_those_of_the_schemes(self, compared):
        _, facts = compared
        rows = {row['name']: row for row in facts['rows']}
        assert [rows[name]['num_connected'] for name in ('none', 'all', 'ticket', 'random')] == [0, 6, 3, 3]
        assert rows['none']['params'] < rows['ticket']['params'] < rows['all']['params']
        assert rows['none']['macs'] < rows['random']['macs'] < rows['all']['macs']


def test_only_seeds_that_both_have_are_compared(finished_search, monkeypatch):
    fake(monkeypatch, lambda name, seed: {'none': 10.0, 'ticket': 11.0}[name.split('_')[0]] + seed)
    directory = Path(finished_search.work_dir)
    compare(directory, ['none'], [0, 1])
    compare(directory, ['ticket'], [1, 2])
    text = compare(directory, [], [0, 1, 2])
    facts = json.loads((directory / 'comparison.json').read_text())
    assert [(row['name'], row['seeds'], row['values']) for row in facts['rows']] == [
        ('none', [0, 1], [10, 11]),
        ('ticket', [1, 2], [12, 13]),
    ]
    assert facts['differences'] == [dict(name='ticket - none', mean=1.0, low=None, high=None, num_seeds=1)]
    assert cells(text)['all'][1] == '-'


def test_schemes_can_be_given_as_bits(finished_search, monkeypatch):
    fake(monkeypatch, lambda name, seed: 1.0)
    directory = Path(finished_search.work_dir)
    compare(directory, ['010101', '000000', '11 00 10'], [0])
    rows = json.loads((directory / 'comparison.json').read_text())['rows']
    assert [(row['name'], row['schemes']) for row in rows] == [
        ('none', ['00 00 00']),
        ('ticket', ['11 00 10']),
        ('01 01 01', ['01 01 01']),
    ]
    assert (directory / 'compare/010101_0').exists()


@pytest.mark.parametrize('name', ['tikket', '0101', '01 01 02', ''])
def test_anything_else_is_refused(finished_search, name):
    with pytest.raises(ValueError, match=rf"`schemes` must be of .*'random'\) or bits for 2/2/2 .* but got '{name}'"):
        compare(Path(finished_search.work_dir), [name], [0])


def test_without_a_finished_search_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(
        ValueError, match=r'`work_dir` must hold a finished search, .* without results.json and retrain'
    ):
        compare(tmp_path, ['ticket'], [0])


def test_trainings_of_the_version_before_count(finished_search, monkeypatch):
    directory = Path(finished_search.work_dir)
    (directory / 'compare/ticket_0').mkdir(parents=True)
    (directory / 'compare/ticket_0/metrics.json').write_text('{"accuracy/top1": 77.0}')
    fake(monkeypatch, lambda name, seed: pytest.fail('trained again'))
    assert cells(compare(directory, ['ticket'], [0]))['ticket'][1] == '77.00'


def test_sentences():
    better, worse, unclear, single = (
        Interval(2.0, 1.0, 3.0, 3),
        Interval(-2.0, -3.0, -1.0, 3),
        Interval(0.5, -1.0, 2.0, 3),
        Interval(-0.5, None, None, 1),
    )
    assert spell_differences('It', {'a': better}) == 'It is better than a (by 2.00 ± 1.00).'
    assert spell_differences('It', {'a': worse, 'b': unclear, 'c': worse}) == (
        'It is worse than a (by 2.00 ± 1.00), c (by 2.00 ± 1.00); not distinguishable from b (+0.50 ± 1.50).'
    )
    assert spell_differences('It', {'a': single}) == (
        'It is of unknown order with a (-0.50). One seed tells little: name several (--seeds 0 1 2) for an interval.'
    )
    assert spell_differences('It', {}).startswith('Nothing to compare yet')

"""The benchmark compares what it says, and leaves the rows that it promises; no test asserts a time."""

import csv
import importlib
import math
import sys
from itertools import islice

import pytest
import torch

from ean_mm.structures.scheme_sampling import sample_scheme

LAYOUT = (3, 3, 3)


@pytest.fixture
def script(monkeypatch):
    return importlib.import_module('benchmarks.plugging.supernet')


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    def run_script(*arguments):
        monkeypatch.setattr(sys, 'argv', ['supernet.py', '--work-dir', str(tmp_path), '--quick', *arguments])
        script.main()
        with (tmp_path / 'supernet_overhead_quick.csv').open(newline='') as file:
            return list(csv.DictReader(file))

    return run_script


@pytest.fixture
def training(script):
    return script.Training(script.Case(script.DEMO, 2, 32), 'stratified', torch.device('cpu'))


def drawn(iteration, sampling='stratified'):
    return sample_scheme(LAYOUT, sampling, 0, iteration)


def test_every_network_is_beside_itself_under_two_sets_of_schemes(run, capsys):
    pytest.importorskip('mmpretrain')
    rows = run('--sampling', 'bernoulli', '--warmup', '2')
    assert [row['network'] for row in rows] == ['demo', 'demo', 'resnet50', 'resnet50']
    assert [row['baseline'] for row in rows] == ['same schemes', 'half of the blocks'] * 2
    for row in rows:
        assert all(row[key] for key in ('device', 'threads', 'torch', 'date'))
        assert (row['rounds'], row['batch_size'], row['image_size'], row['sampling']) == ('4', '2', '32', 'bernoulli')
        assert 0 < float(row['ratio_low']) <= float(row['ratio']) <= float(row['ratio_high']) < math.inf
        assert all(0 < float(row[key]) < math.inf for key in ('iteration_ms', 'draw_us', 'guard_us', 'own_share'))
    # rounds 2 to 5 count, after two that warm up
    density = f'{sum(drawn(i, "bernoulli").density for i in range(2, 6)) / 4:.3f}'
    assert [(row['density'], row['baseline_density']) for row in rows[:2]] == [(density, density), (density, '0.500')]
    assert 'half of the blocks (50%)' in capsys.readouterr().out


def test_each_way_trains_under_its_schemes_and_the_first_to_meet_a_new_one_alternates(training, monkeypatch):
    seen = []
    for name in ('iterate', 'iterate_hooked', 'iterate_apart'):
        original = getattr(training, name)

        def note(*args, name=name, original=original):
            seen.append((name, args == (training.bare,), None))
            original(*args)

        monkeypatch.setattr(training, name, note)
    training.model.register_forward_hook(lambda *_: seen.append(('forward', None, str(training.backbone.scheme))))
    list(islice(training.time_rounds(), 2))
    ways = [(name, is_bare) for name, is_bare, _ in seen if name != 'forward']
    hooked, apart = [('iterate_hooked', False), ('iterate', False)], [('iterate_apart', False), ('iterate', False)]
    bare = [('iterate', True)]
    assert ways == [*bare, *hooked, *bare, *apart, *hooked, *bare, *bare, *apart]
    schemes = [scheme for name, _, scheme in seen if name == 'forward']
    first, second, half = str(drawn(0)), str(drawn(1)), str(training.half(0))
    assert schemes == [first, first, half, first, second, second, half, second]
    assert first != second


def test_the_halves_are_exactly_half_together(training):
    halves = [training.half(i) for i in range(4)]
    assert halves[0] == halves[1]
    assert halves[2] == halves[3]
    assert (halves[0].mask ^ halves[2].mask).all()
    assert sum(half.density for half in halves) / 4 == 0.5


def test_only_the_hooked_way_looks_at_gradients(training):
    training.go_on(True)
    training.images[0] = math.nan
    weights = training.model.classify.weight
    training.iterate_hooked()
    assert weights.isfinite().all()
    training.iterate_apart()
    assert weights.isfinite().all()
    training.iterate(training.bare)
    assert not weights.isfinite().any()


def test_the_parts_are_those_of_every_iteration_taken_apart(training):
    list(islice(training.time_rounds(), 3))
    assert len(training.parts.draw) == len(training.parts.guard) == 3
    assert training.backbone.scheme == drawn(2)  # the last before it ran under a half


@pytest.mark.parametrize(
    ('argument', 'value', 'message'),
    [
        ('--rounds', '0', '`--rounds` must be at least 1, but got 0'),
        ('--warmup', '-1', '`--warmup` must be at least 0'),
    ],
)
def test_a_number_out_of_range_is_refused(run, capsys, argument, value, message):
    with pytest.raises(SystemExit):
        run(argument, value)
    assert message in capsys.readouterr().err

"""The benchmark compares what it says, says what it skips, and leaves the rows that it promises; no test asserts a time."""

import csv
import importlib
import math
import sys
from itertools import repeat

import pytest
import torch

from ean_mm.analysis import measure_peak_memory

CPU = torch.device('cpu')
TINY = ['--sizes', '8', '4', '--channels', '16', '--heads', '1', '2', '--rounds', '2', '--warmup', '0']
# stands for the published file, which is not ours to copy: the same arguments in the same order
PUBLISHED = """
import ean_mm.models

class EfficientAttention(ean_mm.models.EfficientAttention):
    def __init__(self, in_channels, key_channels, head_count, value_channels):
        super().__init__(in_channels, key_channels, value_channels, head_count)
"""


@pytest.fixture
def load(monkeypatch):
    return importlib.import_module


@pytest.fixture
def script(load):
    return load('benchmarks.scaling.attention')


@pytest.fixture
def cases(load):
    return load('benchmarks.scaling.cases')


@pytest.fixture
def published(tmp_path):
    path = tmp_path / 'published.py'
    path.write_text(PUBLISHED)
    return str(path)


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    def run_script(*arguments):
        monkeypatch.setattr(sys, 'argv', ['attention.py', '--work-dir', str(tmp_path), *TINY, *arguments])
        script.main()
        with (tmp_path / 'attention_scaling.csv').open(newline='') as file:
            return list(csv.DictReader(file))

    return run_script


def test_every_attention_is_measured_at_every_size(run, published, tmp_path, capsys):
    rows = run('--reference', published)
    attentions = [
        *(('EfficientAttention', '1'), ('reference', '1'), ('EfficientAttention', '2'), ('reference', '2')),
        ('NonLocal2d', '1'),
    ]
    assert [(row['mode'], row['size'], row['method'], row['heads']) for row in rows] == [
        (mode, size, *attention) for mode in ('inference', 'training') for size in '48' for attention in attentions
    ]
    for row in rows:
        assert row['skipped'] == ''
        assert int(row['pixels']) == int(row['size']) ** 2
        assert all(row[key] for key in ('device', 'threads', 'torch', 'date'))
        assert row['rounds'] == '2'
        assert 0 < float(row['ratio_low']) <= float(row['ratio']) <= float(row['ratio_high']) < math.inf
        assert all(float(row[key]) > 0 for key in ('latency_ms', 'peak_memory_mib'))
    assert (tmp_path / 'attention_scaling.png').stat().st_size > 0
    printed = capsys.readouterr().out
    assert 'left out' not in printed
    assert 'Skipped' not in printed


def test_each_is_compared_with_its_baseline_within_a_round(script, monkeypatch, run, published):
    seconds = {('EfficientAttention', 1): 3, ('reference', 1): 4, ('EfficientAttention', 2): 1, ('reference', 2): 8}
    seconds['NonLocal2d', 1] = 30

    def pretend(runs, device):
        return repeat({variant: seconds[variant.method, variant.num_heads] for variant in runs})

    monkeypatch.setattr(script, 'time_rounds', pretend)
    rows = run('--reference', published, '--time-limit', '100')
    assert {(row['method'], row['heads']): (row['baseline'], float(row['ratio'])) for row in rows} == {
        ('EfficientAttention', '1'): ('reference, 1 head', 0.75),
        ('EfficientAttention', '2'): ('reference, 2 heads', 0.125),
        ('reference', '1'): ('reference, 1 head', 1),
        ('reference', '2'): ('reference, 2 heads', 1),
        ('NonLocal2d', '1'): ('EfficientAttention, 1 head', 10),
    }
    assert {float(row['latency_ms']) for row in rows if row['method'] == 'NonLocal2d'} == {30e3}


def test_without_a_reference_it_is_left_out_and_said_so(run, capsys):
    rows = run('--modes', 'inference')
    assert {row['method'] for row in rows} == {'EfficientAttention', 'NonLocal2d'}
    assert {row['ratio'] for row in rows if row['method'] == 'EfficientAttention'} == {'1.0000'}
    assert 'The published implementation is left out: no `--reference` is given.' in capsys.readouterr().out


def test_what_needs_more_memory_than_is_free_is_not_tried(cases, monkeypatch, run, capsys):
    monkeypatch.setattr(cases, 'free_bytes', lambda device: 8**4 * 4 * 3 - 1)
    reasons = {
        (row['mode'], row['size']): row['skipped']
        for row in run('--modes', 'training')
        if row['method'] == 'NonLocal2d'
    }
    assert reasons['training', '4'] == ''
    assert reasons['training', '8'] == 'its n x n maps need 0 GiB at once, 0 GiB are free (computed, not tried)'
    assert 'Skipped: NonLocal2d, 1 head, 16 channels, training, 8 x 8: its n x n maps' in capsys.readouterr().out


@pytest.mark.parametrize('mode', ['inference', 'training'])
def test_the_maps_that_are_foreseen_are_most_of_what_is_measured(cases, mode):
    variant, case = cases.Variant('NonLocal2d'), cases.Case(8, mode, 32)
    foreseen = cases.least_bytes(variant, case)
    measured = measure_peak_memory(cases.Bench(CPU).prepare(variant, case), CPU)
    assert foreseen <= measured <= 1.1 * foreseen


def test_nothing_is_foreseen_of_a_linear_attention(cases):
    assert cases.least_bytes(cases.Variant('EfficientAttention', 8), cases.Case(256, 'training', 512)) == 0


def test_a_training_step_leaves_no_gradient(cases, monkeypatch):
    models = []
    build = cases.Bench.build
    monkeypatch.setattr(cases.Bench, 'build', lambda *args: models.append(build(*args)) or models[-1])
    step = cases.Bench(CPU).prepare(cases.Variant('EfficientAttention'), cases.Case(8, 'training', 4))
    stepped = []
    models[0].keys.weight.register_hook(lambda gradient: stepped.append(gradient.abs().sum() > 0))
    step()
    assert stepped == [True]
    assert all(parameter.grad is None for parameter in models[0].parameters())


def test_what_is_too_slow_ends_there(script, monkeypatch, run):
    slow = {'NonLocal2d': 5.0}
    original = script.time_rounds

    def pretend(runs, device):
        variant, *others = runs
        if others:
            return original(runs, device)
        return iter([{variant: slow.get(variant.method, 0.5)}])

    monkeypatch.setattr(script, 'time_rounds', pretend)
    rows = run('--modes', 'inference', '--time-limit', '2')
    assert [row['skipped'] for row in rows if row['method'] == 'NonLocal2d'] == [
        'one call took 5.0 s, the limit is 2 s',
        '4 x 4: one call took 5.0 s, the limit is 2 s; larger maps not tried',
    ]
    assert all(row['skipped'] == '' and row['latency_ms'] for row in rows if row['method'] != 'NonLocal2d')


def test_with_everything_skipped_there_is_still_a_table(run, tmp_path):
    rows = run('--time-limit', '0')
    assert all('the limit is 0 s' in row['skipped'] and not row['latency_ms'] for row in rows)
    assert (tmp_path / 'attention_scaling.png').stat().st_size > 0


def test_an_allocation_that_fails_is_a_reason(cases, monkeypatch, run):
    def allocate(*_):
        return lambda: torch.empty(2**58)

    monkeypatch.setattr(cases.Bench, 'prepare', allocate)
    rows = run('--modes', 'inference')
    assert all(row['skipped'].startswith('no memory: ') for row in rows)


def test_any_other_error_is_none(cases, monkeypatch, run):
    def fail(*_):
        return lambda: torch.ones(2) + torch.ones(3)

    monkeypatch.setattr(cases.Bench, 'prepare', fail)
    with pytest.raises(RuntimeError, match='must match'):
        run()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, '`--reference` must be a Python file, but got '),
        ('class Attention: pass', '`--reference` must have a class EfficientAttention, but got '),
        (
            PUBLISHED + '    def forward(self, x):\n        return super().forward(x) + 1\n',
            '`--reference` must compute what ours does, but got numbers 1 apart.',
        ),
    ],
)
def test_another_reference_is_refused(run, tmp_path, capsys, text, message):
    path = tmp_path / 'reference.py'
    if text:
        path.write_text(text)
    with pytest.raises(SystemExit):
        run('--reference', str(path))
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('argument', 'least'), [('--sizes', 1), ('--channels', 2), ('--heads', 1), ('--rounds', 1), ('--warmup', 0)]
)
def test_a_number_out_of_range_is_refused(run, capsys, argument, least):
    with pytest.raises(SystemExit):
        run(argument, str(least - 1))
    assert f'`{argument}` must be at least {least}, but got ' in capsys.readouterr().err


# -- exponents and targets -------------------------------------------------------------------------------------------------


def make_row(method='EfficientAttention', heads=1, size=64, time=1.0, memory=1.0, **other):
    row = dict(method=method, heads=heads, channels=64, mode='inference', size=size, skipped='')
    row |= dict(latency_ms=str(time), peak_memory_mib=str(memory), baseline='EfficientAttention, 1 head')
    return {**row, 'ratio': '1', 'ratio_low': '1', 'ratio_high': '1', **other}


def test_an_exponent_is_fitted_over_maps_of_64_x_64_and_more(load):
    fit = load('benchmarks.scaling.figure').fit_exponent
    rows = [make_row(size=size, time=3 * size**2.5) for size in (64, 128, 512)]
    other = [make_row(size=16, time=1e9), make_row(size=256, time='', skipped='too slow')]
    assert fit(rows + other, 'latency_ms') == pytest.approx(1.25)
    # of numbers that lie on no line: logarithms to base 4 of pixels 0, 1, 2 and of times 0, 0, 3 have the slope 1.5
    bent = [make_row(size=64 * 2**i, time=4**j) for i, j in enumerate((0, 0, 3))]
    assert fit(bent, 'latency_ms') == pytest.approx(1.5)
    assert fit(rows[:1], 'latency_ms') is None


def verdicts(load, rows):
    return {target.what: target.verdict for target in load('benchmarks.scaling.targets').check_targets(rows)}


def test_no_target_is_reached_by_what_was_not_measured(load):
    assert set(verdicts(load, [make_row(size=32)]).values()) == {'not measured'}
    assert set(verdicts(load, [make_row(size=512, time='', memory='', skipped='slow')]).values()) == {
        'not measured',
        'missed',
    }


@pytest.mark.parametrize(('exponent', 'verdict'), [(1.09, 'reached'), (1.11, 'missed')])
def test_the_worst_exponent_counts(load, exponent, verdict):
    steep = [make_row(heads=8, size=size, time=size ** (2 * exponent), memory=size**2) for size in (64, 128)]
    found = verdicts(load, [*steep, *(make_row(size=size, time=size, memory=size) for size in (64, 128))])
    assert found['exponent of time in pixels'] == verdict
    assert found['exponent of peak memory in pixels'] == 'reached'


@pytest.mark.parametrize(('ratio', 'verdict'), [('40.0', 'reached'), ('39.9', 'missed')])
def test_the_target_beside_non_local(load, ratio, verdict):
    rows = [make_row('NonLocal2d', ratio=ratio), make_row('NonLocal2d', size=128, ratio='1')]
    found = verdicts(load, rows)
    assert found['time of NonLocal2d over ours: 64 channels, inference, 64 x 64'] == verdict
    assert found['time of NonLocal2d over ours: 64 channels, training, 64 x 64'] == 'not measured'


@pytest.mark.parametrize(('heads', 'most'), [(1, 1.05), (8, 0.7)])
def test_the_targets_beside_the_reference(load, heads, most):
    baseline = f'reference, {heads} head{"s" if heads > 1 else ""}'
    what = f'time of EfficientAttention, {baseline.partition(", ")[2]}, over the reference: every size'
    for worst, verdict in ((most, 'reached'), (most + 0.01, 'missed')):
        rows = [make_row(heads=heads, size=size, baseline=baseline, ratio='0.1') for size in (16, 64)]
        rows.append(make_row(heads=heads, size=32, baseline=baseline, ratio=str(worst)))
        assert verdicts(load, rows)[what] == verdict


def test_the_largest_map_runs_in_every_case(load):
    rows = [make_row(size=512), make_row(heads=8, size=512)]
    assert verdicts(load, rows)['ours runs at 512 x 512'] == 'reached'
    rows[1]['skipped'] = 'no memory'
    assert verdicts(load, rows)['ours runs at 512 x 512'] == 'missed'

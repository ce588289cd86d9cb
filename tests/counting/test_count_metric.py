"""Errors of counts against numbers worked out by hand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement

from ean_mm.counting import CountMetric

PAIRS = [(13.0, 10), (0.0, 4), (2.5, 2), (0.0, 0), (7.25, 8)]


def make_samples(pairs):
    samples = []
    for pred, gt in pairs:
        sample = BaseDataElement()
        sample.pred_count, sample.gt_count = pred, gt
        samples.append(sample)
    return samples


def measure(pairs) -> dict:
    metric = CountMetric()
    metric.process({}, [dict(pred_count=pred, gt_count=gt) for pred, gt in pairs])
    return metric.evaluate(len(pairs))


def test_errors_are_those_worked_out_by_hand():
    evaluator = Evaluator(METRICS.build(dict(type='ean_mm.CountMetric')))
    evaluator.process(make_samples(PAIRS[:2]), {})
    evaluator.process(make_samples(PAIRS[2:]), {})
    metrics = evaluator.evaluate(5)  # errors 3, -4, 0.5, 0, -0.75
    assert metrics == {
        'count/mae': 8.25 / 5,
        'count/rmse': math.sqrt((9 + 16 + 0.25 + 0.5625) / 5),
        'count/neg_mae': -8.25 / 5,
    }


def test_images_without_anybody_who_are_counted_as_such_are_no_error():
    assert measure([(0.0, 0)] * 3) == {'count/mae': 0, 'count/rmse': 0, 'count/neg_mae': 0}


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 5000)), min_size=1, max_size=30), st.randoms())
def test_the_order_of_the_images_changes_no_bit(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert measure(shuffled) == measure(pairs)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=30))
def test_rmse_is_between_mae_and_the_worst_error(pairs):
    metrics = measure(pairs)
    worst = max(abs(pred - gt) for pred, gt in pairs)
    assert metrics['count/mae'] <= metrics['count/rmse'] * (1 + 1e-12) <= worst * (1 + 1e-11)


def test_a_count_that_is_no_number_shows():
    assert all(math.isnan(value) for value in measure([(1.0, 1), (math.nan, 3)]).values())


def test_a_second_evaluation_starts_afresh():
    metric = CountMetric(prefix='people')
    for pairs, expected in (([(1.0, 4)], 3), ([(2.0, 3)], 1)):
        metric.process({}, [dict(pred_count=pred, gt_count=gt) for pred, gt in pairs])
        assert metric.evaluate(1)['people/mae'] == expected


@pytest.mark.parametrize('size', [4, 5])
def test_two_ranks_measure_what_one_does(size, tmp_path):
    """With five images the second rank repeats one to be even, and it must not count."""
    script = Path(__file__).with_name('metric_process.py')
    store = tmp_path / 'store'
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(store), json.dumps(PAIRS[:size])],
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    expected = measure(PAIRS[:size])
    assert [json.loads(output.splitlines()[-1]) for output in outputs] == [expected, expected]

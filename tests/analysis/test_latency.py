import time

import pytest
import torch

from ean_mm.analysis import compare_rounds, measure_latency, time_rounds


def test_variants_take_turns_and_warm_up_is_left_out():
    calls = []
    measured = measure_latency(calls.append, ['a', 'b'], torch.device('cpu'), warmup=1, repeats=2)
    assert calls == ['a', 'b'] * 3
    assert set(measured) == {'a', 'b'}


def test_the_median_in_milliseconds(monkeypatch):
    clock = iter([0, 9, 10, 10.001, 20, 20.003, 30, 30.2])
    monkeypatch.setattr(time, 'perf_counter', lambda: next(clock))
    measured = measure_latency(lambda key: None, ['a'], torch.device('cpu'), warmup=1, repeats=3)
    assert measured['a'] == pytest.approx(3.0)


def test_ratios_are_taken_within_a_round():
    """A machine that is half as fast in the second round changes no ratio."""
    rounds = [dict(a=1.0, b=1.1), dict(a=2.0, b=2.2), dict(a=1.0, b=1.3), dict(a=4.0, b=4.4), dict(a=1.0, b=1.2)]
    spread = compare_rounds(rounds, 'b', 'a')
    assert spread.median == pytest.approx(1.1)
    assert (spread.low, spread.high) == (pytest.approx(1.1), pytest.approx(1.2))


def test_rounds_go_on_without_end():
    calls = []
    rounds = time_rounds({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, torch.device('cpu'))
    for _ in range(3):
        times = next(rounds)
        assert set(times) == {'a', 'b'}
        assert min(times.values()) >= 0
    assert calls == ['a', 'b'] * 3

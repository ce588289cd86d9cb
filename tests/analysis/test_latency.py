import time

import pytest
import torch

from ean_mm.analysis import measure_latency


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

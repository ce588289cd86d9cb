"""Peak memory of runs whose tensors can be counted by hand."""

import pytest
import torch
from torch import nn

from ean_mm.analysis import measure_peak_memory

CPU = torch.device('cpu')
KIB = 256  # of float32 numbers


def kib(size):
    """So many KiB, and a few bytes for the numbers that operators wrap into tensors."""
    return pytest.approx(size * 1024, abs=64)


def test_what_is_alive_at_once_is_the_peak():
    def run():
        first = torch.zeros(10 * KIB)
        second = first + 1
        del first
        third = second + 1
        del second
        return third + 1

    assert measure_peak_memory(run, CPU) == kib(20)


def test_what_was_there_before_is_not_counted():
    before = torch.zeros(100 * KIB)
    assert measure_peak_memory(lambda: before[: 50 * KIB] + 1, CPU) == kib(50)


def test_training_keeps_what_the_backward_pass_needs():
    weight = nn.Parameter(torch.ones(10 * KIB))

    def predict():
        x = weight.detach()
        for _ in range(5):
            x = x.sigmoid()

    def train():
        x = weight
        for _ in range(5):
            x = x.sigmoid()
        x.sum().backward()
        weight.grad = None

    # one output while the next is made; five outputs, and the gradient of one of them while that of its input is made
    assert measure_peak_memory(predict, CPU) == kib(20)
    assert measure_peak_memory(train, CPU) == kib(70)
    assert measure_peak_memory(train, CPU) == measure_peak_memory(train, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu():
    device = torch.device('cuda')
    before = torch.zeros(100 * KIB, device=device)
    assert measure_peak_memory(lambda: before[: 50 * KIB] + 1, device) == 50 * 1024

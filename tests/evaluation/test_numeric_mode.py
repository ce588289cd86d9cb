"""Precision and memory layout of scoring."""

import pytest
import torch
from scored_model import build, parts
from torch import nn

from ean_mm.evaluation import NumericMode, SharedScorer, SupernetScorer
from ean_mm.structures import ConnectionScheme

CPU = torch.device('cpu')
CIFAR = dict(type='ean_mm.ResNetCifar', depth=8, base_channels=8)
BF16 = NumericMode(torch.bfloat16, True)
SCHEMES = [ConnectionScheme.from_string(text) for text in ('0 0 0', '0 0 1', '0 1 1', '1 0 1', '1 1 1')]


def capabilities(**flags):
    return lambda: {'avx2': True, **flags}


def test_names():
    assert NumericMode.named('float32', CPU) == NumericMode()
    assert NumericMode.named('bfloat16', CPU) == BF16
    assert [mode.is_exact for mode in (NumericMode(), BF16)] == [True, False]
    assert [str(mode) for mode in (NumericMode(), BF16)] == ['float32', 'bfloat16, channels_last']


@pytest.mark.parametrize(
    ('flags', 'dtype'),
    [
        (dict(avx512_bf16=True), torch.bfloat16),
        (dict(amx_bf16=True, avx512_bf16=False), torch.bfloat16),
        (dict(avx512_bf16=False, amx_bf16=False), torch.float32),
        ({}, torch.float32),
    ],
)
def test_the_fastest_is_what_the_processor_has_units_for(monkeypatch, flags, dtype):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', capabilities(**flags), raising=False)
    assert NumericMode.named('fastest', CPU) == NumericMode(dtype, True)


def test_torch_that_cannot_tell_scores_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    assert NumericMode.named('fastest', CPU) == NumericMode(torch.float32, True)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"`precision` must be .*'fastest'.*, but got 'fp8'"):
        NumericMode.named('fp8', CPU)
    with pytest.raises(ValueError, match="must be 'float32' or 'bfloat16' on a CPU, but got 'float16'"):
        NumericMode.named('float16', CPU)


def test_a_copy_is_converted():
    model = build(CIFAR)
    converted = BF16.convert(model)
    assert NumericMode().convert(model) is model
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())
    assert all(each.weight.is_contiguous() for each in model.modules() if isinstance(each, nn.Conv2d))
    for module in converted.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            assert module.weight.dtype is torch.bfloat16
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.dtype is module.running_var.dtype is torch.float32
    wide = [m for m in converted.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert wide
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in wide)


@pytest.mark.parametrize('num_calibration', [0, 3])
def test_shared_passes_in_bfloat16_equal_single_ones_in_bfloat16(num_calibration):
    model = BF16.convert(build(CIFAR))
    plain = SupernetScorer(**parts(model, num_calibration), numeric_mode=BF16)
    found = plain.score_many(SCHEMES)
    assert SharedScorer(plain).score_many(SCHEMES) == found
    exact = SupernetScorer(**parts(build(CIFAR), num_calibration)).score_many(SCHEMES)
    assert found != exact
    assert [each.metric for each in found] == pytest.approx([each.metric for each in exact], rel=0.05, abs=0.5)


def test_shared_passes_in_bfloat16_check_themselves():
    model = BF16.convert(build(CIFAR))
    SharedScorer(SupernetScorer(**parts(model), numeric_mode=BF16)).check()

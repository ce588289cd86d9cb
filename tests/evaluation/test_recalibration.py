import pytest
import torch
from torch import nn

from ean_mm.evaluation import find_norms, recalibrated


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.BatchNorm2d(3, momentum=0.3))
    net.train()
    net(torch.randn(8, 2, 4, 4) * 5)
    return net.eval()


@pytest.fixture
def batches():
    return [torch.randn(4, 2, 3, 3) for _ in range(3)]


def test_statistics_are_those_of_the_batches(model, batches):
    with recalibrated(find_norms(model), batches, model), torch.no_grad():
        maps = [model[0](batch) for batch in batches]
        mean = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
        var = torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0)
        torch.testing.assert_close(model[1].running_mean, mean)
        torch.testing.assert_close(model[1].running_var, var)
        assert not any(module.training for module in model.modules())


def test_everything_is_put_back_bit_for_bit(model, batches):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with recalibrated(find_norms(model), batches, model):
        assert not torch.equal(model[1].running_mean, before['1.running_mean'])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [model[1].momentum, model[3].momentum] == [0.1, 0.3]


def test_an_exception_puts_everything_back_too(model, batches):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ZeroDivisionError), recalibrated(find_norms(model), batches, lambda batch: 1 / 0):
        pass
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not model[1].training


def test_weights_get_no_gradient(model, batches):
    with recalibrated(find_norms(model), batches, model):
        pass
    assert all(p.grad is None for p in model.parameters())

"""How a wrapped backbone may be run: mixed precision, memory formats, compilation, export."""

import warnings

import pytest
import torch
from torch import nn

from ean_mm.models import EANBackbone

CIFAR = dict(type='ean_mm.ResNetCifar', depth=20, base_channels=8)
ATTENTIONS = {
    'se': dict(type='ean_mm.SE', reduction=4),
    'sge': dict(type='ean_mm.SGE', groups=4),
    'dia': dict(type='ean_mm.DIA'),
    'efficient': dict(type='ean_mm.EfficientAttention'),
}
TICKET = '101 000 011'


@pytest.fixture(params=ATTENTIONS)
def net(request):
    """A ticket network, a stage of which is fully off, with norms that have seen something."""
    torch.manual_seed(0)
    net = EANBackbone(CIFAR, attention=ATTENTIONS[request.param], scheme=TICKET)
    for parameter in net.ean.parameters():
        nn.init.normal_(parameter, std=0.3)
    net(torch.randn(8, 3, 32, 32))
    net.eval()
    return net


@pytest.fixture
def image():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_bfloat16_autocast(net, image):
    with torch.no_grad():
        exact = net(image)[-1]
        with torch.autocast('cpu', dtype=torch.bfloat16):
            rounded = net(image)[-1]
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() < 0.05 * exact.norm()


def test_training_under_autocast(net, image):
    net.train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = net(image)[-1].float().square().mean()
    loss.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32, name
        assert parameter.grad.isfinite().all(), name


def test_channels_last_stays_channels_last(net, image):
    with torch.no_grad():
        exact = net(image)[-1]
        net.to(memory_format=torch.channels_last)
        outputs = []
        handles = [slot.register_forward_hook(lambda *io: outputs.append(io[2])) for slot in net.slots]
        result = net(image.to(memory_format=torch.channels_last))[-1]
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(result, exact, rtol=1e-4, atol=1e-5)
    assert len(outputs) == 9
    for output in outputs:
        assert output.is_contiguous(memory_format=torch.channels_last)


def test_one_graph_for_the_compiler(net, image):
    with torch.no_grad():
        expected = net(image)[-1]
        compiled = torch.compile(net, backend='aot_eager', fullgraph=True)
        torch.testing.assert_close(compiled(image)[-1], expected)


@pytest.mark.slow
def test_compiled_training_has_the_same_gradients(net, image):
    net.double().train()
    gradients = []
    for model in (net, torch.compile(net, fullgraph=True)):
        net.zero_grad()
        model(image.double())[-1].square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    for eager, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(compiled, eager)


def test_exported_network_computes_the_same(net, image, tmp_path):
    pytest.importorskip('onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    path = tmp_path / 'net.onnx'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(net, (image,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    other = torch.randn(2, 3, 32, 32)
    (exported,) = session.run(None, {session.get_inputs()[0].name: other.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(exported), net(other)[-1], rtol=0, atol=1e-5)

"""Work is counted by hand here, operator by operator, and against torch's own counter."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from ean_mm.analysis import Work, WorkCounter, count_work
from ean_mm.registry import MODELS

C, H, W = 8, 6, 5
MAP = C * H * W
IMAGE = torch.randn(1, C, H, W)
OTHER = torch.randn(1, C, H, W)
MODES = {'grad': torch.enable_grad, 'no_grad': torch.no_grad, 'inference': torch.inference_mode}


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


# what is counted: once per element of the largest tensor read or written
COMPUTES = {
    'add': (lambda x: x + 1, MAP),
    'add in place': (lambda x: x.clone().add_(OTHER), MAP),
    'gate': (lambda x: x * x.mean((2, 3), keepdim=True), 2 * MAP),
    'outer': (lambda x: x[..., :1] * x[:, :, :1], C * H * W),
    'compare': (lambda x: x > 0, MAP),
    'choose': (lambda x: torch.where(x == 0, 1.0, x), 2 * MAP),
    'relu': (torch.relu, MAP),
    'hardswish': (functional.hardswish, MAP),
    'gelu': (functional.gelu, MAP),
    'square': (torch.square, MAP),
    'mean': (lambda x: x.mean((2, 3)), MAP),
    'global pool': (lambda x: functional.adaptive_avg_pool2d(x, 1), MAP),
    'sum of groups': (lambda x: x.reshape(1, 2, -1, H, W).sum(2), MAP),
    'largest': (lambda x: x.amax(1), MAP),
    'standard deviation': (lambda x: x.std((2, 3)), MAP),
    'softmax': (lambda x: x.softmax(1), MAP),
    'batch norm': (lambda x: functional.batch_norm(x, torch.zeros(C), torch.ones(C)), MAP),
    'layer norm': (lambda x: functional.layer_norm(x, (W,)), MAP),
    'group norm': (lambda x: functional.group_norm(x, 2), MAP),
    'max pool': (lambda x: functional.max_pool2d(x, 3, 2), MAP),
    'average pool': (lambda x: functional.avg_pool2d(x, 2), MAP),
    'larger by bilinear interpolation': (lambda x: functional.interpolate(x, (2 * H, 2 * W), mode='bilinear'), 4 * MAP),
    'smaller by bicubic interpolation': (lambda x: functional.interpolate(x, (H // 2, W), mode='bicubic'), MAP),
}

# what is not
MOVES = {
    'view': lambda x: x.flatten(1).unflatten(1, (C, H, W)).transpose(1, 2).unsqueeze(0).squeeze_(0),
    'copy': lambda x: x.clone().contiguous(memory_format=torch.channels_last).reshape(-1),
    'reshape of a transposed map': lambda x: x.transpose(1, 3).reshape(-1),
    'cast': lambda x: x.double().to(torch.bfloat16),
    'split and concatenate': lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    'stack': lambda x: torch.stack([x, x]),
    'pad': lambda x: functional.pad(functional.pad(x, (1, 1)), (1, 1, 1, 1), mode='reflect'),
    'index': lambda x: x[:, torch.tensor([1, 0])].index_select(2, torch.tensor([0])),
    'gather': lambda x: x.gather(1, torch.zeros(1, 1, H, W, dtype=torch.long)),
    'assign': lambda x: x.clone().__setitem__((0, 0), 1.0),
    'fill': lambda x: torch.zeros_like(x).fill_(2).new_full((3,), 1.0),
    'random': lambda x: torch.rand_like(x).bernoulli_(),
    'repeat and roll': lambda x: x.repeat(2, 1, 1, 1).flip(2).roll(1, 3).expand(2, -1, -1, -1),
    'shuffle': lambda x: functional.channel_shuffle(functional.pixel_shuffle(x, 2), 2),
    'nearest neighbour': lambda x: functional.interpolate(x, scale_factor=2, mode='nearest'),
    'dropout of a network in use': lambda x: functional.dropout(x, 0.5, training=False),
}


@pytest.mark.parametrize(('run', 'expected'), COMPUTES.values(), ids=COMPUTES)
def test_an_operator_counts_its_largest_tensor(run, expected, mode):
    with mode():
        assert count_work(lambda: run(IMAGE)) == Work(0, expected)


@pytest.mark.parametrize('run', MOVES.values(), ids=MOVES)
def test_moving_data_counts_nothing(run, mode):
    with mode():
        assert count_work(lambda: run(IMAGE)) == Work(0, 0)


MATRIX_PRODUCTS = {
    'linear': (nn.Linear(C, 3), torch.randn(2, C), 2 * C * 3),
    'linear on maps': (nn.Linear(W, 3), IMAGE, C * H * W * 3),
    'convolution': (nn.Conv2d(C, 4, 3, padding=1), IMAGE, H * W * C * 4 * 9),
    'grouped, strided': (nn.Conv2d(C, 4, 3, stride=2, padding=1, groups=2), IMAGE, 3 * 3 * C * 4 * 9 // 2),
    'one dimension': (nn.Conv1d(1, 1, 3, padding=1, bias=False), torch.randn(1, 1, C), 3 * C),
}


@pytest.mark.parametrize(('module', 'x', 'expected'), MATRIX_PRODUCTS.values(), ids=MATRIX_PRODUCTS)
def test_a_matrix_product_counts_macs_and_its_bias_nothing(module, x, expected, mode):
    with mode():
        assert count_work(lambda: module(x)).macs == expected
    with FlopCounterMode(display=False) as counter:
        module(x)
    assert counter.get_total_flops() == 2 * expected


def test_products_of_any_spelling_count_alike():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    for run in (lambda: a @ b, lambda: torch.bmm(a, b), lambda: torch.einsum('bij,bjk->bik', a, b)):
        assert count_work(run).macs == 2 * 3 * 4 * 5


def test_dot_product_attention_counts_its_formula(mode):
    q = torch.randn(1, 2, 10, 4)
    products, weights, scaled = 2 * 2 * 10 * 10 * 4, 2 * 10 * 10, 2 * q.numel()
    with mode():
        work = count_work(lambda: functional.scaled_dot_product_attention(q, q, q))
    assert work == Work(products, weights + scaled)


class SqueezeExcite(nn.Module):
    """Written out here, for the counts."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(C, 2, 1), nn.Conv2d(2, C, 1)

    def forward(self, x):
        return x * self.up(self.down(x.mean((2, 3), keepdim=True)).relu_()).sigmoid()


def test_layout_and_precision_change_no_count(mode):
    net = nn.Sequential(nn.Conv2d(C, C, 3, padding=1), nn.BatchNorm2d(C), nn.ReLU(inplace=True), SqueezeExcite()).eval()
    expected = Work(MAP * C * 9 + 2 * C * 2, 4 * MAP + 2 + C)
    with mode():
        assert count_work(lambda: net(IMAGE)) == expected
        nhwc = IMAGE.to(memory_format=torch.channels_last)
        assert count_work(lambda: net.to(memory_format=torch.channels_last)(nhwc)) == expected
        with torch.autocast('cpu', torch.bfloat16):
            assert count_work(lambda: net(nhwc)) == expected
        assert count_work(lambda: net.double()(nhwc.double())) == expected


def test_a_training_step_counts_forward_and_backward():
    x = torch.randn(3, C, requires_grad=True)
    net = nn.Linear(C, 4, bias=False)
    # the backward pass multiplies twice as often as the forward pass
    assert count_work(lambda: net(x).sum().backward()).macs == 3 * (3 * C * 4)


def test_work_may_be_read_on_the_way_and_nothing_is_counted_outside():
    with WorkCounter() as counter:
        IMAGE + 1
        first = counter.work
        IMAGE @ IMAGE.mT
    IMAGE + 1
    assert first == Work(0, MAP)
    assert counter.work - first == Work(C * H * W * H, 0)


def test_an_error_inside_ends_the_count():
    counter = WorkCounter()
    with pytest.raises(RuntimeError, match='must match'), counter:
        torch.zeros(2) + torch.zeros(3)
    IMAGE + 1
    assert counter.work == Work(0, 0)


HALF = C // 2
ATTENTIONS = {
    # mean, relu of the bottleneck, sigmoid, product
    'SE': (dict(type='ean_mm.SE', reduction=2), 2 * C * HALF, 2 * MAP + HALF + C),
    'DIA': (dict(type='ean_mm.DIA', reduction=2), 10 * C * HALF, 2 * MAP + 13 * C + 2 * HALF),
    # four passes over the map; the rest on maps of G groups
    'SGE': (dict(type='ean_mm.SGE', groups=2), 0, 4 * MAP + 8 * 2 * H * W + 6 * 2),
    # queries and keys of C / 2 channels, values of C, the reprojection, two products; two softmaxes and a sum
    'EfficientAttention': (
        dict(type='ean_mm.EfficientAttention'),
        2 * MAP * (HALF + C) + 2 * H * W * HALF * C,
        2 * H * W * HALF + MAP,
    ),
}


@pytest.mark.parametrize(('cfg', 'macs', 'elementwise'), ATTENTIONS.values(), ids=ATTENTIONS)
def test_attentions_by_hand(cfg, macs, elementwise, mode):
    module = MODELS.build({**cfg, 'in_channels': C}).eval()
    with mode():
        assert count_work(lambda: module(IMAGE)) == Work(macs, elementwise)
        assert count_work(lambda: module(IMAGE.to(memory_format=torch.channels_last))) == Work(macs, elementwise)


@pytest.mark.parametrize(
    ('name', 'arguments', 'macs', 'elementwise'),
    [
        # global mean, 1d convolution over channels, sigmoid, product
        ('eca', dict(kernel_size=3), 3 * C, 2 * MAP + C),
        # channel gate: mean and largest, a two-layer net of each, their sum; spatial gate: mean and largest over channels,
        # a 7x7 convolution with batch norm; a sigmoid and a product after each
        (
            'cbam',
            dict(rd_channels=2),
            2 * (2 * C * 2) + H * W * 2 * 49,
            2 * MAP + 2 * 2 + 2 * C + MAP + 2 * MAP + 2 * H * W + MAP,
        ),
    ],
)
def test_modules_of_timm_by_hand(name, arguments, macs, elementwise, mode):
    layers = pytest.importorskip('timm.layers')
    module = layers.create_attn(name, C, **arguments).eval()
    with mode():
        assert count_work(lambda: module(IMAGE)) == Work(macs, elementwise)


def test_a_layer_of_mmcv_by_hand():
    bricks = pytest.importorskip('mmcv.cnn.bricks')
    module = bricks.ContextBlock(in_channels=C, ratio=0.25).eval()
    # mask of every position, weighted sum, two 1x1 convolutions; softmax, layer norm, relu, sum
    expected = Work(H * W * C + H * W * C + 2 * (2 * C), H * W + 2 + 2 + MAP)
    assert count_work(lambda: module(IMAGE)) == expected

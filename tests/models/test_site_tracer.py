"""What is read of a forward pass."""

import pytest
import torch
from random_networks import CIFAR, images, largest_error, run, wrap
from torch import fx, nn

from ean_mm.models.site_slot import SiteSlot
from ean_mm.models.site_tracer import GraphError, attend, trace_sites

SAMPLE = torch.zeros(2, 3, 32, 48, dtype=torch.double)


@pytest.fixture
def net():
    return wrap(CIFAR, scheme='10 00 01')


def modules_called(backbone, graph):
    return [backbone.get_submodule(str(node.target)) for node in graph.nodes if node.op == 'call_module']


def test_a_slot_is_one_step(net):
    graph, size = trace_sites(net.backbone, SAMPLE)
    assert size is None
    assert [module for module in modules_called(net.backbone, graph) if isinstance(module, SiteSlot)] == net.slots
    found = run(fx.GraphModule(net.backbone, graph), images(40))
    assert all(torch.equal(*pair) for pair in zip(found, run(net, images(40)), strict=True))


def test_a_deep_trace_follows_slots_and_marks_sites(net):
    graph, size = trace_sites(net.backbone, SAMPLE, deep=True)
    assert size is None
    marks = [node for node in graph.nodes if node.target is attend]
    assert [net.backbone.get_submodule(mark.args[1]) for mark in marks] == net.slots
    assert [net.backbone.get_submodule(str(mark.args[0].target)) for mark in marks] == [
        slot.child for slot in net.slots
    ]
    found = run(fx.GraphModule(net.backbone, graph), images(40))
    net.set_scheme('none')  # a mark does nothing
    assert all(torch.equal(*pair) for pair in zip(found, run(net, images(40)), strict=True))


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.part = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()))
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


@pytest.mark.parametrize(('deep', 'called'), [(False, ['Sequential']), (True, ['Conv2d', 'ReLU'])])
def test_parts_without_sites_are_taken_whole_or_followed(deep, called):
    class Part(nn.Sequential):  # torch's own are never followed
        pass

    net = Net(lambda net, x: net.part(x)).eval()
    net.part = Part(*net.part[0])
    graph, _ = trace_sites(net, SAMPLE.float(), deep)
    found = [type(module).__name__ for module in modules_called(net, graph)]
    assert found == (called if deep else ['Part'])


def test_shapes_are_those_of_one_image():
    net = Net(lambda net, x: (net.part(x) * net.scale).mean((2, 3)) @ torch.ones(3, 5)).eval()
    graph, _ = trace_sites(net, SAMPLE.float())
    shapes = [node.meta['shape'] for node in graph.nodes if 'shape' in node.meta]
    assert shapes == [(1, 3, 32, 48), (1, 3, 32, 48), (3, 1, 1), (1, 3, 32, 48), (1, 3), (1, 5)]


def resized(net, x):
    return nn.functional.interpolate(net.part(x), size=x.shape[2:])


def by_length(net, x):
    return x * len(x.size())


def by_side(net, x):
    return net.part(x) if x.shape[-1] > 40 else x


def by_sides(net, x):
    _, _, height, width = x.shape
    return net.part(x).reshape(-1, 3, width, height)


@pytest.mark.parametrize(
    ('forward', 'size'), [(resized, None), (by_length, (32, 48)), (by_side, (32, 48)), (by_sides, None)]
)
def test_it_tells_whether_the_code_asked_for_a_size(forward, size):
    net = Net(forward).eval()
    graph, found = trace_sites(net, SAMPLE.float())
    assert found == size
    x = images(dtype=torch.float)
    assert largest_error(run(fx.GraphModule(net, graph), x), run(net, x)) == 0


def test_a_part_that_asks_is_one_step_of_a_deep_trace():
    class Asking(nn.Sequential):
        def forward(self, x):
            return super().forward(x) if x.shape[2] > 40 else x

    net = Net(lambda net, x: net.part(x) * net.scale).eval()
    net.part = Asking(nn.Conv2d(3, 3, 1))
    graph, size = trace_sites(net, SAMPLE.float(), deep=True)
    assert size is None
    assert modules_called(net, graph) == [net.part]
    for side in (32, 64):
        x = images(side, dtype=torch.float)
        assert largest_error(run(fx.GraphModule(net, graph), x), run(net, x)) == 0


def by_value(net, x):
    return net.part(x) if x.sum() > 0 else x


def by_item(net, x):
    return x * int(x.shape[2])


def wrong(net, x):
    return net.part(x.flatten(1))


@pytest.mark.parametrize('forward', [by_value, by_item, wrong])
def test_what_is_no_fixed_graph(forward):
    with pytest.raises(GraphError, match=r'the forward pass of Net is no fixed graph \(.+\)'):
        trace_sites(Net(forward).eval(), SAMPLE.float())

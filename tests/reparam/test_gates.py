"""Recorded gates, against gates worked out by hand."""

import pytest
import torch
from random_networks import ASR, CIFAR, DIA, SE, images, run, wrap

from ean_mm.reparam import MeanRecorder, SiteGates, compute_gates, recorded_means


def record(net, batches):
    with recorded_means(net) as recorder:
        for x in batches:
            run(net, x)
    return compute_gates(net, recorder), recorder


def branches(net, x, sites):
    """What the slots' children return in one pass."""
    seen = {}

    def watch(site):
        def hook(module, args, out):
            seen[site] = out.clone()

        return net.slots[site].child.register_forward_hook(hook)

    hooks = [watch(site) for site in sites]
    run(net, x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize('sharing', ['stage', 'block'])
def test_gates_of_se_by_hand(sharing):
    net = wrap(CIFAR, SE, scheme='10 11 01', sharing=sharing)
    batches = [images(seed=seed) for seed in (1, 2, 3)]
    found, _ = record(net, batches)
    assert [each.site for each in found] == [0, 2, 3, 5]
    for each in found:
        se = net.slots[each.site].attention.attention
        means = torch.cat([branches(net, x, [each.site])[each.site].mean((2, 3)) for x in batches])
        hidden = (means @ se.squeeze.weight.T + se.squeeze.bias).clamp(min=0)
        gates = 1 / (1 + (-(hidden @ se.excite.weight.T + se.excite.bias)).exp())
        assert each.gates.shape == (6, [8, 16, 32][each.site // 2])
        torch.testing.assert_close(each.gates, gates.detach().float(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(each.mean, gates.mean(0).detach().float(), rtol=1e-5, atol=1e-6)
        assert each.deviation == pytest.approx(gates.detach().numpy().std(0).mean(), rel=1e-4)
        assert each.deviation > 0


def test_gates_of_dia_have_the_state_of_the_blocks_before():
    net = wrap(dict(CIFAR, depth=20), DIA, scheme='111 101 011')
    batches = [images(seed=seed) for seed in (1, 2)]
    found, _ = record(net, batches)
    sites = [0, 1, 2, 3, 5, 7, 8]
    assert [each.site for each in found] == sites
    gates = {each.site: [] for each in found}
    for x in batches:
        seen, carries = branches(net, x, sites), {}
        for site in sites:  # by step, not by step_from_mean
            dia = net.slots[site].attention.attention
            y, carries[site // 3] = dia.step(torch.ones_like(seen[site]) * means_of(seen[site]), carries.get(site // 3))
            gates[site].append(y.mean((2, 3)) / seen[site].mean((2, 3)))
    for each in found:
        torch.testing.assert_close(each.gates, torch.cat(gates[each.site]).detach().float(), rtol=1e-4, atol=1e-6)


def means_of(x):
    return x.mean((2, 3), keepdim=True)


def test_images_of_another_size_are_gates_too():
    net = wrap(CIFAR, SE)
    found, _ = record(net, [images(32), images(16)])
    alone, _ = record(net, [images(16)])
    torch.testing.assert_close(found[4].gates[2:], alone[4].gates)


def test_a_constant_gate_has_no_deviation():
    net = wrap(CIFAR, ASR, sharing='block')
    found, _ = record(net, [images(), images(seed=2)])
    assert [each.deviation for each in found] == [0.0] * 6
    for each in found:
        gate = net.slots[each.site].attention.attention.constant_gate()
        torch.testing.assert_close(each.mean, gate.detach().float())


def test_deviation_by_hand():
    gates = SiteGates(0, torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    assert gates.deviation == 0.25  # channels vary by 0.5 and by 0
    assert gates.mean.tolist() == [0.5, 1.0]


def test_attention_that_reads_the_map_is_left_out():
    net = wrap(CIFAR, dict(type='ean_mm.SGE', groups=4))
    found, recorder = record(net, [images()])
    assert found == []
    assert recorder.means == {}


def test_the_watchers_are_gone_afterwards():
    net = wrap(CIFAR, SE, scheme='10 00 01')
    with recorded_means(net) as recorder:
        assert [slot.watcher is not None for slot in net.slots] == [True, False, False, False, False, True]
        run(net, images())
    assert not any(slot.watcher for slot in net.slots)
    run(net, images())
    assert {site: len(means) for site, means in recorder.means.items()} == {0: 1, 5: 1}


def test_and_after_an_exception_too():
    net = wrap(CIFAR, SE)
    with pytest.raises(RuntimeError, match='size'), recorded_means(net):
        run(net, images().mean(1, keepdim=True).expand(-1, 4, -1, -1))
    assert not any(slot.watcher for slot in net.slots)


def test_watching_changes_nothing():
    net = wrap(CIFAR, DIA)
    wanted = run(net, images())
    with recorded_means(net):
        assert all(torch.equal(*pair) for pair in zip(run(net, images()), wanted, strict=True))


def test_a_recorder_remembers_means():
    recorder = MeanRecorder()
    recorder.record(3, torch.arange(8.0).view(1, 2, 2, 2))
    assert recorder.means[3][0].tolist() == [[1.5, 5.5]]

"""The wrapper: what it inserts, what it leaves alone, what it refuses."""

import copy

import pytest
import torch
from mmengine.registry import MODELS as ROOT
from mmengine.registry import init_default_scope
from torch import nn

from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme

SE = dict(type='ean_mm.SE', reduction=4)
DIA = dict(type='ean_mm.DIA')
CIFAR = dict(type='ean_mm.ResNetCifar', depth=20)
R18 = dict(type='mmpretrain.ResNet', depth=18)
R50 = dict(type='mmpretrain.ResNet', depth=50)
SEG50 = dict(type='mmseg.ResNet', depth=50)
BACKBONES = {
    'cifar20': (CIFAR, 32, (3, 3, 3)),
    'cifar29': (dict(type='ean_mm.ResNetCifar', depth=29, block='bottleneck'), 32, (3, 3, 3)),
    'r18': (R18, 64, (2, 2, 2, 2)),
    'r50': (R50, 64, (3, 4, 6, 3)),
    'resnext50': (dict(type='mmpretrain.ResNeXt', depth=50), 64, (3, 4, 6, 3)),
    'r50v1d': (dict(type='mmpretrain.ResNetV1d', depth=50), 64, (3, 4, 6, 3)),
    'seresnet50': (dict(type='mmpretrain.SEResNet', depth=50), 64, (3, 4, 6, 3)),
    'seg18': (dict(type='mmseg.ResNet', depth=18), 64, (2, 2, 2, 2)),
    'seg50': (SEG50, 64, (3, 4, 6, 3)),
    'seg50v1c': (
        dict(
            type='mmseg.ResNetV1c',
            depth=50,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
        ),
        64,
        (3, 4, 6, 3),
    ),
}


def build(cfg, **arguments):
    if 'mmseg' in str(cfg):
        pytest.importorskip('mmseg')
    torch.manual_seed(0)
    return EANBackbone(backbone=cfg, attention=arguments.pop('attention', SE), **arguments)


def build_bare(cfg):
    if cfg['type'].startswith('mmseg'):
        pytest.importorskip('mmseg')
    torch.manual_seed(0)
    return ROOT.build(cfg)


def randomise(module):
    generator = torch.Generator().manual_seed(1)
    for name, tensor in sorted(module.state_dict().items()):
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(noise + 0.5 if 'var' in name else (noise - 0.5) / 4)


def outputs(net, image):
    net.eval()
    with torch.no_grad():
        out = net(image)
    return out if isinstance(out, tuple) else (out,)


@pytest.fixture(params=BACKBONES)
def family(request):
    return BACKBONES[request.param]


def test_all_off_is_the_bare_backbone_bit_for_bit(family):
    cfg, size, blocks = family
    net, bare = build(cfg), build_bare(cfg)
    assert net.blocks_per_stage == blocks
    randomise(net)
    bare.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith('ean.')})
    image = torch.randn(2, 3, size, size)
    net.set_scheme('none')
    assert all(map(torch.equal, outputs(net, image), outputs(bare, image)))
    net.set_scheme('all')
    assert not torch.equal(outputs(net, image)[-1], outputs(bare, image)[-1])


def test_all_off_calls_no_attention(monkeypatch):
    net = build(CIFAR, scheme='all')
    for attention in net.ean.values():
        monkeypatch.setattr(attention, 'forward', lambda x: pytest.fail('attention was called'))
    net.set_scheme('none')
    net(torch.randn(1, 3, 32, 32))


def test_a_network_built_for_none_has_nothing_extra(family):
    cfg, _, _ = family
    net, bare = build(cfg, scheme='none'), build_bare(cfg)
    assert list(net.state_dict()) == list(bare.state_dict())
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in bare.parameters())


def test_each_bit_connects_its_own_block():
    net = build(CIFAR)
    randomise(net)
    image = torch.randn(1, 3, 32, 32)
    net.set_scheme('none')
    seen = {}
    for index, slot in enumerate(net.slots):
        slot.register_forward_hook(lambda m, i, o, n=index: seen.__setitem__(n, o.clone()))
    outputs(net, image)
    bare = dict(seen)
    for index in range(net.num_connections):
        mask = torch.zeros(net.num_connections, dtype=torch.bool)
        mask[index] = True
        net.set_scheme(ConnectionScheme.from_mask(mask.numpy(), net.blocks_per_stage))
        outputs(net, image)
        changed = [torch.equal(seen[i], bare[i]) for i in range(net.num_connections)]
        assert all(changed[:index])
        assert not changed[index]
        expected = net.slots[index].attention(bare[index])
        torch.testing.assert_close(seen[index], expected)


def test_plain_checkpoint_in_plain_checkpoint_out(family):
    cfg, size, _ = family
    net, bare = build(cfg), build_bare(cfg)
    randomise(bare)
    incompatible = net.load_state_dict(bare.state_dict(), strict=False)
    assert all(key.startswith('ean.') for key in incompatible.missing_keys)
    assert not incompatible.unexpected_keys
    net.set_scheme('none')
    image = torch.randn(1, 3, size, size)
    assert torch.equal(outputs(net, image)[-1], outputs(bare, image)[-1])
    assert list(net.state_dict())[: len(bare.state_dict())] == list(bare.state_dict())


def test_mmengine_sees_the_same_keys():
    from mmengine.runner.checkpoint import get_state_dict, load_state_dict

    net = build(R18)
    assert list(get_state_dict(net)) == list(net.state_dict())
    wrapped = nn.Sequential()
    wrapped.add_module('backbone', net)
    saved = {key: value.clone() for key, value in get_state_dict(wrapped).items()}
    assert 'backbone.layer1.0.bn2.weight' in saved
    assert 'backbone.ean.stage0.attention.squeeze.weight' in saved
    randomise(net)
    load_state_dict(wrapped, saved, strict=True)
    assert all(torch.equal(value, saved[key]) for key, value in wrapped.state_dict().items())


def test_sharing_decides_the_number_of_modules():
    assert list(build(CIFAR).ean) == ['stage0', 'stage1', 'stage2']
    per_block = build(CIFAR, sharing='block', scheme='100 011 000')
    assert list(per_block.ean) == ['stage0_block0', 'stage1_block1', 'stage1_block2']
    assert list(build(CIFAR, scheme='100 000 010').ean) == ['stage0', 'stage2']


def test_a_scheme_needs_its_attention():
    net = build(CIFAR, scheme='100 000 010')
    net.set_scheme('011 000 000')
    with pytest.raises(ValueError, match=r"connect only sites whose attention was built, .*'000 100 000'"):
        net.set_scheme('000 100 000')
    assert str(net.scheme) == '011 000 000'
    with pytest.raises(ValueError, match=r'`scheme` must have .* blocks per stage'):
        net.set_scheme(ConnectionScheme.all((3, 3)))


def test_ticket_network_equals_masked_supernet():
    supernet = build(CIFAR)
    randomise(supernet)
    supernet.set_scheme('101 000 010')
    ticket = build(CIFAR, scheme='101 000 010')
    ticket.load_state_dict(supernet.state_dict())
    image = torch.randn(2, 3, 32, 32)
    assert torch.equal(outputs(ticket, image)[0], outputs(supernet, image)[0])


class TestCarry:
    def test_unconnected_blocks_leave_the_state_untouched(self):
        net = build(CIFAR, attention=DIA, scheme='101 000 000')
        unit = net.ean['stage0'].attention
        seen = []
        original = unit.step
        unit.step = lambda x, carry: seen.append(carry) or original(x, carry)
        branches = []
        for slot in net.slots[:3]:
            slot.child.register_forward_hook(lambda m, i, o: branches.append(o.clone()))
        outputs(net, torch.randn(2, 3, 32, 32))
        _, expected = original(branches[0], None)
        assert seen[0] is None
        assert len(seen) == 2
        assert all(map(torch.equal, seen[1], expected))

    def test_every_pass_and_stage_starts_afresh(self):
        net = build(CIFAR, attention=DIA)
        image = torch.randn(2, 3, 32, 32)
        assert torch.equal(outputs(net, image)[0], outputs(net, image)[0])
        assert not net._carries._carries

    def test_an_exception_leaves_no_state(self):
        net = build(CIFAR, attention=DIA)
        net.backbone.layer3[0].register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            net(torch.randn(2, 3, 32, 32))
        assert not net._carries._carries

    def test_checkpointed_blocks_are_refused(self):
        with pytest.raises(ValueError, match=r'`with_cp` must be False with an attention that hands'):
            build(dict(R18, with_cp=True), attention=DIA)


class TestInPlace:
    """Without gradients a channel attention multiplies a norm's output in place."""

    def test_both_ways_are_the_same_bit_for_bit(self):
        net = build(R18)
        randomise(net)
        net.eval()
        image = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            without_gradients = net(image)[0]
        assert torch.equal(without_gradients, net(image)[0])

    def test_only_what_a_norm_has_made_is_overwritten(self):
        net = build(CIFAR)
        randomise(net)
        net.eval()
        slot = net.slots[0]
        x = torch.randn(2, 16, 4, 4)
        kept, before = [], x.clone()
        slot.child.register_forward_hook(lambda *io: kept.append(io[2]))
        with torch.no_grad():
            assert slot(x) is kept[0]
            assert torch.equal(x, before)
            slot.child = nn.Identity()  # as after fusing it into its convolution
            assert slot(x) is not x
        assert torch.equal(x, before)

    def test_a_child_called_gate_is_no_channel_attention(self):
        @ROOT.register_module()
        class HasAGate(nn.Module):
            def __init__(self, in_channels):
                super().__init__()
                self.gate = nn.Sigmoid()

            def forward(self, x):
                return 3 * x

        net = build(CIFAR, attention=dict(type='mmengine.HasAGate')).eval()
        ROOT.module_dict.pop('HasAGate')
        x = torch.ones(1, 16, 2, 2)
        with torch.no_grad():
            assert torch.equal(net.slots[0](x), 3 * net.slots[0].child(x))


class TestSurvives:
    """What MM does to modules must not lose the attention."""

    def test_deepcopy(self):
        net = build(R18)
        randomise(net)
        clone = copy.deepcopy(net)
        image = torch.randn(1, 3, 64, 64)
        assert torch.equal(outputs(clone, image)[0], outputs(net, image)[0])
        clone.set_scheme('none')
        nn.init.zeros_(clone.ean['stage0'].attention.excite.weight)
        assert net.scheme.num_connected == 8
        assert net.ean['stage0'].attention.excite.weight.abs().sum() > 0
        assert clone.slots[0].attention is clone.ean['stage0']

    def test_ema(self):
        from mmengine.model import ExponentialMovingAverage

        net = build(CIFAR)
        average = ExponentialMovingAverage(net, momentum=0.5)
        randomise(net)
        average.update_parameters(net)
        randomise_again = {k: v.clone() for k, v in net.state_dict().items()}
        for key, value in average.module.state_dict().items():
            if 'running' not in key and 'num_batches' not in key:
                assert torch.equal(value, randomise_again[key]), key

    def test_fuse_conv_bn(self):
        from mmcv.cnn import fuse_conv_bn

        net = build(R18)
        randomise(net)
        image = torch.randn(1, 3, 64, 64)
        before = outputs(net, image)[0]
        fused = fuse_conv_bn(copy.deepcopy(net))
        torch.testing.assert_close(outputs(fused, image)[0], before, rtol=1e-4, atol=1e-5)
        fused.set_scheme('none')
        net.set_scheme('none')
        torch.testing.assert_close(outputs(fused, image)[0], outputs(net, image)[0], rtol=1e-4, atol=1e-5)

    def test_revert_sync_batchnorm(self):
        from mmengine.model import revert_sync_batchnorm

        net = build(dict(R18, norm_cfg=dict(type='SyncBN')))
        keys = list(net.state_dict())
        net = revert_sync_batchnorm(net)
        assert list(net.state_dict()) == keys
        assert not any(isinstance(m, nn.SyncBatchNorm) for m in net.modules())
        image = torch.randn(1, 3, 64, 64)
        on = outputs(net, image)[0]
        net.set_scheme('none')
        assert not torch.equal(on, outputs(net, image)[0])

    def test_activation_checkpointing(self):
        plain, checkpointed = build(R18), build(dict(R18, with_cp=True))
        checkpointed.load_state_dict(plain.state_dict())
        gradients = []
        for net in (plain, checkpointed):
            net.train()
            image = torch.ones(2, 3, 64, 64, requires_grad=True)
            net(image)[0].sum().backward()
            gradients.append([p.grad for p in net.parameters() if p.grad is not None])
        assert len(gradients[0]) == len(list(plain.parameters()))
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)

    def test_safetensors(self, tmp_path):
        safetensors = pytest.importorskip('safetensors.torch')
        net = build(CIFAR)
        safetensors.save_file(net.state_dict(), tmp_path / 'net.safetensors')
        loaded = safetensors.load_file(tmp_path / 'net.safetensors')
        assert set(loaded) == set(net.state_dict())

    def test_zero_init_residual(self):
        net = build(dict(R18, zero_init_residual=True))
        net.init_weights()
        assert all((slot.child.weight == 0).all() for slot in net.slots)

    def test_norm_eval(self):
        pytest.importorskip('mmpretrain')
        net = build(dict(R18, norm_eval=True))
        net.train()
        assert not any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))

    def test_frozen_stages_freeze_their_attention(self):
        net = build(dict(R18, frozen_stages=2))
        net.train()
        frozen = [name for name, attention in net.ean.items() if not attention.training]
        assert frozen == ['stage0', 'stage1']
        for name, attention in net.ean.items():
            assert all(p.requires_grad == (name not in frozen) for p in attention.parameters())
        assert not any(p.requires_grad for p in net.slots[0].parameters())


class TestInitialisation:
    @pytest.fixture
    def checkpoint(self, tmp_path):
        bare = build_bare(R18)
        randomise(bare)
        path = tmp_path / 'plain.pth'
        torch.save({'state_dict': bare.state_dict()}, path)
        return path, bare.state_dict()

    @pytest.mark.parametrize('inside', [True, False])
    def test_pretrained_weights_come_from_inside_or_outside(self, checkpoint, inside):
        path, weights = checkpoint
        init_cfg = dict(type='Pretrained', checkpoint=str(path))
        net = build(dict(R18, init_cfg=init_cfg)) if inside else build(R18, init_cfg=init_cfg)
        assert net.init_cfg == [init_cfg]
        net.init_weights()
        state = net.state_dict()
        assert all(torch.equal(state[key], value) for key, value in weights.items())

    def test_other_initialisation_acts_inside(self):
        net = build(CIFAR, init_cfg=dict(type='Constant', val=3, layer='Conv2d'))
        net.init_weights()
        assert (net.conv1.weight == 3).all()

    def test_twice_is_refused(self):
        init_cfg = dict(type='Kaiming', layer='Conv2d')
        with pytest.raises(ValueError, match=r'`init_cfg` must be given once'):
            build(dict(R18, init_cfg=init_cfg), init_cfg=init_cfg)

    def test_a_default_initialisation_stays(self):
        net, bare = build(R18), build_bare(R18)
        assert net.backbone.init_cfg == bare.init_cfg
        assert net.init_cfg is None


class TestCheckpointKeys:
    def weights(self, cfg=R18):
        return build_bare(cfg).state_dict()

    def test_a_missing_key_is_an_error(self):
        weights = self.weights()
        del weights['conv1.weight']
        with pytest.raises(ValueError, match=r'keys of ResNet, but got 1 missing keys \(conv1.weight\)'):
            build(R18).load_state_dict(weights, strict=False)

    def test_mmengine_cannot_log_it_away(self):
        from mmengine.runner.checkpoint import load_state_dict

        with pytest.raises(ValueError, match=r'mis-shaped'):
            load_state_dict(build(R18), self.weights(R50), strict=False)

    def test_another_stem_is_an_error(self):
        with pytest.raises(ValueError, match=r'missing keys \(stem'):
            build(dict(type='mmpretrain.ResNetV1c', depth=50)).load_state_dict(self.weights(R50), False)

    def test_what_may_be_missing_is_named(self):
        weights = self.weights()
        del weights['conv1.weight']
        weights['extra'] = torch.zeros(1)
        net = build(R18, allow_missing=[r'conv1\.', 'extra'])
        net.load_state_dict(weights, strict=False)

    def test_a_head_is_ignored(self):
        weights = self.weights()
        weights['fc.weight'] = torch.zeros(10, 512)
        build(R18).load_state_dict(weights, strict=False)

    def test_a_whole_model_gets_a_hint(self):
        weights = {f'backbone.{key}': value for key, value in self.weights().items()}
        with pytest.raises(ValueError, match=r"add prefix='backbone.' to the Pretrained"):
            build(R18).load_state_dict(weights, strict=False)

    def test_another_attention_is_an_error(self):
        weights = build(R18, attention=dict(type='ean_mm.SE', reduction=8)).state_dict()
        with pytest.raises(ValueError, match=r'mis-shaped keys \(ean.stage0'):
            build(R18).load_state_dict(weights, strict=False)
        weights = build(R18, attention=dict(type='ean_mm.DIA')).state_dict()
        with pytest.raises(ValueError, match=r'missing keys \(ean.stage0'):
            build(R18).load_state_dict(weights, strict=False)

    def test_old_checkpoints_count_no_batches(self):
        weights = {k: v for k, v in self.weights().items() if 'num_batches' not in k}
        build(R18).load_state_dict(weights, strict=False)

    def test_unused_attention_of_a_supernet_is_left_out(self):
        build(R18, scheme='10 00 00 00').load_state_dict(build(R18).state_dict())


@pytest.mark.parametrize(
    ('backbone', 'arguments', 'message'),
    [
        (dict(type='mmpretrain.VGG', depth=11), {}, "must have residual blocks .* but got 'VGG'"),
        (dict(type='mmpretrain.ResNett', depth=18), {}, "did you mean 'mmpretrain.ResNet'"),
        ('ResNet', {}, "`backbone` must be a dict with a 'type', but got 'ResNet'"),
        (R18, dict(attention=None), "`attention` must be a dict with a 'type', but got None"),
        (R18, dict(sharing='net'), "`sharing` must be one of .* but got 'net'"),
        (R18, dict(scheme='11 11 11'), '`scheme` must'),
        (R18, dict(scheme='11 11 11 12'), '`scheme` must'),
        (CIFAR, dict(attention=dict(type='ean_mm.SGE')), 'must divide the 16 channels'),
    ],
)
def test_wrong_arguments_are_named(backbone, arguments, message):
    pytest.importorskip('mmpretrain')
    with pytest.raises(ValueError, match=message):
        build(backbone, **arguments)


def test_builds_by_its_scoped_name_from_any_scope():
    for scope in ('mmengine', 'mmpretrain'):
        init_default_scope(scope)
        net = ROOT.build(dict(type='ean_mm.EANBackbone', backbone=CIFAR, attention=SE))
        assert type(net) is EANBackbone

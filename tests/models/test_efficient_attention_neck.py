"""The neck against the attentions it owns, alone and in the models of MM."""

import pytest
import torch
from mmengine.registry import MODELS as MMENGINE_MODELS

from ean_mm.models import EfficientAttentionNeck
from ean_mm.registry import MODELS

WIDTHS = (8, 12, 16)


def draw_maps(widths=WIDTHS, size=8):
    torch.manual_seed(1)
    return tuple(torch.randn(2, width, size >> i, size >> i) for i, width in enumerate(widths))


@pytest.mark.parametrize('levels', [None, [2], (2, 0)])
def test_chosen_levels_are_attended_and_others_are_the_same_tensors(levels):
    neck = EfficientAttentionNeck(list(WIDTHS), levels, num_heads=2, normalization='scaling')
    maps = draw_maps()
    outputs = neck(maps)
    assert isinstance(outputs, tuple)
    chosen = range(3) if levels is None else levels
    assert sorted(neck.attentions) == sorted(map(str, chosen))
    for level, (x, y) in enumerate(zip(maps, outputs, strict=True)):
        if level in chosen:
            assert not torch.equal(y, x)
            assert torch.equal(y, neck.attentions[str(level)](x))
        else:
            assert y is x


def test_its_own_arguments_reach_every_attention():
    neck = EfficientAttentionNeck(
        [8, 12], key_channels=6, value_channels=10, num_heads=2, normalization='scaling', gate_init='identity'
    )
    for attention, width in zip(neck.attentions.values(), (8, 12), strict=True):
        assert attention.queries.weight.shape == (6, width, 1, 1)
        assert attention.values.weight.shape == (10, width, 1, 1)
        assert attention.num_heads == 2
        assert attention.normalize.__name__.endswith('scaling')
    neck.init_weights()
    maps = draw_maps((8, 12))
    assert all(torch.equal(*pair) for pair in zip(neck(maps), maps, strict=True))


def test_an_identity_start_outlives_an_outer_initialisation():
    init_cfg = dict(type='Kaiming', layer='Conv2d')
    neck = EfficientAttentionNeck([8], gate_init='identity', init_cfg=init_cfg)
    neck.init_weights()
    (x,) = draw_maps((8,))
    assert torch.equal(neck([x])[0], x)


def test_behind_a_segmentation_fpn():
    pytest.importorskip('mmseg.models')
    fpn = dict(type='mmseg.FPN', in_channels=list(WIDTHS), out_channels=8, num_outs=3)
    own = dict(type='ean_mm.EfficientAttentionNeck', in_channels=[8, 8, 8], levels=[1])
    neck = MMENGINE_MODELS.build([fpn, own])
    maps = draw_maps()
    before = neck[0](maps)
    after = neck(maps)
    assert [torch.equal(x, y) for x, y in zip(before, after, strict=True)] == [True, False, True]
    assert torch.equal(after[1], neck[1].attentions['1'](before[1]))


def build_classifier(neck):
    torch.manual_seed(0)
    backbone = dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8)
    head = dict(type='mmpretrain.LinearClsHead', in_channels=64, num_classes=3)
    necks = [*neck, dict(type='mmpretrain.GlobalAveragePooling')]
    return MODELS.build(dict(type='mmpretrain.ImageClassifier', backbone=backbone, neck=necks, head=head)).eval()


def test_behind_the_last_stage_of_a_classifier():
    pytest.importorskip('mmpretrain.models')
    x = torch.randn(2, 3, 16, 16)
    plain = build_classifier([])
    neck = dict(type='ean_mm.EfficientAttentionNeck', in_channels=[64])
    for gate_init, changes in (('identity', False), ('paper', True)):
        model = build_classifier([{**neck, 'gate_init': gate_init}])
        model.backbone.load_state_dict(plain.backbone.state_dict())
        model.head.load_state_dict(plain.head.state_dict())
        assert torch.equal(model(x), plain(x)) is not changes


def test_another_number_of_maps_is_refused():
    with pytest.raises(ValueError, match='`inputs` must be 3 maps, one per entry of `in_channels`, but got 2; give'):
        EfficientAttentionNeck(WIDTHS)(draw_maps()[:2])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(in_channels=8), '`in_channels` must be a list with the width of each level, but got 8'),
        (dict(in_channels=[]), r'`in_channels` must be a list with the width of each level, but got \[\]'),
        (dict(in_channels=[8, 0]), '`in_channels` must be a whole number of at least 1, but got 0'),
        (dict(levels=1), '`levels` must be different places in the 3 entries of `in_channels`, from 0, but got 1'),
        (dict(levels=[]), r'`levels` must be different places in the 3 entries .* but got \[\]'),
        (dict(levels=[3]), r'`levels` must be different places in the 3 entries .* but got \[3\]'),
        (dict(levels=[-1]), r'`levels` must be different places in the 3 entries .* but got \[-1\]'),
        (dict(levels=[True]), r'`levels` must be different places in the 3 entries .* but got \[True\]'),
        (dict(levels=[1, 1]), r'`levels` must be different places in the 3 entries .* but got \[1, 1\]'),
        (dict(num_heads=5), '`num_heads` must divide the 4 channels of keys and the 8 of values, but got 5'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        EfficientAttentionNeck(**{'in_channels': WIDTHS, **arguments})

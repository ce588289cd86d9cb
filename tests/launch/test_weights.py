import pytest
from mmengine.config import Config

from ean_mm.launch import check_weights

MISSING = dict(type='Pretrained', checkpoint='no/where.pth', prefix='backbone.')


@pytest.mark.parametrize(
    ('model', 'entry', 'owner'),
    [
        (dict(backbone=dict(init_cfg=MISSING)), 'model.backbone.init_cfg', 'model.backbone.init_cfg'),
        (dict(backbone=dict(backbone=dict(init_cfg=MISSING))), *['model.backbone.backbone.init_cfg'] * 2),
        (dict(init_cfg=[dict(type='Kaiming', layer='Conv2d'), MISSING]), 'model.init_cfg.1', 'model.init_cfg'),
    ],
)
def test_a_missing_file_is_named_with_the_way_out(model, entry, owner):
    message = (
        f'`{entry}.checkpoint` must be a file of weights, but got .no/where.pth., which does not exist; train them first, '
        f'correct the path, or start without them by --cfg-options {owner}=None'
    )
    with pytest.raises(ValueError, match=message):
        check_weights(Config(dict(model=model)))


def test_load_from_is_checked():
    with pytest.raises(ValueError, match=r'`load_from` must be a file of weights, but got .no/where\.pth'):
        check_weights(Config(dict(model=dict(), load_from='no/where.pth')))


def test_present_remote_and_absent_weights_pass(tmp_path):
    (tmp_path / 'there.pth').touch()
    for checkpoint in (str(tmp_path / 'there.pth'), 'torchvision://resnet50', 'https://somewhere/weights.pth'):
        check_weights(Config(dict(model=dict(init_cfg=dict(MISSING, checkpoint=checkpoint)), load_from=None)))
    check_weights(Config(dict(model=dict(backbone=dict(init_cfg=None)))))
    check_weights(Config(dict(train_cfg=dict())))

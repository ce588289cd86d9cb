"""MM's own inference functions on configs that know ean_mm by ``custom_imports`` only."""

import subprocess
import sys

import numpy as np
import pytest
import torch

BACKBONE = """
custom_imports = dict(imports=['ean_mm'], allow_failed_imports=False)
backbone = dict(
    type='ean_mm.EANBackbone',
    backbone=dict(type='{package}.ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='not/there.pth')),
    attention=dict(type='ean_mm.SE'),
    scheme='10 01 00 11')
"""
CLASSIFIER = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=512, topk=(1,)),
    data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=64), dict(type='PackInputs')]))
"""
SEGMENTOR = """
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder', backbone=dict(**backbone),
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, size=(64, 64)),
    decode_head=dict(type='FCNHead', in_channels=512, in_index=3, channels=16, num_convs=1, num_classes=4,
                     norm_cfg=dict(type='BN')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
model['backbone']['init_cfg'] = model['backbone']['backbone'].pop('init_cfg')
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), dict(type='PackSegInputs')]
"""
# In a process of its own, so that nothing but the config brings in ean_mm.
CLASSIFY = """
import sys
import numpy as np
from mmpretrain import ImageClassificationInferencer, get_model

assert 'ean_mm' not in sys.modules
model = get_model(sys.argv[1], pretrained=sys.argv[2])
image = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
result = ImageClassificationInferencer(model)(image)[0]
again = ImageClassificationInferencer(sys.argv[1], pretrained=sys.argv[2], device='cpu')(image)[0]
assert np.array_equal(result['pred_scores'], again['pred_scores'])
np.save(sys.argv[3], result['pred_scores'])
"""
SEGMENT = """
import sys
import numpy as np
from mmseg.apis import inference_model, init_model

assert 'ean_mm' not in sys.modules
model = init_model(sys.argv[1], sys.argv[2], device='cpu')
image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
np.save(sys.argv[3], inference_model(model, image).seg_logits.data.numpy())
"""


@pytest.fixture
def files(tmp_path):
    """Write a config and a checkpoint whose weights are not the initial ones; return their paths and the model."""
    from mmengine.config import Config
    from mmengine.registry import MODELS, DefaultScope

    def write(package, text):
        pytest.importorskip(f'{package}.models')
        config = tmp_path / 'config.py'
        config.write_text(BACKBONE.format(package=package) + text, encoding='utf-8')
        cfg = Config.fromfile(config)
        backbone = cfg.model.backbone
        backbone.get('backbone').pop('init_cfg', None)
        backbone.pop('init_cfg', None)
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope(package):
            model = MODELS.build(cfg.model)
        for parameter in model.backbone.ean.parameters():
            torch.nn.init.normal_(parameter)
        checkpoint = tmp_path / 'weights.pth'
        meta = {'dataset_meta': {'classes': [*'abcdefghij'], 'palette': [[i, i, i] for i in range(10)]}}
        torch.save({'state_dict': model.state_dict(), 'meta': meta}, checkpoint)
        return config, checkpoint, model.eval()

    return write


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_classification(files, tmp_path):
    config, checkpoint, model = files('mmpretrain', CLASSIFIER)
    run(CLASSIFY, config, checkpoint, tmp_path / 'scores.npy')
    scores = np.load(tmp_path / 'scores.npy')
    image = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    import mmcv

    resized = torch.from_numpy(mmcv.imresize(image, (64, 64)).astype(np.float32)).permute(2, 0, 1)[None]
    with torch.no_grad():
        on = model.head(model.neck(model.backbone((resized - 127.5) / 127.5))).softmax(1)[0]
        model.backbone.set_scheme('none')
        off = model.head(model.neck(model.backbone((resized - 127.5) / 127.5))).softmax(1)[0]
    np.testing.assert_allclose(scores, on.numpy(), atol=1e-6)
    assert (on - off).abs().max() > 1e-4


def test_segmentation(files, tmp_path):
    config, checkpoint, model = files('mmseg', SEGMENTOR)
    run(SEGMENT, config, checkpoint, tmp_path / 'logits.npy')
    logits = np.load(tmp_path / 'logits.npy')
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    x = (torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] - 127.5) / 127.5
    with torch.no_grad():
        maps = model.decode_head(model.backbone(x))
    on = torch.nn.functional.interpolate(maps, size=(64, 64), mode='bilinear', align_corners=False)[0]
    np.testing.assert_allclose(logits, on.numpy(), atol=1e-4)

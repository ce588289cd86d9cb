"""Two images per split in the formats of Cityscapes, ADE20K, VOC and COCO on disk, and configs shrunk to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from ean_mm.registry import MODELS
from ean_mm.structures import ConnectionScheme, Ticket

SIZE = (64, 96)
WIDTH = 8  # channels of the narrow ResNet-50's first convolution, an eighth of the usual
NUM_CLASSES = {'cityscapes': 19, 'ade20k': 150, 'voc12aug': 21}


def write_data(name: str, root: Path) -> dict[str, np.ndarray]:
    """Write a data set; return the label map of every file of labels, by the file's name."""
    return {'cityscapes': write_cityscapes, 'ade20k': write_ade20k, 'voc12aug': write_voc12aug}[name](root)


def write_cityscapes(root: Path) -> dict[str, np.ndarray]:
    written = {}
    for split, city in (('train', 'aachen'), ('val', 'munster')):
        for index in range(2):
            stem = f'{city}_00000{index}_000019'
            _save_image(root / f'leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png', index)
            path = root / f'gtFine/{split}/{city}/{stem}_gtFine_labelTrainIds.png'
            written[path.name] = _save_labels(path, [*range(19), 255], 'L')
    return written


def write_ade20k(root: Path) -> dict[str, np.ndarray]:
    written = {}
    for split, short in (('training', 'train'), ('validation', 'val')):
        for index in range(2):
            stem = f'ADE_{short}_0000000{index}'
            _save_image(root / f'images/{split}/{stem}.jpg', index)
            path = root / f'annotations/{split}/{stem}.png'
            written[path.name] = _save_labels(path, range(151), 'L')
    return written


def write_voc12aug(root: Path) -> dict[str, np.ndarray]:
    written = {}
    lists = root / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    for number, (split, folder, mode) in enumerate(
        (('train', 'SegmentationClass', 'P'), ('aug', 'SegmentationClassAug', 'L'), ('val', 'SegmentationClass', 'P'))
    ):
        stems = [f'2007_00{number}{index:03}' for index in range(2)]
        (lists / f'{split}.txt').write_text(''.join(f'{stem}\n' for stem in stems))
        for index, stem in enumerate(stems):
            _save_image(root / f'JPEGImages/{stem}.jpg', index)
            path = root / f'{folder}/{stem}.png'
            written[path.name] = _save_labels(path, [*range(21), 255], mode)
    return written


def write_coco(root: Path) -> None:
    """Two images per split with three boxes each, of the first two of COCO's 80 categories."""
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        names = [f'{index:012}.jpg' for index in range(1, 3)]
        for index, name in enumerate(names):
            _save_image(root / split / name, index)
        boxes = [(image, box) for image in (1, 2) for box in ([4, 4, 40, 40], [30, 10, 50, 40], [8, 30, 36, 30])]
        content = dict(
            images=[dict(id=i, file_name=n, height=SIZE[0], width=SIZE[1]) for i, n in enumerate(names, 1)],
            annotations=[
                dict(id=i, image_id=image, category_id=1 + i % 2, bbox=box, area=box[2] * box[3], iscrowd=0)
                for i, (image, box) in enumerate(boxes, 1)
            ],
            categories=[dict(id=1, name='person'), dict(id=2, name='bicycle')],
        )
        (root / f'annotations/instances_{split}.json').write_text(json.dumps(content))


def _save_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)


def _save_labels(path: Path, values, mode: str) -> np.ndarray:
    """Blocks of 8 x 8 pixels, every value in turn; mode 'P' has colours, as VOC's own files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = SIZE[0] // 8, SIZE[1] // 8
    blocks = np.resize(np.array(values, dtype=np.uint8), (rows, columns))
    labels = np.kron(blocks, np.ones((8, 8), dtype=np.uint8))
    image = Image.fromarray(labels)
    if mode == 'P':
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)
    return labels


# -- configs -----------------------------------------------------------------------------------------------------------


def shrink(cfg: Config, data_root: Path, directory: Path) -> Config:
    """Make a shipped config of segmentation or detection a matter of seconds, by changes a user could give as --cfg-options.

    The backbone keeps its depth and dilations and loses seven eighths of its channels; the ticket is one for it.
    """
    _replace(cfg._cfg_dict, _small_values(str(data_root)))
    narrow(cfg.model.backbone)
    cfg.model.backbone.init_cfg = None
    cfg.model.backbone.ticket = str(directory / 'ticket.json')
    if not Path(cfg.model.backbone.ticket).exists():
        write_ticket(cfg.model.backbone, directory)
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.update(interval=2, by_epoch=False)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(directory / 'work')
    return cfg


def narrow(backbone: dict) -> None:
    backbone['backbone'].update(base_channels=WIDTH, stem_channels=WIDTH)
    backbone['attention'].update(reduction=4)


def write_ticket(backbone: dict, directory: Path, stride: int = 2) -> str:
    """The ticket that a search of this backbone could write, with every ``stride``-th block connected."""
    free = {key: value for key, value in backbone.items() if key not in ('ticket', 'init_cfg')}
    wrapped = MODELS.build(free)
    mask = [index % stride == 0 for index in range(wrapped.num_connections)]
    path = directory / 'ticket.json'
    Ticket(
        origin='given',
        scheme=ConnectionScheme.from_mask(mask, wrapped.blocks_per_stage),
        backbone=wrapped.fingerprint,
        attention=wrapped.attention_spec,
        sharing=wrapped.sharing,
    ).save(path)
    return str(path)


def _small_values(data_root: str) -> dict:
    def eighth(value):
        return [channels // 8 for channels in value] if isinstance(value, (list, tuple)) else value // 8

    return dict(
        data_root=lambda _: data_root,
        scale=lambda _: (SIZE[1], SIZE[0]),
        crop_size=lambda _: (64, 64),
        size=lambda _: (64, 64),
        in_channels=eighth,
        c1_in_channels=eighth,
        c1_channels=eighth,
        channels=eighth,
        out_channels=eighth,
        feat_channels=eighth,
        fc_out_channels=eighth,
    )


def _replace(node, rules: dict) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in rules:
                node[key] = rules[key](value)
            else:
                _replace(value, rules)
    elif isinstance(node, list):
        for value in node:
            _replace(value, rules)

"""The shipped configs on generated scenes, shrunk to seconds, and a ticket for their backbone."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ean_mm.registry import MODELS
from ean_mm.structures import ConnectionScheme, Ticket

CONFIGS = Path(__file__).parents[2] / 'configs/ean'
SEGMENTOR = 'fcn_resnet20_se_ticket_digitscenes'
COUNTER = 'counter_resnet20_se_ticket_digitcrowds'
SCENES = dict(num_scenes=24, size=32, num_digits=(1, 4), digit_size=(10, 16))
BACKBONE = dict(type='ean_mm.ResNetCifar', depth=8, base_channels=8)
SE = dict(type='ean_mm.SE', reduction=4, min_channels=4)


def load_tiny(name: str, directory: Path, depth: int = 8) -> Config:
    """A shipped config of digit scenes or crowds, with 24 scenes of 32 pixels, a narrow network and two iterations or epochs.

    It has neither ticket nor weights to start from.
    """
    cfg = Config.fromfile(CONFIGS / f'{name}.py', format_python_code=False)
    cfg.work_dir = str(directory / 'work')
    cfg.log_level = 'WARNING'
    cfg.model.backbone.backbone.update(depth=depth, base_channels=8)
    cfg.model.backbone.ticket = cfg.model.backbone.init_cfg = None
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 4
        loader.dataset.update(data_root=str(directory / 'data'), **SCENES)
        for step in loader.dataset.pipeline:
            if 'height' in step:
                step.update(height=32, width=32)
    if 'decode_head' in cfg.model:
        cfg.model.decode_head.update(in_channels=32, channels=16)
        cfg.model.data_preprocessor.size = (32, 32)
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.default_hooks.checkpoint.interval = 1
    else:
        cfg.model.head.update(in_channels=32, hidden_channels=16)
        cfg.train_cfg.update(max_epochs=2, val_interval=2)
    return cfg


def write_ticket(path: Path, scheme: str, backbone: dict | None = None, **changes) -> str:
    """A ticket for the backbone of ``load_tiny``, or another; return its path."""
    wrapped = MODELS.build(dict(type='ean_mm.EANBackbone', backbone=backbone or BACKBONE, attention=SE))
    fields = dict(
        origin='given',
        scheme=ConnectionScheme.parse(scheme, wrapped.blocks_per_stage),
        backbone=wrapped.fingerprint,
        attention=wrapped.attention_spec,
        sharing=wrapped.sharing,
    )
    Ticket(**{**fields, **changes}).save(path)
    return str(path)

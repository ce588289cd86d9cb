"""The config that goes with deployed weights."""

from __future__ import annotations

import copy

from mmengine.config import Config

from ...hooks.wrapped_backbone import find_backbone_config, iter_parts
from ...models import AugmentedBackbone, EANBackbone
from ..config_entries import OF_ONE_RUN, OF_TRAINING, without


def config_of(backbone: EANBackbone, given: dict) -> dict:
    """The config that builds a folded backbone: the bare one where no site is connected.

    Args:
        backbone: after folding.
        given: config it was built from, of type EANBackbone.
    """
    if not backbone.scheme.num_connected:
        return _without_initialisation(given['backbone'])
    kept = {key: given[key] for key in ('type', 'residual_blocks') if given.get(key) is not None}
    if isinstance(backbone, AugmentedBackbone):
        inner = _without_initialisation(given['backbone'])
        return {
            **kept,
            'backbone': inner,
            'conv': copy.deepcopy(backbone.attention_cfg),
            'scheme': str(backbone.scheme),
        }
    return {
        **kept,
        'backbone': _without_initialisation(given['backbone']),
        'attention': copy.deepcopy(backbone.attention_cfg),
        'sharing': backbone.sharing,
        'scheme': str(backbone.scheme),
    }


def accelerated(backbone: dict) -> dict:
    """The config of a rewritten backbone."""
    return dict(type='ean_mm.AcceleratedBackbone', backbone=backbone)


def deploy_config(cfg: Config, backbone: dict) -> Config:
    """The config for inference: the model with another backbone, its test set, and nothing of training.

    A config whose model names nothing of this package does not import it either.
    """
    fields = without(cfg, *OF_TRAINING, *OF_ONE_RUN, 'randomness').to_dict()
    entry = find_backbone_config(fields['model'])
    entry.clear()
    entry.update(copy.deepcopy(backbone))
    imports = fields.pop('custom_imports', None)
    needs_us = bool(our_types(fields['model']))
    kept = [name for name in (imports or {}).get('imports', []) if needs_us or name.split('.')[0] != 'ean_mm']
    if kept:
        fields['custom_imports'] = {**imports, 'imports': kept}
    return Config(fields)


def our_types(model: dict) -> list[str]:
    """The types of this package that a model's config names, each once."""
    names = (str(part.get('type', '')) for part in iter_parts(model))
    return list(dict.fromkeys(name for name in names if name.startswith('ean_mm.')))


def _without_initialisation(cfg: dict) -> dict:
    return {key: value for key, value in copy.deepcopy(dict(cfg)).items() if key != 'init_cfg'}

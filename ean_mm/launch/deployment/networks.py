"""The networks of a deployment: the trained one, copies of it with another backbone, and the one that is written."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ...evaluation import GraphError
from ...hooks.wrapped_backbone import find_backbone, find_backbone_config
from ...models import EANBackbone
from ...reparam import AcceleratedBackbone, release
from ..config_entries import OF_TESTING, OF_TRAINING, without
from ..training import make_runner
from .config import accelerated, config_of, deploy_config


def make_quiet_runner(cfg: Config, directory: Path) -> Runner:
    """A runner that has the model, and builds loaders and evaluators; what it says of itself is left out of the log."""
    cfg = without(cfg, *OF_TRAINING, *OF_TESTING)
    level, cfg.log_level = cfg.get('log_level', 'INFO'), 'WARNING'
    runner = make_runner(cfg, directory, seed=0)
    for each in (runner.logger, *runner.logger.handlers):
        each.setLevel(level)
    return runner


def load_weights(model: nn.Module, weights: dict[str, Tensor], checkpoint: str) -> None:
    """Load all weights of a model.

    Args:
        model: as the config builds it.
        weights: that were read.
        checkpoint: where, for the error.

    Raises:
        ValueError: if they are of another model.
    """
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as err:
        raise ValueError(
            f'`checkpoint` must hold the weights of this {type(model).__name__} and of its attention, but got {checkpoint!r} '
            f'with others ({" ".join(str(err).split())[:300]}); give the config that it was trained with.'
        ) from err


def with_backbone(model: Any, backbone: nn.Module) -> Any:
    """A copy of the model with another backbone, of which it holds no copy."""
    changed = copy.deepcopy(model)
    replace_module(changed, find_backbone(changed), backbone)
    return changed


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` where ``old`` stands in a model."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
                return
    raise ValueError(f'`old` must be a part of the model, but got a {type(old).__name__} of elsewhere.')


def finish(cfg: Config, runner: Runner, folded: Any, accelerate: bool) -> tuple[Config, Any]:
    """The config for inference, and the model that it builds, with the weights in it.

    Args:
        cfg: config that the network was trained with.
        runner: builds the model.
        folded: the network after folding.
        accelerate: rewrite the forward pass where attention stays.
    """
    backbone, backbone_cfg = _simplify(find_backbone(folded), find_backbone_config(cfg.model), accelerate)
    weights = with_backbone(folded, backbone).state_dict()
    final_cfg = deploy_config(cfg, backbone_cfg)
    model: Any = runner.build_model(final_cfg.model)
    model.load_state_dict(weights, strict=True)
    return final_cfg, model.to(next(folded.parameters()).device).eval()


def _simplify(backbone: EANBackbone, given: dict, accelerate: bool) -> tuple[nn.Module, dict]:
    """The backbone in the simplest form that computes the same, and its config."""
    cfg = config_of(backbone, given)
    if not backbone.scheme.num_connected:
        bare: Any = release(backbone)
        if hasattr(bare, 'switch_to_deploy') and 'deploy' in inspect.signature(type(bare)).parameters:
            bare.switch_to_deploy()  # RepVGG and its kin merge their own branches
            cfg['deploy'] = True
        return bare, cfg
    if accelerate:
        try:
            return AcceleratedBackbone.of(backbone), accelerated(cfg)
        except GraphError as err:
            print_log(f'Not accelerated: {err}.', logger='current')
    return backbone, cfg

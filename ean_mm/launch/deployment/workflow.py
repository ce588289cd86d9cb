"""The steps of a deployment, in their order."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from ...analysis import measure_latency
from ...evaluation import load_supernet
from ...hooks.retrain_config import format_config
from ...hooks.wrapped_backbone import find_backbone, find_backbone_config
from ...reparam import fold_constant_gates
from ...structures import ConnectionScheme, write_atomically
from ...visualization import DeployRow
from ..data import check_data
from .data import DeploymentData
from .export import STEM, export
from .networks import finish, load_weights, make_quiet_runner, with_backbone
from .options import DeployOptions
from .proof import Agreement, Inference, compare_outputs, preprocess, require_agreement, run
from .report import Deployment, describe, write_report
from .stripes import fold_nearly_constant

FOLDER = 'deployed'


def deploy(cfg: Config, checkpoint: str, options: DeployOptions) -> str:
    """Fold what can be folded, rewrite what stays, prove on real images that nothing has changed, and write it.

    Files go to ``<work_dir>/deployed``: the network in each format, ``deployed.py`` (its config), ``deployed.json`` (what was
    done and measured), and ``gates.png`` where gates were recorded. The trained checkpoint is left alone.

    Args:
        cfg: config that the network was trained with.
        checkpoint: path of its weights.
        options: what may be done.

    Returns:
        A table with what was reached, and what was written.

    Raises:
        MissingDataError: if images are missing.
        SupernetError: if the checkpoint is damaged, or needs code that was not allowed.
        ValueError: if the config has no EANBackbone, the checkpoint is not of it, an option is out of range, or the result
            does not compute what the network does.
    """
    options.check()
    given = find_backbone_config(cfg.model)
    _check_parts(cfg, options)
    weights = load_supernet(Path(checkpoint), options.trust_checkpoint, 'checkpoint', 'tools/train.py').state_dict
    directory = Path(cfg.work_dir) / FOLDER
    runner = make_quiet_runner(cfg, directory / 'log')
    trained: Any = runner.model.eval()
    load_weights(trained, weights, checkpoint)
    data = DeploymentData(cfg, runner, options)
    folded = with_backbone(trained, fold_constant_gates(find_backbone(trained)))
    stripes = fold_nearly_constant(folded, data) if options.folds_stripes else None
    final_cfg, deployed = finish(cfg, runner, stripes.model if stripes else folded, options.accelerate)
    images = preprocess(trained, data.test_batches())
    agreement = _prove(stripes.model if stripes else trained, deployed, images)
    files = export(deployed, images, directory, options.formats, dict(dataset_meta=data.dataset_meta()))
    _write_config(final_cfg, cfg, directory)
    done = Deployment(
        checkpoint=checkpoint,
        directory=directory,
        given=given,
        trained=find_backbone(trained),
        folded=find_backbone(folded),
        stripes=stripes,
        model=final_cfg.model,
        agreement=agreement,
        files=files,
        rows=_measure(trained, deployed, images[0][:1]),
    )
    write_report(done)
    return describe(done)


def _check_parts(cfg: Config, options: DeployOptions) -> None:
    """Refuse a config that lacks what the options need, or whose images are missing."""
    needed = {'test_dataloader': 'equality is shown on its images'}
    if options.folds_stripes:
        needed['train_dataloader'] = 'gates are recorded on its images'
        needed['test_evaluator'] = 'it tells what folding costs'
    if options.max_drop is not None:
        needed['val_dataloader'] = needed['val_evaluator'] = '--max-drop chooses by it'
    for name, reason in needed.items():
        if not cfg.get(name):
            raise ValueError(f'`{name}` must be in the config, but got {cfg.get(name)!r}; {reason}.')
    check_data(cfg, *(name for name in needed if name.endswith('dataloader')))


def _prove(reference: nn.Module, deployed: nn.Module, images: list[Tensor]) -> Agreement:
    found = compare_outputs(run(Inference(reference), images), run(Inference(deployed), images))
    return require_agreement(STEM, found)


def _write_config(final_cfg: Config, cfg: Config, directory: Path) -> None:
    name = Path(cfg.filename).name if getattr(cfg, 'filename', None) else 'a config'
    text = format_config(final_cfg.to_dict(), f'The network of {name}, deployed.')
    write_atomically(directory / f'{STEM}.py', text.encode())


def _measure(trained: Any, deployed: Any, image: Tensor) -> Sequence[DeployRow]:
    """Parameters and latency of one image, with no attention, as trained and as deployed, measured in turn."""
    bare = copy.deepcopy(trained)
    backbone = find_backbone(bare)
    backbone.set_scheme(ConnectionScheme.none(backbone.blocks_per_stage))
    networks = {'no attention': bare, 'trained': trained, 'deployed': deployed}
    latency_ms = measure_latency(lambda name: networks[name](image, mode='tensor'), list(networks), image.device)
    params = {name: sum(parameter.numel() for parameter in model.parameters()) for name, model in networks.items()}
    params['no attention'] -= sum(parameter.numel() for parameter in backbone.ean.parameters())
    return [DeployRow(name, params[name], latency_ms[name]) for name in networks]

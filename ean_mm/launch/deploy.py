"""From a trained network with attention to one that is cheaper to run."""

from __future__ import annotations

import copy
import inspect
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ..analysis import measure_latency
from ..evaluation import GraphError, load_supernet
from ..hooks.retrain_config import format_config
from ..hooks.wrapped_backbone import find_backbone, find_backbone_config
from ..models import EANBackbone
from ..reparam import AcceleratedBackbone, SiteGates, describe_site, fold_constant_gates, name_site, release
from ..structures import ConnectionScheme, write_atomically
from ..visualization import DeployRow, draw_gates, format_deploy
from .data import check_data
from .deployed_config import accelerated, config_of, deploy_config, our_types
from .deployment_data import DeploymentData, DeployOptions
from .export import STEM, digest, export
from .proof import Agreement, Inference, compare_outputs, preprocess, require_agreement, run
from .stripes import choose_stripes, fold_stripes, record_gates, replace_module
from .training import make_runner

FOLDER = 'deployed'
RESULTS_FILE = 'deployed.json'
FIGURE_FILE = 'gates.png'
_NOT_TO_BUILD = (
    *('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr'),
    *('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator'),
    *('custom_hooks', 'load_from'),
)


@dataclass(frozen=True)
class _Stripes:
    """What became of gates that vary.

    Attributes:
        model: the network with some of them folded.
        gates: of every site that was looked at.
        sites: those that were folded.
        metrics: on the test images, before and after.
    """

    model: Any
    gates: Sequence[SiteGates]
    sites: tuple[int, ...]
    metrics: dict[str, dict[str, float]]


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
    runner = _make_runner(cfg, directory)
    trained: Any = runner.model.eval()
    _load(trained, weights, checkpoint)
    data = DeploymentData(cfg, runner, options)
    folded = _with_backbone(trained, fold_constant_gates(find_backbone(trained)))
    stripes = _fold_stripes(folded, data) if options.folds_stripes else None
    reference = trained if stripes is None else stripes.model
    final_cfg, deployed = _finish(cfg, runner, given, stripes.model if stripes else folded, options.accelerate)
    images = preprocess(trained, data.test_batches())
    agreement = _prove(reference, deployed, images)
    files = export(deployed, images, directory, options.formats, dict(dataset_meta=data.dataset_meta()))
    name = Path(cfg.filename).name if getattr(cfg, 'filename', None) else 'a config'
    text = format_config(final_cfg.to_dict(), f'The network of {name}, deployed.')
    write_atomically(directory / f'{STEM}.py', text.encode())
    (directory / FIGURE_FILE).unlink(missing_ok=True)  # of an earlier call
    if stripes is not None and stripes.gates:
        _draw_gates(find_backbone(folded), stripes, directory)
    rows = _measure(trained, deployed, images[0][:1])
    _write_results(directory, checkpoint, find_backbone(trained), stripes, agreement, files, rows)
    lines = [
        format_deploy(rows),
        *_describe_sites(find_backbone(trained), find_backbone(folded), stripes),
        *([] if stripes is None else _describe_stripes(find_backbone(folded), stripes, directory)),
        f'Equal:   to the {"trained network" if stripes is None else "network with these gates folded"}: {agreement}',
        f'Needs:   {_describe_needs(final_cfg.model, given)}',
        f'Config:  {directory / f"{STEM}.py"}',
    ]
    return '\n'.join([*lines, *(f'File:    {directory / name}' for name in files)])


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


def _make_runner(cfg: Config, directory: Path) -> Runner:
    """A runner that has the model, and builds loaders and evaluators; what it says of itself is left out of the log."""
    cfg = copy.deepcopy(cfg)
    for name in _NOT_TO_BUILD:
        cfg[name] = None
    cfg.resume = False
    level, cfg.log_level = cfg.get('log_level', 'INFO'), 'WARNING'
    runner = make_runner(cfg, directory / 'log', seed=0)
    for each in (runner.logger, *runner.logger.handlers):
        each.setLevel(level)
    return runner


def _load(model: nn.Module, weights: dict[str, Tensor], checkpoint: str) -> None:
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as err:
        raise ValueError(
            f'`checkpoint` must hold the weights of this {type(model).__name__} and of its attention, but got {checkpoint!r} '
            f'with others ({" ".join(str(err).split())[:300]}); give the config that it was trained with.'
        ) from err


def _with_backbone(model: Any, backbone: nn.Module) -> Any:
    """A copy of the model with another backbone, of which it holds no copy."""
    changed = copy.deepcopy(model)
    replace_module(changed, find_backbone(changed), backbone)
    return changed


def _fold_stripes(model: Any, data: DeploymentData) -> _Stripes:
    calibration = data.calibration()
    gates = record_gates(model, calibration)
    options = data.options
    if options.max_drop is not None and data.cfg.val_dataloader.dataset == data.cfg.test_dataloader.dataset:
        print_log(
            'The validation images are the test images: the metric after folding is that of images it was chosen on.',
            logger='current',
            level=logging.WARNING,
        )
    if options.max_drop is not None:
        trial = choose_stripes(model, gates, calibration, data.score, options.max_drop)
        changed, sites = trial.model, trial.sites
    else:
        chosen = [each for each in gates if each.deviation < (options.threshold or 0.0)]
        changed, sites = fold_stripes(model, chosen, calibration), tuple(each.site for each in chosen)
    metrics = dict(before=data.evaluate(model, 'test'), after=data.evaluate(changed, 'test'))
    return _Stripes(changed, gates, sites, metrics)


def _draw_gates(backbone: EANBackbone, stripes: _Stripes, directory: Path) -> None:
    shown = [(name_site(backbone, each.site), each.gates.numpy(), each.site in stripes.sites) for each in stripes.gates]
    draw_gates(shown).savefig(directory / FIGURE_FILE, dpi=110)


def _finish(cfg: Config, runner: Runner, given: dict, folded: Any, accelerate: bool) -> tuple[Config, Any]:
    """The config for inference, and the model that it builds, with the weights in it."""
    backbone = find_backbone(folded)
    backbone_cfg = config_of(backbone, given)
    final: Any = backbone
    if not backbone.scheme.num_connected:
        final = release(backbone)
        if hasattr(final, 'switch_to_deploy') and 'deploy' in inspect.signature(type(final)).parameters:
            final.switch_to_deploy()  # RepVGG and its kin merge their own branches
            backbone_cfg['deploy'] = True
    elif accelerate:
        try:
            final = AcceleratedBackbone.of(backbone)
            backbone_cfg = accelerated(backbone_cfg)
        except GraphError as err:
            print_log(f'Not accelerated: {err}.', logger='current')
    weights = _with_backbone(folded, final).state_dict()
    final_cfg = deploy_config(cfg, backbone_cfg)
    model: Any = runner.build_model(final_cfg.model)
    model.load_state_dict(weights, strict=True)
    return final_cfg, model.to(next(folded.parameters()).device).eval()


def _prove(reference: nn.Module, deployed: nn.Module, images: list[Tensor]) -> Agreement:
    found = compare_outputs(run(Inference(reference), images), run(Inference(deployed), images))
    return require_agreement(STEM, found)


def _measure(trained: Any, deployed: Any, image: Tensor) -> list[DeployRow]:
    """Parameters and latency of one image, with no attention, as trained and as deployed, measured in turn."""
    bare = copy.deepcopy(trained)
    backbone = find_backbone(bare)
    backbone.set_scheme(ConnectionScheme.none(backbone.blocks_per_stage))
    networks = {'no attention': bare, 'trained': trained, 'deployed': deployed}
    latency_ms = measure_latency(lambda name: networks[name](image, mode='tensor'), list(networks), image.device)
    params = {name: sum(parameter.numel() for parameter in model.parameters()) for name, model in networks.items()}
    params['no attention'] -= sum(parameter.numel() for parameter in backbone.ean.parameters())
    return [DeployRow(name, params[name], latency_ms[name]) for name in networks]


def _write_results(
    directory: Path,
    checkpoint: str,
    backbone: EANBackbone,
    stripes: _Stripes | None,
    agreement: Agreement,
    files: dict[str, Agreement],
    rows: Sequence[DeployRow],
) -> None:
    found = [] if stripes is None else stripes.gates
    results = {
        'checkpoint': {'path': checkpoint, 'sha256': digest(Path(checkpoint))},
        'scheme': str(backbone.scheme),
        'agreement': agreement.to_dict(),
        'files': {name: {'sha256': digest(directory / name), **each.to_dict()} for name, each in files.items()},
        'networks': [row.to_dict() for row in rows],
        'gates': [
            {'site': each.site, 'deviation': each.deviation, 'folded': each.site in (stripes.sites if stripes else ())}
            for each in found
        ],
        'metrics': {} if stripes is None else stripes.metrics,
        'torch': torch.__version__,
    }
    write_atomically(directory / RESULTS_FILE, json.dumps(results, indent=2).encode() + b'\n')


def _describe_sites(trained: EANBackbone, folded: EANBackbone, stripes: _Stripes | None) -> list[str]:
    """What has become of every connected site."""
    num_left = folded.scheme.num_connected
    num_constant = trained.scheme.num_connected - num_left
    fates = [f'{num_constant} constant and folded']
    if stripes is not None:
        fates.append(f'{len(stripes.sites)} nearly constant and folded')
        num_left -= len(stripes.sites)
    stays = f'{num_left} stay'
    if folded.attention_cfg != trained.attention_cfg:
        stays += ', less the part of their attention that is constant, which is folded'
    return [f'Sites:   {trained.scheme.num_connected} connected: {", ".join([*fates, stays])}']


def _describe_stripes(backbone: EANBackbone, stripes: _Stripes, directory: Path) -> list[str]:
    """The gates of every site, and what folding some of them has cost."""
    lines = []
    for each in stripes.gates:
        fate = 'folded' if each.site in stripes.sites else 'stays'
        lines.append(f'         {describe_site(backbone, each.site)}: deviation {each.deviation:.4f}, {fate}')
    for name, before in stripes.metrics['before'].items():
        after = stripes.metrics['after'][name]
        lines.append(f'Test:    {name} {before:.4g} before, {after:.4g} after ({after - before:+.4g})')
    return [*lines, *([f'Picture: {directory / FIGURE_FILE}'] if stripes.gates else [])]


def _describe_needs(model: dict, given: dict) -> str:
    names = our_types(model)
    return (
        f'ean_mm, for {", ".join(names)}'
        if names
        else f'no ean_mm; the backbone is a plain {given["backbone"]["type"]}'
    )

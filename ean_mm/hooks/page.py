"""The page that a search ends with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import Runner

from ..analysis.activation_maps import NUM_IMAGES, save_activation_maps
from ..evaluation import SupernetScorer
from ..report import REPORT_FILE, build_report
from ..report.figures import draw_pictures
from ..report.work_files import WorkFiles
from ..structures import ConnectionScheme
from ..structures.paths import from_here

MAPS_FILE = 'activation_maps.npz'


def save_maps(runner: Runner, scorer: SupernetScorer, schemes: dict[str, ConnectionScheme], directory: Path) -> None:
    """Save what a classifier looks at in the first reward images, under each scheme; nothing for another kind of model."""
    dataset: Any = runner.val_dataloader.dataset
    images = [dataset[index] for index in range(min(NUM_IMAGES, len(dataset)))]
    save_activation_maps(
        directory / MAPS_FILE,
        scorer.model,
        scorer.backbone,
        runner.val_dataloader.collate_fn(images),
        schemes,
        getattr(dataset, 'metainfo', {}).get('classes'),
        scorer.own_statistics,
    )


def write_page(directory: Path, with_verdict: bool = True) -> list[str]:
    """Build ``report.html`` and the PNGs beside it, and return the lines that end a tool.

    A page that fails is a warning: the search is done.

    Args:
        directory: the work directory.
        with_verdict: whether to repeat what the search said of its ticket.
    """
    try:
        verdict = WorkFiles(directory).verdict if with_verdict else None
        page = build_report(directory)
        draw_pictures(directory)
        said = [] if verdict is None else [f'Verdict of the search (shared supernet): {verdict.sentence}']
        return [*said, f'Report:   {from_here(page)}']
    except Exception as err:
        print_log(
            f'{REPORT_FILE} could not be built ({type(err).__name__}: {err}); everything else is there, try '
            f'python tools/report.py {directory}',
            logger='current',
            level=logging.WARNING,
        )
        return []

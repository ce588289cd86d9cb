"""A network with random weights, deployed by a call."""

from pathlib import Path

import pytest
from deployments import FEW, PLAIN
from random_networks import save_model

from ean_mm.launch import DeployOptions, deploy
from ean_mm.launch.deployment import report, workflow


@pytest.fixture
def plain_config(tiny_config):
    """A config that trains: SE at every block of a backbone of mmpretrain."""
    cfg = tiny_config
    cfg.custom_hooks = []
    cfg.model.backbone.backbone = PLAIN
    cfg.model.backbone.sharing = 'block'
    return cfg


@pytest.fixture
def run_deploy(plain_config, tmp_path):
    """Deploy random weights of that config; return the report, the trained network and the folder of results."""

    def run(**options):
        trained = save_model(plain_config, tmp_path / 'trained.pth')
        text = deploy(plain_config, str(tmp_path / 'trained.pth'), DeployOptions(**{**FEW, **options}))
        return text, trained, tmp_path / 'work/deployed'

    return run


class NoFigure:
    def savefig(self, path: Path, **options):
        path.write_bytes(b'')


@pytest.fixture
def hurried(monkeypatch):
    """No picture is drawn and nothing is timed: that takes as long as all the rest."""

    def run_once(run, variants, device):
        for variant in variants:
            run(variant)
        return dict.fromkeys(variants, 1.0)

    monkeypatch.setattr(workflow, 'measure_latency', run_once)
    monkeypatch.setattr(report, 'draw_gates', lambda sites: NoFigure())

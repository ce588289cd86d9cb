"""A network with random weights, deployed by a call."""

import pytest
from deployments import FEW, PLAIN
from matplotlib.figure import Figure
from random_networks import save_model

from ean_mm.launch import DeployOptions, deploy


@pytest.fixture
def plain_config(tiny_config):
    """A config that trains: SE at every block of a backbone of mmpretrain."""
    tiny_config.custom_hooks = []
    tiny_config.model.backbone.backbone = PLAIN
    tiny_config.model.backbone.sharing = 'block'
    return tiny_config


@pytest.fixture
def run_deploy(plain_config, tmp_path, monkeypatch):
    """Deploy random weights of that config; return the report, the trained network and the folder of results."""

    def run(draws=False, **options):
        if not draws:  # which takes longer than all the rest
            monkeypatch.setattr(Figure, 'savefig', lambda figure, path, **options: path.write_bytes(b''))
        trained = save_model(plain_config, tmp_path / 'trained.pth')
        report = deploy(plain_config, str(tmp_path / 'trained.pth'), DeployOptions(**{**FEW, **options}))
        return report, trained, tmp_path / 'work/deployed'

    return run

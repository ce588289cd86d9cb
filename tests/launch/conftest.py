"""A search that has finished, without having been run."""

import copy
import json
from pathlib import Path

import pytest
from mmengine.runner import Runner
from tickets import make_ticket

from ean_mm.evaluation import save_supernet
from ean_mm.hooks.identity import training_identity
from ean_mm.hooks.retrain_config import write_retrain_config
from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.structures import ConnectionScheme

TICKET = '11 00 10'


@pytest.fixture
def finished_search(tiny_config):
    """Config of a search whose work directory has its ticket, results, retrain config and an untrained supernet."""
    directory = Path(tiny_config.work_dir)
    cfg = copy.deepcopy(tiny_config)
    cfg.work_dir = str(directory / 'untrained')
    runner = Runner.from_cfg(cfg)
    backbone = find_backbone(runner.model)
    ticket = make_ticket(
        scheme=ConnectionScheme.from_string(TICKET),
        backbone=backbone.fingerprint,
        attention=backbone.attention_spec,
        sharing=backbone.sharing,
    )
    ticket.save(directory / 'ticket.json')
    save_supernet(directory / 'supernet.pth', runner.model.state_dict(), training_identity(tiny_config))
    rows = [dict(name=name, scheme=bits, metric=50.0) for name, bits in (('none', '00 00 00'), ('ticket', TICKET))]
    (directory / 'results.json').write_text(json.dumps(dict(metric='accuracy/top1', rows=rows)))
    write_retrain_config(tiny_config, None, directory)
    return tiny_config

"""Fixed bits, limits and warm starts of a search, from its arguments."""

import json
from pathlib import Path

import pytest
from mmengine.runner import Runner

from ean_mm.analysis.latency_table import LatencyTableError
from ean_mm.search import SearchStateError
from ean_mm.structures import ConnectionScheme, Ticket, TicketError


def search(cfg, **arguments):
    hook = cfg.custom_hooks[1]
    for name in arguments:
        hook.pop(name, None)  # an update would merge dicts
    hook.update(arguments)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def lines(cfg):
    return [json.loads(line) for line in (Path(cfg.work_dir) / 'search.jsonl').read_text().splitlines()]


def refuse(cfg, match, error=ValueError, **arguments):
    """The arguments are refused before any training."""
    with pytest.raises(error, match=match):
        search(cfg, **arguments)
    assert not (Path(cfg.work_dir) / 'supernet.pth').exists()
    assert not list(Path(cfg.work_dir).glob('epoch_*.pth'))


def test_what_cannot_be_is_refused_before_training(tiny_config):
    refuse(tiny_config, r"`fixed` must be a scheme of the form '\*\* \*\* \*\*'", fixed='1*')
    tiny_config.custom_hooks[1].pop('fixed')
    refuse(tiny_config, r"`warm_start` must name tickets that there are, but got 'no.json'", warm_start=['no.json'])
    refuse(tiny_config, r'`scheme` must have 2/2/2 bits per stage', warm_start=['101'])
    refuse(tiny_config, r'`warm_start` must be a list of tickets or schemes', warm_start='00 00 11')
    refuse(
        tiny_config,
        r"`latency_table` must be a file .* but got 'no.json'",
        LatencyTableError,
        warm_start=[],
        limits=dict(latency='+5%'),
        latency_table='no.json',
    )
    # one connection is wanted, and costs parameters
    refuse(tiny_config, r'`limits` must leave a scheme', limits=dict(params='+0%'), latency_table=None)
    refuse(tiny_config, r'`limits.*` .*colour', limits=dict(colour=3))
    refuse(tiny_config, r'`max_hours` must be a number above 0', limits=None, max_hours=-1)


def test_limits_and_fixed_bits_hold_in_all_that_is_proposed(tiny_config):
    search(tiny_config, fixed='0* ** **', limits=dict(num_connected=2, macs='+1%'))
    proposed = [line['scheme'] for line in lines(tiny_config) if line['role'] == 'proposal']
    assert len(proposed) > 5
    assert all(text[0] == '0' and text.count('1') <= 2 for text in proposed)
    ticket = Ticket.load(Path(tiny_config.work_dir) / 'ticket.json')
    assert ticket.scheme.num_connected in (1, 2)


def test_another_space_is_another_search(tiny_config):
    search(tiny_config)
    with pytest.raises(SearchStateError, match=r"fixed was not given and is now '\"1\* \*\* \*\*\"'"):
        search(tiny_config, fixed='1* ** **')


def test_latency_is_measured_where_it_is_asked_for_and_never_anew(tiny_config):
    reward = dict(metric='accuracy/top1', latency_weight=1.0)
    search(tiny_config, reward=reward)
    directory = Path(tiny_config.work_dir)
    table = json.loads((directory / 'latency.json').read_text())
    assert len(table['sites_ms']) == 6
    scale = sum(map(abs, table['sites_ms']))
    for line in lines(tiny_config):
        mask = ConnectionScheme.from_string(line['scheme']).mask
        share = sum(ms for ms, bit in zip(table['sites_ms'], mask, strict=True) if bit) / scale
        assert line['reward'] == pytest.approx(line['metric'] + 1 - share)
    before = (directory / 'latency.json').read_bytes()
    search(tiny_config, reward=reward)
    assert (directory / 'latency.json').read_bytes() == before
    (directory / 'latency.json').unlink()
    with pytest.raises(SearchStateError, match='latency table was'):
        search(tiny_config, reward=reward)


def test_a_search_starts_from_a_ticket(tiny_config, tmp_path):
    search(tiny_config)
    found = Path(tiny_config.work_dir) / 'ticket.json'
    ticket = Ticket.load(found)
    tiny_config.custom_hooks[1].supernet = str(Path(tiny_config.work_dir) / 'supernet.pth')
    tiny_config.work_dir = str(tmp_path / 'warm')
    tiny_config.experiment_name = 'warm'
    search(tiny_config, warm_start=[str(found), '00 00 11'], seed=5)
    assert [(line['role'], line['scheme']) for line in lines(tiny_config)[2:4]] == [
        ('warm', str(ticket.scheme)),
        ('warm', '00 00 11'),
    ]
    other = ticket.model_copy(update={'backbone': ticket.backbone.model_copy(update={'channels': (8, 16, 64)})})
    other.save(tmp_path / 'other.json')
    tiny_config.work_dir = str(tmp_path / 'other')
    with pytest.raises(TicketError, match='`backbone` must be like the one of the ticket'):
        search(tiny_config, warm_start=[str(tmp_path / 'other.json')])


def test_hours_can_be_added_to_a_search_that_has_used_them_up(tiny_config):
    tiny_config.custom_hooks[1].strategy.num_steps = 40
    search(tiny_config, max_hours=1e-9)
    first = lines(tiny_config)
    assert len(first) == 2  # the controls
    search(tiny_config, max_hours=1e-9)
    assert lines(tiny_config) == first
    search(tiny_config, max_hours=10.0)
    assert len(lines(tiny_config)) > 20


def test_images_end_a_search(tiny_config):
    search(tiny_config, max_images=1000)
    assert len(lines(tiny_config)) in range(
        8, 11
    )  # 140 each: 100 reward images and 40 for calibration, three at a time

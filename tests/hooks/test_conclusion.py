"""What a search adds when it has ended."""

import copy
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from ean_mm.evaluation import SupernetScorer
from ean_mm.hooks import page
from ean_mm.launch import pick
from ean_mm.structures import ConnectionScheme, Ticket

SEARCHED = ('control', 'proposal')


def search(cfg, **arguments):
    cfg.custom_hooks[1].update(verdict=True, **arguments)
    Runner.from_cfg(cfg).train()
    return Path(cfg.work_dir)


def lines(directory):
    return [json.loads(line) for line in (directory / 'search.jsonl').read_text().splitlines()]


def read(directory, name):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads((directory / name).read_text(), parse_constant=refuse)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, tiny_fields):
    """The work directory of a search that has ended."""
    pytest.importorskip('mmpretrain')
    folder = tmp_path_factory.mktemp('finished')
    fields = {**copy.deepcopy(tiny_fields), 'work_dir': str(folder / 'work'), 'experiment_name': folder.name}
    return search(Config(fields, format_python_code=False))


def test_a_search_ends_with_a_verdict(finished):
    ticket = Ticket.load(finished / 'ticket.json').scheme
    verdict = read(finished, 'verdict.json')
    assert (verdict['ticket'], verdict['num_images'], verdict['metric']) == (str(ticket), 100, 'accuracy/top1')
    assert verdict['verdict'] in ('better', 'worse', 'not distinguishable', 'no random schemes')
    controls = {each['name']: each for each in verdict['controls']}
    assert {'none', 'all', 'last stage', 'every other'} <= controls.keys()
    logged = {line['scheme']: line for line in lines(finished)}
    for each in controls.values():  # every number of the verdict stands in the log
        assert logged[each['scheme']]['metric'] == each['metric']
        assert logged[each['scheme']]['reward'] == each['reward']
    randoms = [each for name, each in controls.items() if name.startswith('random')]
    assert {each['num_connected'] for each in randoms} <= {ticket.num_connected}
    assert str(ticket) not in {each['scheme'] for each in randoms}


def test_the_ticket_is_the_best_that_the_search_itself_has_found(finished):
    log = lines(finished)
    roles = [line['role'] for line in log]
    first = next(i for i, role in enumerate(roles) if role not in SEARCHED)
    assert set(roles[first:]) <= {'probe', 'random'}
    best = max((line for line in log[:first] if line['num_connected']), key=lambda line: line['reward'])
    assert Ticket.load(finished / 'ticket.json').metrics['reward'] == best['reward']


def test_every_flip_is_told(finished):
    effects = read(finished, 'effects.json')
    ticket = ConnectionScheme.from_string(effects['scheme'])
    metrics = {line['scheme']: line['metric'] for line in lines(finished)}
    assert [flip['on'] for flip in effects['flips']] == ticket.mask.tolist()
    for flip in effects['flips']:
        mask = ticket.mask
        mask[flip['bit']] ^= True
        flipped = str(ConnectionScheme.from_mask(mask, ticket.blocks_per_stage))
        assert flip['difference'] == pytest.approx(metrics[flipped] - metrics[effects['scheme']])
    assert len(effects['shapley']) == 6


def test_there_is_a_ticket_for_every_number_of_connections(finished):
    front = read(finished, 'front.json')
    assert [each['num_connected'] for each in front['best_per_size']] == [1, 2, 3, 4, 5, 6]  # none is no ticket here
    metrics = {line['scheme']: line['metric'] for line in lines(finished)}
    for each in front['best_per_size']:
        ticket = Ticket.load(finished / each['ticket'])
        assert str(ticket.scheme) == each['scheme']
        assert ticket.metrics['accuracy/top1'] == each['metric'] == metrics[each['scheme']]
        assert each['latency_ms'] > 0
    assert 'Picked' in pick(finished, ['max-connected=2'])
    assert Ticket.load(finished / 'picked.json').scheme.num_connected <= 2


def test_it_ends_with_a_page(finished):
    text = (finished / 'report.html').read_text()
    assert read(finished, 'verdict.json')['sentence'][:40].replace("'", '&#39;') in text
    assert (finished / 'activation_maps.npz').exists()
    assert 'could not be' not in text


def test_a_kill_in_the_conclusion_changes_nothing(tiny_config, finished, monkeypatch):
    original = SupernetScorer.score_groups

    def stop(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(SupernetScorer, 'score_groups', stop)
    with pytest.raises(KeyboardInterrupt):
        search(tiny_config)
    assert not (Path(tiny_config.work_dir) / 'verdict.json').exists()
    monkeypatch.setattr(SupernetScorer, 'score_groups', original)
    directory = search(tiny_config)
    assert lines(directory) == lines(finished)
    for name in ('verdict.json', 'effects.json'):
        assert read(directory, name) == read(finished, name)
    before = (directory / 'search.jsonl').read_bytes()
    verdict = (directory / 'verdict.json').read_bytes()
    monkeypatch.setattr(SupernetScorer, 'score_groups', lambda *args: pytest.fail('scored again'))
    search(tiny_config)  # once more: everything is there
    monkeypatch.setattr(SupernetScorer, 'score_groups', original)
    assert (directory / 'search.jsonl').read_bytes() == before
    assert (directory / 'verdict.json').read_bytes() == verdict
    (directory / 'effects.json').write_text('{"damaged"')
    search(tiny_config)
    assert read(directory, 'effects.json') == read(finished, 'effects.json')
    assert (directory / 'search.jsonl').read_bytes() == before


def test_a_page_that_fails_loses_nothing(tiny_config, monkeypatch):
    def fail(directory):
        raise OSError('the disk is full')

    monkeypatch.setattr(page, 'build_report', fail)
    directory = search(tiny_config)
    assert (directory / 'results.json').exists()
    logged = ''.join(path.read_text() for path in directory.glob('*/*.log'))
    assert 'report.html could not be built (OSError: the disk is full)' in logged
    assert not (directory / 'report.html').exists()

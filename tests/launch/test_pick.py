"""Picks from a small search with known answers."""

import pytest

from ean_mm.launch import pick
from ean_mm.search import AddedCost, AddedCosts, Candidates, Evaluation, SearchSpace, write_front
from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket

LAYOUT = (2, 2)
COUNTED = {
    'params': AddedCost(1000, (0, 0, 0, 0), ('a', 'a', 'b', 'b'), {'a': 10, 'b': 100}),
    'macs': AddedCost(5_000_000, (80_000, 80_000, 20_000, 20_000)),
}
MEASURED = {**COUNTED, 'latency': AddedCost(10.0, (1.0, 0.75, 0.5, 0.25))}
METRICS = {
    '00 00': 70.0,
    '11 11': 71.0,
    '10 00': 75.0,
    '00 01': 74.0,
    '10 01': 76.5,
    '00 11': 76.0,
    '11 01': 78.0,
    '01 11': 77.0,
}


@pytest.fixture
def search(tmp_path):
    """Write the files of a finished search."""

    def write(costs=MEASURED, metrics=METRICS):
        scored = [
            Evaluation(ConnectionScheme.from_string(bits), 'proposal', 0, metric, metric - 50)
            for bits, metric in metrics.items()
        ]
        backbone = BackboneFingerprint(type='Toy', depth=None, blocks_per_stage=LAYOUT, channels=(8, 16))

        def make_ticket(evaluation):
            return Ticket(
                origin='searched',
                scheme=evaluation.scheme,
                backbone=backbone,
                attention={'type': 'ean_mm.SE'},
                sharing='stage',
                metrics={'accuracy/top1': evaluation.metric, 'reward': evaluation.reward},
                params=1,
                macs=1,
                seed=3,
            )

        space = SearchSpace(LAYOUT)
        (tmp_path / 'search.jsonl').write_bytes(b''.join(each.to_line() for each in scored))
        write_front(Candidates('accuracy/top1', space, AddedCosts(4, costs), scored), make_ticket, tmp_path)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ('conditions', 'scheme'),
    [
        (['best'], '11 01'),
        (['max-latency=+10%'], '00 11'),
        (['max-latency=11.5'], '01 11'),
        (['max-params=+1%'], '10 00'),
        (['max-macs=5.1M'], '10 01'),
        (['max-macs=5.05M'], '00 11'),
        (['max-connected=1'], '10 00'),
        (['max-connected=2', 'max-latency=+10%'], '00 11'),
        (['min-metric=76.5'], '11 01'),
        (['min-metric=76.5', 'max-connected=2'], '10 01'),
    ],
)
def test_the_highest_reward_within_the_conditions(search, conditions, scheme):
    directory = search()
    text = pick(directory, conditions)
    ticket = Ticket.load(directory / 'picked.json')
    assert str(ticket.scheme) == scheme
    assert ticket.metrics == {'accuracy/top1': METRICS[scheme], 'reward': METRICS[scheme] - 50}
    costs = AddedCosts(4, MEASURED)
    assert ticket.params == costs.of('params', ticket.scheme.mask[None])[0]
    assert ticket.macs == costs.of('macs', ticket.scheme.mask[None])[0]
    assert (ticket.seed, ticket.origin) == (3, 'searched')
    assert text.splitlines()[-2:] == [
        f"Picked '{scheme}' for {' and '.join(conditions)}.",
        f'Ticket: {directory / "picked.json"}',
    ]


def test_the_table_marks_the_front_and_what_was_picked(search):
    directory = search()
    lines = pick(directory, ['max-latency=+8%'], directory / 'mine.json').splitlines()
    marks = {line.split('│')[2].strip(): line.split('│')[1].strip() for line in lines if line.startswith('│')}
    assert marks == {
        '00 00': '*',
        '10 00': '',
        '10 01': '*',
        '00 11': 'picked *',
        '11 01': '*',
        '11 11': '',
    }
    assert Ticket.load(directory / 'mine.json').scheme == ConnectionScheme.from_string('00 11')
    assert not (directory / 'picked.json').exists()


def test_without_conditions_it_shows_what_there_is_and_writes_nothing(search):
    directory = search()
    before = sorted(directory.rglob('*'))
    text = pick(directory, [])
    assert 'Best of every size, of 8 schemes (* no scheme beats it in both metric and latency)' in text
    assert 'Ticket' not in text
    assert sorted(directory.rglob('*')) == before


@pytest.mark.parametrize(
    ('conditions', 'message'),
    [
        (['max-latency=9'], r'of the 8 schemes .*, but got max-latency=9; latency is at least 10 ms\.$'),
        (['min-metric=90'], r'but got min-metric=90; metric is at most 78\.$'),
        (
            ['min-metric=78', 'max-latency=+10%'],
            r'but got min-metric=78 and max-latency=\+10%; metric is at most 76 with the others kept, '
            r'latency is at least 12 ms with the others kept\.$',
        ),
        (
            ['min-metric=90', 'max-connected=0'],
            r'; metric is at most 70 with the others kept, num_connected is at least 0\.$',
        ),
        (['max-size=3'], r"`pick` must be of best, max-latency=\.\.\., .*, but got 'max-size=3'; "),
        (['max-latency'], r"but got 'max-latency'; did you mean 'max-latency=\.\.\.'"),
        (['min-metric=high'], r"`pick` must give min-metric a number, but got 'min-metric=high'\."),
        (['max-params=much'], r"`pick max-params` must be a number, .*, but got 'much'\."),
    ],
)
def test_a_pick_that_cannot_be(search, conditions, message):
    directory = search()
    with pytest.raises(ValueError, match=message):
        pick(directory, conditions)
    assert not (directory / 'picked.json').exists()


def test_latency_that_nobody_measured(search):
    directory = search(COUNTED)
    assert 'metric and macs' in pick(directory, [])
    with pytest.raises(ValueError, match=r"but got 'max-latency=\+5%'; give the search a latency table, a weight or"):
        pick(directory, ['max-latency=+5%'])


def test_a_search_without_candidates(search):
    directory = search(metrics={})
    with pytest.raises(
        ValueError, match=r'of the 0 schemes that were scored and are allowed, but got best; lower `min_c'
    ):
        pick(directory, ['best'])

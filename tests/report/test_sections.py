"""Sections say what the files say."""

import json

import numpy as np
import pytest

from ean_mm.report.closing_sections import find_config, show_commands
from ean_mm.report.parts import Diagram, Facts, Table, Text
from ean_mm.report.plots import Bars, Heat, Plot
from ean_mm.report.search_sections import show_front, show_history, show_keep, show_work
from ean_mm.report.ticket_sections import show_costs, show_numbers, show_ticket
from ean_mm.report.truth_sections import show_comparison, show_effects, show_fidelity, show_ratios, show_seeds
from ean_mm.report.verdict_sections import show_controls, show_verdict
from ean_mm.report.work_files import WorkFiles

LINES = [
    dict(step=None, role='control', scheme='00 00', metric=60.0, reward=61.0),
    dict(step=None, role='control', scheme='11 11', metric=62.0, reward=62.0),
    dict(step=0, role='proposal', scheme='10 00', metric=90.0, reward=91.0, num_images=50),
    dict(step=0, role='proposal', scheme='01 00', metric=None, reward=None, reason='nan'),
    dict(step=1, role='proposal', scheme='10 10', metric=64.0, reward=64.5),
    dict(step=None, role='probe', scheme='10 11', metric=63.0, reward=63.2),
    dict(step=None, role='random', scheme='01 10', metric=61.0, reward=61.5),
    dict(step=None, role='random', scheme='00 11', metric=65.5, reward=66.0),
]


def write_lines(path, lines, end='\n'):
    path.write_text('\n'.join(json.dumps(line) for line in lines) + end)


def only(parts, kind):
    (part,) = (part for part in parts if isinstance(part, kind))
    return part


def texts(parts):
    return ' '.join(part.text for part in parts if isinstance(part, Text))


@pytest.fixture
def history(tmp_path):
    write_lines(tmp_path / 'search.jsonl', LINES)
    return only(show_history(WorkFiles(tmp_path)), Plot)


# -- the history -------------------------------------------------------------------------------------------------------


def test_the_best_so_far_rests_on_scores_alone(history):
    best = next(series for series in history.series if series.name == 'best so far')
    assert best.points == [(1, 61), (2, 62), (3, 62), (4, 64.5), (5, 64.5)]  # no estimate, no failure, nothing random
    estimate = next(series for series in history.series if series.name == 'dropped (estimate)')
    assert estimate.points == [(3, 91)]


def test_the_end_of_the_search_is_marked(history):
    assert history.verticals == [(4.5, 'search ends')]


def test_random_draws_begin_with_the_same_controls(history):
    (chance,) = (series for series in history.series if series.style == 'random')
    assert chance.points == [(3, (62 + 66) / 2), (4, 66)]  # 61.5 is worse than the control at 62


def test_random_schemes_that_the_search_had_scored_count_too(tmp_path, work_dir, example):
    """The log calls them proposals; only the verdict lists them."""
    verdict = example.verdict()
    rewards = [control['reward'] for control in verdict['controls'] if control['name'].startswith('random')]
    logged = [line['reward'] for line in example.log()[0] if line['role'] == 'random']
    assert len(logged) < len(rewards) == 20
    (chance,) = (s for s in only(show_history(WorkFiles(work_dir)), Plot).series if s.style == 'random')
    assert len(chance.points) == 20
    assert chance.points[-1] == (24, max(*rewards, *(line['reward'] for line in example.log()[0][:4])))


def test_with_all_scores_the_baseline_is_exact(tmp_path):
    write_lines(tmp_path / 'search.jsonl', LINES)
    rows = [
        'scheme,connected,metric,reward',
        '00 00,0,60,61.0',
        '11 11,4,62,62.0',
        '10 10,2,64,64.5',
        '01 10,2,61,70.5',
    ]
    (tmp_path / 'atlas.csv').write_text('\n'.join(rows) + '\n')
    parts = show_history(WorkFiles(tmp_path))
    (chance,) = (series for series in only(parts, Plot).series if series.style == 'random')
    assert chance.points == [(3, (64.5 + 70.5) / 2), (4, 70.5)]
    assert 'all 4 schemes have a score' in texts(parts)


def test_without_random_schemes_no_baseline_is_made_up(tmp_path):
    write_lines(tmp_path / 'search.jsonl', LINES[:5])
    parts = show_history(WorkFiles(tmp_path))
    assert not [series for series in only(parts, Plot).series if series.style == 'random']
    assert 'no random scheme was scored' in texts(parts)


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    write_lines(tmp_path / 'search.jsonl', LINES[:3], end='\n{"step": 0, "ro')
    assert len(WorkFiles(tmp_path).scores) == 3


def test_very_low_scores_do_not_press_the_rest_flat(tmp_path):
    lows = [dict(LINES[4], scheme=f'{i:04b}'[:2] + ' ' + f'{i:04b}'[2:], reward=64 + i / 10) for i in range(12)]
    write_lines(tmp_path / 'search.jsonl', [*lows, dict(LINES[4], reward=-1000.0)])
    parts = show_history(WorkFiles(tmp_path))
    assert only(parts, Plot).y.low > 60
    assert '1 points lie below' in texts(parts)


# -- the strategy ------------------------------------------------------------------------------------------------------


def test_probabilities_are_shown_by_block_and_end_with_the_last(work_dir, example):
    heat = only(show_keep(WorkFiles(work_dir)), Heat)
    steps = [timing['keep'] for timing in example.log()[1]]
    assert [name for name, _, _ in heat.rows] == ['1.1', '1.2', '1.3', '2.1', '2.2', '2.3', '3.1', '3.2', '3.3']
    np.testing.assert_allclose([row[1] for row in heat.rows], np.transpose(steps), atol=0.0051)
    assert [row[2] for row in heat.rows] == [f'{share:.2f}' for share in steps[-1]]
    assert heat.edges == {3, 6}


def test_many_steps_are_averaged(tmp_path):
    lines = [dict(step=i, time=1.0, seconds=1.0, keep=[i / 999, 0.5]) for i in range(1000)]
    write_lines(tmp_path / 'timing.jsonl', lines)
    parts = show_keep(WorkFiles(tmp_path))
    first = only(parts, Heat).rows[0][1]
    assert len(first) == 60
    assert first == sorted(first)
    assert 'mean of about 17 steps' in texts(parts)


def test_work_is_counted_over_processes(tmp_path):
    """Counts begin anew where a search was continued."""
    common = dict(step=0, time=1.0, seconds=2.0, scoring=1.5, proposals=4, scored=3)
    counts = [dict(block_images=10, naive_block_images=40), dict(block_images=30, naive_block_images=90)]
    counts += [dict(block_images=20, naive_block_images=10, peak_bytes=2**20)]
    write_lines(tmp_path / 'timing.jsonl', [common | count for count in counts])
    facts = dict(only(show_work(WorkFiles(tmp_path)), Facts).pairs)
    assert facts['schemes asked for'] == '12'
    assert facts['schemes scored'] == '9; the other 3 had a score already'
    assert facts['residual branches run, times images'] == '50'
    assert facts['the same, scheme by scheme'] == '100; computed 50.0 % of it'
    assert facts['time of the search'] == '6.0 s, 4.5 s of it scoring'
    assert facts['activations held at most'] == '1 MiB'


# -- the front ---------------------------------------------------------------------------------------------------------


def front_line(work):
    return next(series for series in only(show_front(work), Plot).series if series.name == 'front')


def test_the_front_goes_through_its_schemes(work_dir, example):
    sizes = example.front()['best_per_size']
    assert front_line(WorkFiles(work_dir)).points == [(size['latency_ms'], size['metric']) for size in sizes[:5]]
    table = only(show_front(WorkFiles(work_dir)), Table)
    assert table.rows[4][-1] == 'tickets/connections_04.json'
    assert [row[-2] for row in table.rows] == ['size, front'] * 5 + ['size'] * 5
    assert table.marked == {4}


def test_a_scheme_of_the_front_need_not_be_the_best_of_its_size(work_dir, example):
    front = example.front()
    other = dict(num_connected=3, scheme='000 000 111', metric=99.0, latency_ms=9.0, ticket='tickets/front_01.json')
    front['front_points'] = [*front['front_points'][:2], other]
    example.write_json(work_dir / 'front.json', front)
    assert front_line(WorkFiles(work_dir)).points[-1] == (9.0, 99.0)
    row = only(show_front(WorkFiles(work_dir)), Table).rows[3]
    assert (row[1], row[-2], row[-1]) == ('000 000 111', 'front', 'tickets/front_01.json')


def test_without_latency_the_front_is_one_of_macs(work_dir, example):
    front = example.front() | dict(front_cost='macs', front_points=[])
    for size in front['best_per_size']:
        size['latency_ms'] = None
    example.write_json(work_dir / 'front.json', front)
    assert front_line(WorkFiles(work_dir)).points[0] == (40.813184, front['best_per_size'][0]['metric'])


# -- the ticket --------------------------------------------------------------------------------------------------------


def test_blocks_are_tinted_by_what_the_strategy_believes(work_dir, example):
    diagram = only(show_ticket(WorkFiles(work_dir)), Diagram)
    blocks = [block for _, stage in diagram.stages for block in stage]
    assert [name for name, _ in diagram.stages] == ['Stage 1', 'Stage 2', 'Stage 3']
    assert ''.join('01'[block.is_on] for block in blocks) == '101001010'
    assert [block.tint for block in blocks] == example.log()[1][-1]['keep']


def test_without_probabilities_they_are_tinted_by_effect(work_dir, example):
    (work_dir / 'timing.jsonl').unlink()
    blocks = [block for _, stage in only(show_ticket(WorkFiles(work_dir)), Diagram).stages for block in stage]
    effects = [each['effect'] for each in example.effects()['shapley']]
    assert [block.tint for block in blocks] == [abs(effect) / 4 for effect in effects]
    assert [block.value for block in blocks] == [f'{effect:+.2f}' for effect in effects]


def test_key_numbers_stand_side_by_side(work_dir):
    numbers = next(part for part in show_numbers(WorkFiles(work_dir)) if isinstance(part, Table))
    rows = {row[0]: row[1:] for row in numbers.rows}
    assert numbers.headers == ('', 'none', 'all', 'ticket')
    assert rows['connected'] == ('0', '9', '4')
    assert rows['latency ms'] == ('3.01', '4.09', '3.49')
    assert rows['latency against none'] == ('±0.0 %', '+35.9 %', '+15.9 %')


def test_costs_show_work_and_latency_of_each_block(work_dir):
    parts = show_costs(WorkFiles(work_dir))
    table = only(parts, Table)
    assert table.rows[3] == ('2.1', '32 x 16 x 16', '256', '16.4 k', '+0.120')
    assert table.marked == {0, 2, 5, 7}
    assert 'off by 0.9 % in the median and by 2.9 % at worst' in texts(parts)


@pytest.mark.parametrize(('name', 'left'), [('latency.json', 'MACs'), ('costs.json', 'latency ms')])
def test_either_half_of_the_costs_stands_alone(work_dir, name, left):
    (work_dir / name).unlink()
    assert left in only(show_costs(WorkFiles(work_dir)), Table).headers


# -- is it true? -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('verdict', 'word'),
    [
        ('better', 'Better than random'),
        ('worse', 'Worse than random'),
        ('not distinguishable', 'Not distinguishable from random'),
        ('no random schemes', 'No random schemes to compare with'),
    ],
)
def test_every_verdict_has_a_word_and_a_sign(work_dir, example, verdict, word):
    example.write_json(work_dir / 'verdict.json', example.verdict() | dict(verdict=verdict))
    first = show_verdict(WorkFiles(work_dir))[0]
    assert (first.word, first.mark.isascii()) == (word, False)
    assert first.sentence == example.verdict()['sentence']


def test_differences_are_those_on_other_images(work_dir, example):
    bars = only(show_verdict(WorkFiles(work_dir)), Bars)
    given = example.verdict()['comparisons']
    assert [(bar.value, bar.low, bar.high) for bar in bars.bars] == [
        (c['difference'], c['low'], c['high']) for c in given
    ]
    assert [bar.dots for bar in bars.bars] == [[c['chosen_difference']] for c in given]
    assert bars.zero == 0


def test_the_ticket_stands_among_the_controls(work_dir, example):
    table = only(show_controls(WorkFiles(work_dir)), Table)
    (place,) = table.marked
    assert table.rows[place][0] == 'ticket'
    metrics = [float(row[3]) for row in table.rows]
    assert metrics == sorted(metrics, reverse=True)
    assert len(metrics) == len(example.verdict()['controls']) + 1


def test_the_strongest_pairs_come_first(work_dir, example):
    *_, pairs = show_effects(WorkFiles(work_dir))
    strongest = sorted((abs(pair['effect']) for pair in example.effects()['pairs']), reverse=True)[:8]
    assert pairs.bars[0].name == '1.1 with 1.3'
    assert [abs(bar.value) for bar in pairs.bars] == strongest


def test_a_flip_says_which_way_it_goes(work_dir):
    _, flips, *_ = show_effects(WorkFiles(work_dir))
    assert [bar.name for bar in flips.bars][:2] == ['1.1 on → off', '1.2 off → on']


def test_single_networks_are_dots_beside_their_mean(work_dir, example):
    rows, differences = (part for part in show_comparison(WorkFiles(work_dir)) if isinstance(part, Bars))
    given = example.comparison()
    assert [(bar.value, bar.dots) for bar in rows.bars] == [
        (row['mean'], tuple(row['values'])) for row in given['rows']
    ]
    assert [bar.name for bar in differences.bars] == ['ticket - none', 'ticket - all', 'ticket - random']


def test_one_seed_has_no_interval(work_dir, example):
    given = example.comparison()
    for row in given['rows']:
        row |= dict(values=row['values'][:1], low=None, high=None)
    example.write_json(work_dir / 'comparison.json', given)
    rows = next(part for part in show_comparison(WorkFiles(work_dir)) if isinstance(part, Bars))
    assert rows.ends(rows.bars[0]) is None
    assert rows.bars[0].text == '97.90'


def test_fidelity_shows_each_tau_and_each_scheme(work_dir, example):
    example.write_json(
        work_dir / 'fidelity.json', example.fidelity() | dict(tau=example.fidelity()['tau'] | dict(perfect=None))
    )
    parts = show_fidelity(WorkFiles(work_dir))
    assert [bar.value for bar in only(parts, Bars).bars] == [0.71, 0.32, 0.78]
    given = example.fidelity()['schemes']
    expected = [(each['supernet'], sum(each['stand_alone']) / 2) for each in given]
    assert only(parts, Plot).series[0].points == expected


def test_every_random_scheme_is_a_dot_at_its_size(work_dir, example):
    parts = show_ratios(WorkFiles(work_dir))
    dots, means = only(parts, Plot).series
    given = example.ratios()['rows']
    assert dots.points == [(row['num_connected'], each['mean']) for row in given for each in row['schemes']]
    assert means.points == [(row['num_connected'], row['mean']) for row in given]
    assert only(parts, Table).rows[0] == ('0', '1', '84.98', '84.98', '84.98', '3.20')


def test_seeds_show_the_consensus(work_dir):
    blocks = [block for _, stage in only(show_seeds(WorkFiles(work_dir)), Diagram).stages for block in stage]
    assert ''.join('01'[block.is_on] for block in blocks) == '101001010'
    assert blocks[4].value == '0.33'


# -- again -------------------------------------------------------------------------------------------------------------


def test_the_config_is_the_one_that_was_searched_or_its_copy(work_dir):
    assert find_config(WorkFiles(work_dir)) == 'configs/ean/resnet20_se_digits.py'
    (work_dir / 'results.json').unlink()
    assert find_config(WorkFiles(work_dir)) is None  # retrain.py is no config of a search
    (work_dir / 'mine.py').write_text('')
    assert find_config(WorkFiles(work_dir)) == str(work_dir / 'mine.py')


def test_commands_name_the_folder_as_a_user_would(work_dir, monkeypatch):
    monkeypatch.chdir(work_dir.parent)
    commands = [command for _, command in show_commands(WorkFiles('demo'))[0].lines]
    assert commands[1] == 'python tools/train.py demo/retrain.py'
    assert commands[-1] == 'python tools/report.py demo'

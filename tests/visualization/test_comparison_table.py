import json
from dataclasses import replace

from ean_mm.visualization import ComparisonRow, format_comparison

ROW = ComparisonRow(
    name='ticket',
    schemes=('101 001 010',),
    seeds=(0, 1),
    values=(90.0, 92.0),
    mean=91.0,
    low=78.29,
    high=103.71,
    num_connected=4,
    params=1_234_567,
    macs=40_816_000,
    elementwise=1_230_000,
    latency_ms=3.456,
    supernet=88.888,
)
HEADERS = ['', 'scheme', 'trained acc', 'seeds', 'supernet', 'on', 'params', 'MACs', 'latency ms']


def cells(text):
    """The rows of a table, header first."""
    return [
        [cell.strip() for cell in line.replace('┃', '│').strip('│').split('│')]
        for line in text.splitlines()
        if line.startswith(('┃', '│'))
    ]


def test_cells():
    single = replace(ROW, name='all', seeds=(0,), values=(90.0,), mean=90.0, low=None, high=None, macs=41_000_000)
    nothing = replace(ROW, name='none', seeds=(), values=(), mean=None, low=None, high=None, supernet=None)
    text = format_comparison([ROW, single, nothing], 'acc')
    assert text.startswith('Trained from scratch by one recipe, measured on the test images')
    assert cells(text) == [
        HEADERS,
        ['ticket', '101 001 010', '91.00 ± 12.71', '2', '88.89', '4', '1,234,567', '40.82 M', '3.46'],
        ['all', '101 001 010', '90.00', '1', '88.89', '4', '1,234,567', '41.00 M', '3.46'],
        ['none', '101 001 010', '-', '0', '-', '4', '1,234,567', '40.82 M', '3.46'],
    ]


def test_a_scheme_of_its_own_and_one_for_each_seed():
    rows = [
        replace(ROW, name='101 001 010'),
        replace(ROW, name='random', schemes=('111 001 000', '000 111 100')),
        replace(ROW, name='random', schemes=('111 001 000', '111 001 000')),
    ]
    assert [row[:2] for row in cells(format_comparison(rows, 'acc'))[-3:]] == [
        ['', '101 001 010'],
        ['random', 'one for each seed'],
        ['random', '111 001 000'],
    ]


def test_element_wise_work_is_shown_where_macs_say_nothing():
    text = format_comparison([ROW, replace(ROW, name='all', elementwise=2_000_000)], 'acc')
    assert [row[-2] for row in cells(text)] == ['element-wise', '1.23 M', '2.00 M']
    assert 'element-wise' not in format_comparison([ROW, replace(ROW, macs=1)], 'acc')


def test_a_row_survives_json():
    fields = json.loads(json.dumps(ROW.to_dict()))
    lists = {key: tuple(fields[key]) for key in ('schemes', 'seeds', 'values')}
    assert ComparisonRow(**{**fields, **lists}) == ROW

import json
from dataclasses import replace

from ean_mm.visualization import TransferRow, format_transfer

ROW = TransferRow(
    name='ticket',
    scheme='101 001 010',
    num_connected=4,
    metrics={'aAcc': (91.234,), 'mIoU': (45.678,)},
    params=1_234_567,
    macs=40_816_000,
    latency_ms=3.456,
)
HEADERS = ['', 'scheme', 'aAcc', 'mIoU', 'on', 'params', 'MACs', 'latency ms']


def cells(text):
    """The rows of a table, header first."""
    return [
        [cell.strip() for cell in line.replace('┃', '│').strip('│').split('│')]
        for line in text.splitlines()
        if line.startswith(('┃', '│'))
    ]


def test_cells():
    text = format_transfer([ROW, replace(ROW, name='none', scheme='000 000 000', num_connected=0)])
    assert text.splitlines()[0] == 'Trained by one recipe, measured on the test images'
    assert cells(text) == [
        HEADERS,
        ['ticket', '101 001 010', '91.23', '45.68', '4', '1,234,567', '40.82 M', '3.46'],
        ['none', '000 000 000', '91.23', '45.68', '0', '1,234,567', '40.82 M', '3.46'],
    ]


def test_several_seeds_are_mean_and_deviation():
    row = replace(ROW, metrics={'aAcc': (90.0, 92.0), 'mIoU': (1.0, 1.0)})
    header, values = cells(format_transfer([row], width=160))
    assert header == HEADERS
    assert values[2:4] == ['91.00 ± 1.41 (2 seeds)', '1.00 ± 0.00 (2 seeds)']


def test_schemes_stay_whole_beside_three_metrics_of_several_seeds():
    scheme = '101 0110 100100 010'
    row = replace(ROW, scheme=scheme, metrics=dict.fromkeys(('aAcc', 'mIoU', 'mAcc'), (90.0, 92.0, 91.0)))
    text = format_transfer([row])
    assert scheme in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_row_survives_json():
    fields = json.loads(json.dumps(ROW.to_dict()))
    assert fields['metrics'] == {'aAcc': [91.234], 'mIoU': [45.678]}
    assert TransferRow(**{**fields, 'metrics': {key: tuple(value) for key, value in fields['metrics'].items()}}) == ROW

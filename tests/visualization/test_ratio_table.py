"""Table and figure of random schemes by connection ratio."""

import json

from ean_mm.visualization import RatioRow, TrainedScheme, draw_ratios, format_ratios


def make_row(ratio, num_connected, means, latency_ms, low=None, high=None):
    schemes = tuple(TrainedScheme('1', (m - 1, m + 1), 1000 + num_connected, 2_000_000, latency_ms) for m in means)
    return RatioRow(ratio, num_connected, schemes, sum(means) / len(means), low, high)


ROWS = [
    make_row(0.0, 0, [70.0], 10.0, 57.3, 82.7),
    make_row(0.5, 3, [69.0, 73.0, 74.0], 12.0, 65.4, 78.6),
    make_row(1.0, 6, [71.5], 15.0),
]


def test_cells():
    text = format_ratios(ROWS, 'acc')
    rows = [[cell.strip() for cell in line.strip('│').split('│')] for line in text.splitlines() if line.startswith('│')]
    assert rows == [
        ['0', '0', '1', '70.00 ± 12.70', '70.00', '70.00', '1,000', '2.00 M', '10.00', '+0.0 %'],
        ['0.5', '3', '3', '72.00 ± 6.60', '69.00', '74.00', '1,003', '2.00 M', '12.00', '+20.0 %'],
        ['1', '6', '1', '71.50', '71.50', '71.50', '1,006', '2.00 M', '15.00', '+50.0 %'],
    ]


def test_points_means_and_both_ends():
    quality, size, speed = draw_ratios(ROWS, 'acc').axes
    lines = {line.get_label(): line for line in quality.lines}
    assert lines['scheme'].get_xydata().tolist() == [[0, 70], [0.5, 69], [0.5, 73], [0.5, 74], [1, 71.5]]
    assert list(lines['mean'].get_ydata()) == [70, 72, 71.5]
    assert set(lines['plain'].get_ydata()) == {70}
    assert set(lines['full attention'].get_ydata()) == {71.5}
    assert list(size.lines[1].get_ydata()) == [1000, 1003, 1006]
    assert list(speed.lines[1].get_ydata()) == [10, 12, 15]


def test_a_row_is_plain_values():
    fields = json.loads(json.dumps(ROWS[1].to_dict()))
    assert [each['mean'] for each in fields['schemes']] == [69, 73, 74]
    assert fields['schemes'][0]['values'] == [68, 70]
    assert (fields['ratio'], fields['num_connected'], fields['mean']) == (0.5, 3, 72)

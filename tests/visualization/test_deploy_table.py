"""The table that ends a deployment, against what it is given."""

from ean_mm.visualization import DeployRow, format_deploy

ROWS = [
    DeployRow('no attention', 1_175_258, 4.0),
    DeployRow('trained', 1_181_138, 5.0),
    DeployRow('deployed', 1_175_258, 3.998),
]


def cells(text):
    return [[cell.strip() for cell in line.strip('│').split('│')] for line in text.splitlines() if line.startswith('│')]


def test_latencies_are_compared_with_the_first_row():
    text = format_deploy(ROWS)
    assert cells(text) == [
        ['no attention', '1,175,258', '4.00', '1.000 x'],
        ['trained', '1,181,138', '5.00', '1.250 x'],
        ['deployed', '1,175,258', '4.00', '1.000 x'],
    ]
    assert 'of no attention' in text.splitlines()[2]
    assert max(map(len, text.splitlines())) <= 120


def test_a_row_as_plain_values():
    assert ROWS[1].to_dict() == dict(name='trained', params=1_181_138, latency_ms=5.0)

"""Table and figure put scores of the supernet beside networks trained alone."""

import pytest

from ean_mm.visualization import RankedScheme, draw_fidelity, format_fidelity

SCHEMES = [
    RankedScheme('none', '00 00', (60.0, 62.0), 50.0, 30.0),
    RankedScheme('ticket', '10 01', (90.0, 92.0), 80.0, 20.0),
    RankedScheme('10 00', '10 00', (70.0, 75.0), 80.0, 25.0),
]


def test_the_best_comes_first_with_its_places():
    text = format_fidelity(SCHEMES, 'acc', 'What these are')
    rows = [[cell.strip() for cell in line.strip('│').split('│')] for line in text.splitlines() if line.startswith('│')]
    assert text.startswith('What these are\n')
    assert rows == [
        ['ticket', '10 01', '2', '91.00', '90.00', '92.00', '80.00', '1', '20.00', '3'],
        ['', '10 00', '1', '72.50', '70.00', '75.00', '80.00', '1', '25.00', '2'],
        ['none', '00 00', '0', '61.00', '60.00', '62.00', '50.00', '3', '30.00', '1'],
    ]


def test_a_panel_for_each_kind_of_score():
    figure = draw_fidelity(SCHEMES, dict(recalibrated='tau 1', raw='tau 2'), 'acc')
    assert [axes.get_title() for axes in figure.axes] == ['tau 1', 'tau 2']
    for axes, scores in zip(figure.axes, ([50, 80, 80], [30, 20, 25]), strict=True):
        points = [container.lines[0].get_xydata()[0].tolist() for container in axes.containers]
        assert points == [[scores[0], 61], [scores[1], 91], [scores[2], 72.5]]
        (segment,) = axes.containers[2].lines[2][0].get_segments()
        assert segment[:, 1].tolist() == pytest.approx([70, 75])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ['none', 'ticket']

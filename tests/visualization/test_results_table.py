from dataclasses import replace

from ean_mm.visualization import ResultRow, format_results, format_trained

ROW = ResultRow('ticket', '101 000', 71.456, 72.1, 2, 1234567, 40_810_000, None)


def test_figures_are_formatted_and_gaps_marked():
    text = format_results([ROW], 'accuracy/top1', 'What these are')
    assert text.startswith('What these are\n')
    for part in ('71.46', '72.10', '1,234,567', '40.81 M', ' - ', '101 000'):
        assert part in text


def test_seeds_in_one_cell():
    assert format_trained((70.0, 72.0)) == '71.00 ± 1.41 (2 seeds)'
    assert format_trained((69.5,)) == '69.50'
    assert format_trained(()) == '-'


def test_element_wise_work_is_shown_where_macs_say_nothing():
    rows = [replace(ROW, elementwise=1_230_000), replace(ROW, name='all', elementwise=None)]
    text = format_results(rows, 'acc', 'title')
    assert 'element-wise' in text
    cells = [[cell.strip() for cell in line.split('│')] for line in text.splitlines() if '│' in line]
    assert [row[-3] for row in cells] == ['1.23 M', '-']
    assert 'element-wise' not in format_results([rows[0], replace(rows[1], macs=40_820_000)], 'acc', 'title')
    assert 'element-wise' not in format_results(rows[:1], 'acc', 'title')


def test_lines_have_no_trailing_blanks():
    text = format_results([ROW], 'acc', 'title')
    assert text.splitlines() == [line.rstrip() for line in text.splitlines()]

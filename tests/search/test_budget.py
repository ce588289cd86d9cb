import pytest

from ean_mm.search import Budget, Spent


@pytest.mark.parametrize(
    ('budget', 'spent', 'end'),
    [
        (dict(num_steps=4), dict(num_steps=4), 'all 4 steps are done'),
        (dict(max_schemes=1000), dict(num_schemes=1000), '1,000 schemes are scored'),
        (dict(max_images=5000), dict(num_images=5001), '5,001 images are used, of 5,000'),
        (dict(max_hours=0.5), dict(seconds=1800.0), '0.5 hours are over'),
        (dict(patience=7), dict(num_idle=7), '7 schemes in a row brought no better one'),
    ],
)
def test_what_is_reached_first_ends_a_search(budget, spent, end):
    assert Budget(**budget).find_end(Spent(**spent)) == end
    ((name, value),) = spent.items()
    little_less = value - (2 if name == 'num_images' else 1)
    assert Budget(**budget).find_end(Spent(**{name: little_less})) is None
    assert Budget().find_end(Spent(**spent)) is None


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        ({'num_steps': 0}, r'`num_steps` must be a whole number of at least 1, but got 0'),
        ({'num_steps': 2.0}, r'`num_steps` must be a whole number'),
        ({'max_schemes': 1}, r'`max_schemes` must be a whole number of at least 2, but got 1'),
        ({'max_images': 0}, r'`max_images` must be a whole number of at least 1'),
        ({'max_hours': 0}, r'`max_hours` must be a number above 0, but got 0'),
        ({'max_hours': '2h'}, r"`max_hours` must be a number above 0, but got '2h'"),
        ({'patience': True}, r'`patience` must be a whole number of at least 1, but got True'),
    ],
)
def test_what_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        Budget(**arguments)

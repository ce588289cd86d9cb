"""Every backbone of both libraries: supported with all that this means, or refused with the reason."""

import importlib
from pathlib import Path

import pytest
import torch
from backbone_cases import CASES, MMPRETRAIN, MMSEG, Case
from backbone_sweep import check_supported, wrap, write_table

ROOT = Path(__file__).parents[2]


def cases(wanted):
    """The cases for which ``wanted`` is true; those that are no representative of a family are slow."""
    return [
        pytest.param(case, id=case.name, marks=() if case.fast else pytest.mark.slow) for case in CASES if wanted(case)
    ]


@pytest.fixture(autouse=True)
def libraries(request):
    case = getattr(request.node, 'callspec', None) and request.node.callspec.params.get('case')
    if case:
        pytest.importorskip(case.type.partition('.')[0] + '.models')
        if 'model_name' in case.arguments:
            pytest.importorskip('timm')


@pytest.mark.parametrize('case', cases(lambda case: not case.refused and not case.not_built))
def test_a_residual_backbone_is_supported(case: Case):
    torch.set_num_threads(1)
    net = check_supported(case, every_site=not case.fast)
    assert net.num_connections >= 2


@pytest.mark.parametrize('case', cases(lambda case: case.refused))
def test_another_backbone_is_refused_by_name(case: Case):
    name = case.type.partition('.')[2]
    with pytest.raises(ValueError, match=rf"of a known kind .* but got '{name}', .*residual_blocks=dict\("):
        wrap(case)


def test_a_wrong_row_does_not_pass_the_sweep():
    pytest.importorskip('mmpretrain.models')
    case = Case('mmpretrain.PoolFormer', dict(arch='s12'))
    twice = dict(PoolFormerBlock=dict(before='drop_path', width='mlp'))
    with pytest.raises(AssertionError, match='attention must be called once per site'):
        check_supported(case, every_site=False, residual_blocks=twice)


@pytest.mark.parametrize(('package', 'listed'), [('mmpretrain', MMPRETRAIN), ('mmseg', MMSEG)])
def test_the_sweep_leaves_no_backbone_out(package, listed):
    models = pytest.importorskip(f'{package}.models')
    registry = importlib.import_module(f'{package}.registry').MODELS
    registered = {
        f'{package}.{name}'
        for name, cls in registry.module_dict.items()
        if cls.__module__.startswith(f'{models.__name__}.backbones.')
    }
    covered = {case.type for case in CASES}
    assert registered <= covered


@pytest.mark.slow
def test_the_table_in_the_docs_is_that_of_the_sweep():
    for package in ('mmpretrain.models', 'mmseg.models', 'timm'):
        pytest.importorskip(package)
    assert (ROOT / 'docs' / 'backbones.md').read_text(encoding='utf-8') == write_table()

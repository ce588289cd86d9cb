"""Imports point down only; the layers and what each may import are the table below."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'ean_mm'

_LEAVES = {'version', 'environment'}
_VALUES = {'structures', 'registry'} | _LEAVES
_CORE = {'models', 'search'} | _VALUES
_TOP = {'analysis', 'reparam', 'visualization', 'evaluation', 'datasets'} | _CORE

# first part of the module name below ean_mm -> the other parts it may import
ALLOWED: dict[str, set[str]] = {
    '': {'version'},
    'version': set(),
    'environment': set(),
    'structures': _LEAVES,
    'registry': set(),
    'models': _VALUES,
    'search': _VALUES,
    'datasets': _VALUES,
    'counting': {'datasets'} | _VALUES,
    'analysis': _CORE,
    'reparam': _CORE,
    'visualization': _CORE,
    'evaluation': _CORE,
    'report': {'visualization'} | _VALUES,
    'hooks': _TOP | {'report'},
    'launch': _TOP | {'hooks', 'report'},
}
# named by configs, never imported by the library; mmcv.ops needs a compiled mmcv
FORBIDDEN_EVERYWHERE = {'mmpretrain', 'mmseg', 'mmdet', 'mmcv.ops', 'tools', 'configs', 'tests'}
FORBIDDEN_IN: dict[str, set[str]] = {
    '': {'torch', 'mmengine', 'mmcv', 'numpy'},
    'version': {'torch', 'mmengine', 'mmcv', 'numpy'},
    'environment': {'torch', 'mmengine', 'mmcv', 'numpy'},
    'structures': {'torch', 'mmengine', 'mmcv'},
    'registry': {'torch', 'mmcv', 'numpy'},
    'search': {'mmcv', *(f'mmengine.{name}' for name in ('runner', 'hooks', 'model', 'dataset', 'evaluator'))},
}


def _imported_names(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of every import, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parts = module.split('.')
                anchor = parts[: len(parts) - node.level + is_package]
                base = '.'.join([*anchor, *filter(None, [node.module])])
            yield from ((node.lineno, f'{base}.{alias.name}') for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _is_dynamic_import(node.func):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def _is_dynamic_import(func: ast.expr) -> bool:
    name = getattr(func, 'attr', getattr(func, 'id', ''))
    return name in {'import_module', '__import__', 'try_import', 'import_modules_from_strings'}


def _layer(name: str) -> str:
    return f'{name}.'.split('.')[1]


def _is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + '.')


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return one sentence per import in ``source`` which the table does not allow."""
    layer = _layer(module)
    if layer not in ALLOWED:
        return [f'{module}: ean_mm.{layer} has no place in the table of layers']
    found = []
    forbidden = FORBIDDEN_EVERYWHERE | FORBIDDEN_IN.get(layer, set())
    for line, name in _imported_names(ast.parse(source), module, is_package):
        if any(_is_within(name, package) for package in forbidden):
            found.append(f'{module}:{line}: {layer or "ean_mm"} must not import {name}')
        if _is_within(name, 'ean_mm'):
            target = _layer(name)
            if target in ALLOWED and target not in ALLOWED[layer] | {layer, ''}:
                found.append(f'{module}:{line}: {layer or "ean_mm"} must not import {name}')
    return found


def _modules() -> list[tuple[Path, str, bool]]:
    modules = []
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        is_package = parts[-1] == '__init__'
        modules.append((path, '.'.join(parts[:-1] if is_package else parts), is_package))
    return modules


def test_every_import_points_down():
    modules = _modules()
    assert modules
    found = []
    for path, module, is_package in modules:
        found += violations(path.read_text(encoding='utf-8'), module, is_package)
    assert not found, '\n'.join(found)


def test_the_table_has_no_cycle():
    """A layer never reaches itself through what it may import."""

    def reached(layer: str, seen: frozenset[str] = frozenset()) -> set[str]:
        below = {other for other in ALLOWED[layer] if other in ALLOWED} - seen
        return below.union(*(reached(other, seen | below) for other in below))

    assert not [layer for layer in ALLOWED if layer in reached(layer)]


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        ('ean_mm.models.backbone', 'from ean_mm.search import Reinforce'),
        ('ean_mm.models.backbone', 'from ..search import Reinforce'),
        ('ean_mm.models.backbone', 'from .. import search'),
        ('ean_mm.models.attentions.se', 'from ...search.strategies.policy import Policy'),
        ('ean_mm.models.backbone', 'import ean_mm.hooks.search_hook'),
        ('ean_mm.search.strategies.policy', 'from ...models import EANBackbone'),
        ('ean_mm.search.strategies.policy', 'from mmengine.runner import Runner'),
        ('ean_mm.search.strategies.policy', 'def f():\n    import mmengine.hooks'),
        ('ean_mm.structures.scheme', 'import torch'),
        ('ean_mm.structures.scheme', 'from torch.nn import Module'),
        ('ean_mm.structures.scheme', 'from ..registry import MODELS'),
        ('ean_mm.registry', 'from .models import SE'),
        ('ean_mm.analysis.cost', 'from ..evaluation import SupernetScorer'),
        ('ean_mm.evaluation.scorer', 'from ..hooks import SearchHook'),
        ('ean_mm.datasets.cued_digits', 'from ..models import ResNetCifar'),
        ('ean_mm.hooks.search_hook', 'from mmpretrain.models import ResNet'),
        ('ean_mm.hooks.search_hook', 'import mmseg'),
        ('ean_mm.hooks.search_hook', "import importlib\nimportlib.import_module('mmseg.models')"),
        ('ean_mm.hooks.search_hook', 'from tools import search'),
        ('ean_mm.models.sites', 'from mmcv.ops import DeformConv2d'),
        ('ean_mm.models.sites', 'from mmcv import ops'),
        ('ean_mm.hooks.search_hook', 'from ..launch import build_parser'),
        ('ean_mm.helpers.files', 'import os'),
        ('ean_mm.version', 'from .registry import MODELS'),
    ],
)
def test_the_check_finds_a_wrong_import(module, source):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize('source', ['import torch', 'from . import registry'])
def test_the_check_finds_a_wrong_import_in_the_package_itself(source):
    assert len(violations(source, 'ean_mm', is_package=True)) == 1


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        (
            'ean_mm.hooks.search_hook',
            'from ..models import EANBackbone\nfrom ..search import Reward',
        ),
        (
            'ean_mm.models.backbone',
            'from ..structures import Ticket\nfrom mmengine.model import BaseModule',
        ),
        (
            'ean_mm.models.attentions.se',
            'from .base import AttentionModule\nfrom ...registry import MODELS',
        ),
        ('ean_mm.search.strategies.policy', 'import torch\nfrom ...registry import STRATEGIES'),
        ('ean_mm.structures.ticket', 'import numpy\nfrom .. import __version__'),
    ],
)
def test_the_check_passes_a_right_import(module, source):
    assert violations(source, module) == []


def test_a_relative_import_in_a_package_starts_at_the_package():
    assert violations('from .search import x', 'ean_mm.models', is_package=True) == []
    assert len(violations('from ..search import x', 'ean_mm.models', is_package=True)) == 1


def _loaded_after(statement: str, *names: str) -> set[str]:
    code = f'import sys\n{statement}\nsys.stdout.write(" ".join({set(names)!r} & set(sys.modules)))'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_importing_the_package_is_cheap():
    assert _loaded_after('import ean_mm', 'torch', 'mmengine', 'numpy') == set()


def test_importing_the_values_loads_no_torch():
    assert _loaded_after('import ean_mm.structures', 'torch', 'mmengine', 'ean_mm') == {'ean_mm'}


def test_importing_the_strategies_loads_no_image_library():
    names = ('mmpretrain', 'mmseg', 'mmcv', 'torchvision', 'torch')
    assert _loaded_after('import ean_mm.search', *names) == {'torch'}


def test_importing_the_hooks_loads_no_task_library():
    assert _loaded_after('import ean_mm.hooks', 'mmpretrain', 'mmseg', 'ean_mm') == {'ean_mm'}

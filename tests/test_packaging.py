"""What pip and make read: the version, the requirement files, the versions of the tested set."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ean_mm

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'
NAMES = ('runtime', 'onedl', 'openmmlab', 'seg', 'timm', 'tests', 'export', 'optuna')
PYTHONS = ('3.10', '3.11', '3.12', '3.13', '3.14')
# import name -> distribution, where they differ
DISTRIBUTIONS = {'PIL': 'pillow', 'sklearn': 'scikit-learn'}


def _lines(name: str) -> list[tuple[str, str]]:
    """Return (requirement, comment) of every line which is not a comment alone."""
    lines = []
    for line in (REQUIREMENTS / f'{name}.txt').read_text(encoding='utf-8').splitlines():
        requirement, _, comment = (part.strip() for part in line.partition('#'))
        if requirement:
            lines.append((requirement, comment))
    return lines


def _requirements(name: str) -> list[Requirement]:
    return [Requirement(requirement) for requirement, _ in _lines(name)]


def _constraints(python: str) -> dict[str, Requirement]:
    """Return the pins that apply to a Python version; a package pinned twice is an error."""
    pins: dict[str, Requirement] = {}
    environment = {**default_environment(), 'python_version': python}
    for pin in _requirements('constraints'):
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            if name in pins:
                raise ValueError(f'{name} is pinned twice for Python {python}')
            pins[name] = pin
    return pins


@pytest.mark.parametrize('name', NAMES)
def test_every_requirement_has_a_bound_and_a_reason(name):
    for line, comment in _lines(name):
        assert Requirement(line).specifier, line
        assert comment, line


def test_both_families_are_extras_of_their_own():
    onedl = {requirement.name for requirement in _requirements('onedl')}
    upstream = {requirement.name for requirement in _requirements('openmmlab')}
    assert onedl >= {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain'}
    assert upstream >= {'mmengine', 'mmcv-lite', 'mmpretrain'}
    runtime = {requirement.name for requirement in _requirements('runtime')}
    assert not runtime & (onedl | upstream)


@pytest.mark.parametrize('python', PYTHONS)
def test_the_constraints_pin_what_the_requirement_files_ask_for(python):
    pins = _constraints(python)
    for name in NAMES:
        for requirement in _requirements(name):
            pin = pins[canonicalize_name(requirement.name)]
            (version,) = (specifier.version for specifier in pin.specifier)
            assert requirement.specifier.contains(version), f'{requirement} excludes {pin}'


@pytest.mark.parametrize('python', PYTHONS)
def test_the_constraints_are_exact_and_name_no_file(python):
    for pin in _constraints(python).values():
        assert pin.url is None, pin
        assert not pin.extras, pin
        (specifier,) = pin.specifier
        assert specifier.operator == '==', pin
        assert '+' not in specifier.version, f'{pin} names a local build'


def test_constraints_say_no_options():
    for line, _ in _lines('constraints'):
        assert re.match(r'[a-z0-9]', line), line


def test_setup_reads_the_version_and_the_files(monkeypatch):
    given = _run_setup(monkeypatch)
    assert given['version'] == ean_mm.__version__
    assert given['name'] == 'ean_mm'
    assert given['python_requires'] == '>=3.10'
    assert given['install_requires'] == [line for line, _ in _lines('runtime')]
    assert given['extras_require'] == {name: [line for line, _ in _lines(name)] for name in NAMES[1:]}


def test_setup_finds_every_package(monkeypatch):
    inits = (ROOT / 'ean_mm').rglob('__init__.py')
    packages = {'.'.join(path.parent.relative_to(ROOT).parts) for path in inits}
    assert set(_run_setup(monkeypatch)['packages']) == packages
    files = (ROOT / 'ean_mm').rglob('*.py')
    assert {'.'.join(path.parent.relative_to(ROOT).parts) for path in files} == packages


def _run_setup(monkeypatch) -> dict:
    """Execute setup.py as pip does, with ``setuptools.setup`` replaced by a recorder."""
    setuptools = pytest.importorskip('setuptools')
    given: dict = {}
    monkeypatch.setattr(setuptools, 'setup', given.update)
    monkeypatch.chdir(ROOT)
    code = compile((ROOT / 'setup.py').read_text(encoding='utf-8'), str(ROOT / 'setup.py'), 'exec')
    exec(code, {'__file__': str(ROOT / 'setup.py'), '__name__': '__main__'})
    return given


def test_everything_the_package_imports_is_required():
    """A third-party import is in runtime.txt, comes with the package family, or is optional and inside a function."""
    required = {canonicalize_name(requirement.name) for requirement in _requirements('runtime')}
    optional = {canonicalize_name(each.name) for extra in ('timm', 'export', 'optuna') for each in _requirements(extra)}
    known = sys.stdlib_module_names | {'mmengine', 'mmcv', 'ean_mm'}
    undeclared = {
        f'{path.relative_to(ROOT)}: {name}'
        for path in (ROOT / 'ean_mm').rglob('*.py')
        for tree in [ast.parse(path.read_text(encoding='utf-8'))]
        for name in _imported_packages(tree) - known
        if canonicalize_name(DISTRIBUTIONS.get(name, name)) not in required
        and (canonicalize_name(name) not in optional or name in _imported_packages(tree, deep=False))
    }
    assert not undeclared


def _imported_packages(tree: ast.Module, deep: bool = True) -> set[str]:
    """Names of imported packages: all, or those that importing the module itself imports."""
    names = set()
    for node in ast.walk(tree) if deep else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split('.')[0])
    return names


def test_the_import_check_sees_nested_imports():
    tree = ast.parse('def f():\n    import timm.layers\nfrom PIL import Image')
    assert _imported_packages(tree) == {'timm', 'PIL'}
    assert _imported_packages(tree, deep=False) == {'PIL'}


def test_the_licence_is_apache_2_with_its_appendix():
    text = (ROOT / 'LICENSE').read_text(encoding='utf-8')
    assert 'Version 2.0, January 2004' in text
    assert 'END OF TERMS AND CONDITIONS' in text
    assert 'APPENDIX: How to apply the Apache License to your work.' in text

"""Package families are recognised by distribution names, whatever is really installed."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import metadata

import pytest

from ean_mm import environment
from ean_mm.environment import MixedFamiliesWarning, check_environment, installed_families


@pytest.fixture
def install(monkeypatch):
    """Return a function that makes exactly the given distributions look installed."""

    def pretend(**versions: str) -> None:
        known = {name.replace('_', '-'): version for name, version in versions.items()}

        def version(name: str) -> str:
            if name not in known:
                raise metadata.PackageNotFoundError(name)
            return known[name]

        monkeypatch.setattr(environment.metadata, 'version', version)

    return pretend


def test_nothing_installed_names_both_commands(install):
    install()
    assert installed_families() == {'onedl': {}, 'openmmlab': {}}
    with pytest.raises(ImportError, match=r"pip install -e '\.\[onedl\]'.*pip install -e '\.\[openmmlab\]'"):
        check_environment()


def test_the_error_is_one_line(install):
    install()
    with pytest.raises(ImportError) as caught:
        check_environment()
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('versions', 'expected'),
    [
        (
            {'onedl_mmengine': '0.10.12', 'onedl_mmcv': '2.3.6'},
            {'onedl': {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6'}, 'openmmlab': {}},
        ),
        (
            {'mmengine': '0.10.7', 'mmcv_lite': '2.2.0'},
            {'onedl': {}, 'openmmlab': {'mmengine': '0.10.7', 'mmcv-lite': '2.2.0'}},
        ),
        ({'mmengine_lite': '1.0'}, {'onedl': {}, 'openmmlab': {'mmengine-lite': '1.0'}}),
    ],
)
def test_one_family_passes_silently(install, versions, expected):
    install(**versions)
    assert installed_families() == expected
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_environment()


def test_packages_without_an_engine_are_not_enough(install):
    install(onedl_mmcv='2.3.6', mmpretrain='1.2.0')
    with pytest.raises(ImportError, match='`mmengine` must be installed'):
        check_environment()


@pytest.mark.parametrize('upstream', ['mmengine', 'mmcv', 'mmcv_lite', 'mmpretrain'])
def test_both_families_warn_with_names_and_versions(install, upstream):
    install(onedl_mmengine='0.10.12', **{upstream: '9.9'})
    name = upstream.replace('_', '-')
    with pytest.warns(MixedFamiliesWarning, match=rf'got both: onedl-mmengine 0\.10\.12 and {name} 9\.9;'):
        check_environment()


def test_any_version_is_accepted(install):
    install(mmengine='99.0.dev1+local', mmcv='0.0.1')
    check_environment()


def test_the_real_environment_is_recognised():
    families = installed_families()
    installed = {**families['onedl'], **families['openmmlab']}
    assert installed
    for name, version in installed.items():
        assert metadata.version(name) == version


def test_importing_it_imports_no_mm_package():
    code = (
        'import sys, ean_mm.environment as e; e.installed_families(); '
        "sys.exit(' '.join({'torch', 'mmengine', 'mmcv', 'mmpretrain'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ''), result.stderr


def test_a_tool_without_packages_ends_with_one_sentence(monkeypatch):
    monkeypatch.setattr(environment, 'installed_families', lambda: {'onedl': {}, 'openmmlab': {}})
    with pytest.raises(SystemExit, match=r'^error: `mmengine` must be installed, but got neither'):
        environment.exit_without_packages()

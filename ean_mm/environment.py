"""Which builds of the OpenMMLab packages are installed, read from package metadata alone.

The maintained ``onedl-*`` builds and upstream OpenMMLab have the same import names, so importing
tells nothing and installing both mixes their files. Nothing here imports a package or compares a
version.
"""

from __future__ import annotations

import sys
import warnings
from importlib import metadata

FAMILIES: dict[str, tuple[str, ...]] = {
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain', 'onedl-mmsegmentation'),
    'openmmlab': (
        'mmengine',
        'mmengine-lite',
        'mmcv',
        'mmcv-lite',
        'mmpretrain',
        'mmsegmentation',
    ),
}
ENGINES = ('onedl-mmengine', 'mmengine', 'mmengine-lite')


class MixedFamiliesWarning(UserWarning):
    """Both package families are installed into one environment."""


def installed_families() -> dict[str, dict[str, str]]:
    """Return the version of every installed distribution, by family.

    Returns:
        ``{'onedl': {distribution: version, ...}, 'openmmlab': {...}}``; an absent family is empty.
    """
    return {family: _versions(names) for family, names in FAMILIES.items()}


def check_environment() -> None:
    """Refuse an environment without mmengine, warn about one with both families.

    Raises:
        ImportError: If no family provides mmengine.
    """
    families = installed_families()
    if not any(engine in installed for installed in families.values() for engine in ENGINES):
        raise ImportError(_NONE_INSTALLED)
    if families['onedl'] and families['openmmlab']:
        warnings.warn(_describe_mix(families), MixedFamiliesWarning, stacklevel=2)


def exit_without_packages() -> None:
    """What a tool calls before it imports anything of OpenMMLab: without a family it ends with one sentence."""
    try:
        check_environment()
    except ImportError as err:
        sys.exit(f'error: {err}')


_NONE_INSTALLED = (
    '`mmengine` must be installed, but got neither of its builds; in the checkout of ean_mm run '
    "`pip install -e '.[onedl]'` (maintained builds, the tested default) "
    "or `pip install -e '.[openmmlab]'` (upstream)."
)


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _describe_mix(families: dict[str, dict[str, str]]) -> str:
    onedl, upstream = (
        ', '.join(f'{name} {version}' for name, version in families[family].items())
        for family in ('onedl', 'openmmlab')
    )
    return (
        f'The environment must hold one package family, but got both: {onedl} and {upstream}; '
        'they share import names and overwrite each other, so uninstall both, then install one of '
        'them again.'
    )

"""What each connection adds to the latency of a network, measured on the device it is for."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from mmengine.logging import print_log
from scipy.linalg import hadamard

from ..models import EANBackbone
from ..structures import ConnectionScheme, write_atomically
from ..structures.checks import require_number, require_whole
from ..structures.shorten import shorten
from ..structures.strict_json import read_strict_json
from .latency import measure_latency

FORMAT: Final = 'ean_mm.latency'
VERSION: Final = 1
TRUSTED_ERROR = 0.1  # of the latency that all connections add; beyond it a warning is due


class LatencyTableError(ValueError):
    """A latency table that cannot be used."""


@dataclass(frozen=True)
class LatencyCheck:
    """What a scheme took that the table was not made from."""

    scheme: ConnectionScheme
    measured_ms: float


@dataclass(frozen=True)
class LatencyTable:
    """Latency of one image as a sum: the bare network and each site that is connected.

    Attributes:
        device: where it was measured.
        backbone: what was measured, as a ticket spells it.
        attention: its type and arguments.
        bare_ms: of the network without attention.
        sites_ms: what each site adds; one that seems to save is within the error, or does.
        num_rounds: how often each scheme ran.
        check: random schemes that the table was not made from.
    """

    device: str
    backbone: str
    attention: dict[str, Any]
    bare_ms: float
    sites_ms: tuple[float, ...]
    num_rounds: int
    check: tuple[LatencyCheck, ...]

    @property
    def added_ms(self) -> float:
        """What all connections add."""
        return sum(self.sites_ms)

    @property
    def errors(self) -> list[float]:
        """How far the table is off for each scheme of the check, as a share of that scheme's latency."""
        return [abs(self.predict(each.scheme) - each.measured_ms) / each.measured_ms for each in self.check]

    @property
    def added_errors(self) -> list[float]:
        """The same as a share of what all connections add, which the whole network's latency cannot hide; none if nothing."""
        if self.added_ms <= 0:
            return []
        return [abs(self.predict(each.scheme) - each.measured_ms) / self.added_ms for each in self.check]

    @property
    def is_trusted(self) -> bool:
        """Whether half of the schemes are told to a tenth of what all connections add."""
        return bool(self.added_errors) and median(self.added_errors) <= TRUSTED_ERROR

    def predict(self, scheme: ConnectionScheme) -> float:
        """The latency under ``scheme``, in milliseconds."""
        return self.bare_ms + float(scheme.mask @ np.array(self.sites_ms))

    def describe(self) -> str:
        """What was measured and how well, in one sentence."""
        text = f'Latency of one image on {self.device}: {self.bare_ms:.4g} ms bare, all connections add {self.added_ms:.3g} ms'
        if not self.added_errors:
            return f'{text}, too little to be told apart.'
        middle, largest = median(self.added_errors), max(self.added_errors)
        return (
            f'{text}; {len(self.check)} random schemes are predicted to {middle:.0%} of that (median; {largest:.0%} at worst), '
            f'or {median(self.errors):.1%} of their latency ({max(self.errors):.1%}).'
        )

    def require_for(self, backbone: EANBackbone) -> None:
        """Check that the table was measured with such a backbone and attention.

        Raises:
            LatencyTableError: with both, if it was not.
        """
        found, wanted = (self.backbone, self.attention), (str(backbone.fingerprint), _plain(backbone.attention_spec))
        if found != wanted:
            raise LatencyTableError(
                f'`latency_table` must be measured with {wanted[0]} and {wanted[1]}, but got {found[0]} and {found[1]}; '
                'measure one for this network.'
            )

    # -- the file --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike) -> None:
        """Write the table as strict JSON, never seen half-written."""
        write_atomically(path, (json.dumps(self._fields(), indent=2, allow_nan=False) + '\n').encode())

    def _fields(self) -> dict[str, Any]:
        added = self.added_errors
        return dict(
            format=FORMAT,
            version=VERSION,
            device=self.device,
            backbone=self.backbone,
            attention=self.attention,
            num_images=1,
            bare_ms=self.bare_ms,
            sites_ms=list(self.sites_ms),
            num_rounds=self.num_rounds,
            check=[
                dict(scheme=str(each.scheme), measured_ms=each.measured_ms, predicted_ms=self.predict(each.scheme))
                for each in self.check
            ],
            median_error=median(self.errors),
            largest_error=max(self.errors),
            median_added_error=median(added) if added else None,
            largest_added_error=max(added) if added else None,
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> LatencyTable:
        """Read what :meth:`save` wrote, here or on another device.

        Raises:
            LatencyTableError: if it is anything else.
        """
        try:
            return cls._from_fields(read_strict_json(Path(path).read_bytes()))
        except (OSError, ValueError) as err:
            raise LatencyTableError(
                f'`latency_table` must be a file that a search has measured, but got {os.fspath(path)!r}: {err}'
            ) from err

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> LatencyTable:
        for name, wanted in (('format', FORMAT), ('version', VERSION), ('num_images', 1)):
            if fields.get(name) != wanted or isinstance(fields[name], bool):
                raise ValueError(f'`{name}` must be {wanted!r}, but got {shorten(fields.get(name))}.')
        for name, kind in (
            ('device', str),
            ('backbone', str),
            ('attention', dict),
            ('sites_ms', list),
            ('check', list),
        ):
            if not isinstance(fields.get(name), kind):
                raise ValueError(f'`{name}` must be of type {kind.__name__}, but got {shorten(fields.get(name))}.')
        table = cls(
            device=fields['device'],
            backbone=fields['backbone'],
            attention=fields['attention'],
            bare_ms=_milliseconds('bare_ms', fields.get('bare_ms')),
            sites_ms=tuple(require_number('sites_ms', value, rule='finite numbers') for value in fields['sites_ms']),
            num_rounds=require_whole('num_rounds', fields.get('num_rounds', 0), 1),
            check=tuple(map(_read_check, fields['check'])),
        )
        if not table.check or {each.scheme.num_connections for each in table.check} != {len(table.sites_ms)}:
            raise ValueError(
                f'`check` must hold schemes of {len(table.sites_ms)} bits, but got {shorten(fields["check"])}.'
            )
        if fields != table._fields():
            name = next(name for name in {**fields, **table._fields()} if fields.get(name) != table._fields().get(name))
            raise ValueError(f'`{name}` must agree with the others, but got {shorten(fields.get(name))}.')
        return table


def measure_latency_table(
    backbone: EANBackbone,
    run: Callable[[], object],
    device: torch.device,
    num_rounds: int = 20,
    num_checks: int = 8,
    seed: int = 0,
) -> LatencyTable:
    """Measure what each site adds, side by side, and check the sum on random schemes; warns where it does not hold.

    The schemes form a weighing design: each site is on in half of them, so every run says something of every site, and
    each with any other equally often. With N = 2^ceil(log2(n + 1)) rows of a Hadamard matrix and their complements, what a
    site adds is known to sigma * sqrt(2 / N), against sigma * sqrt(2) if it alone were compared with none; a pair
    that costs more together than apart counts half with each of its sites. Schemes take turns within a round and are summed
    up by their median over rounds; an attention whose first call differs from later ones counts as it does on average.
    Source: Hotelling, Ann. Math. Statist. 15 (1944), 297-306; the complements: Box and Hunter, Technometrics 3 (1961).

    Args:
        backbone: in evaluation mode, every attention built; its scheme is put back.
        run: runs the whole network once on one image.
        device: where it runs.
        num_rounds: how often each scheme runs, after 2 rounds to warm up.
        num_checks: random schemes beside the design.
        seed: of the design and of the checks.

    Cost: (2 * N + num_checks) * (num_rounds + 2) forward passes, N being 16 for 9 sites and 64 for 54.
    Raises: ValueError if the backbone is in training mode or an argument is below 1.
    """
    if backbone.training:
        raise ValueError('`backbone` must be in evaluation mode, but got one in training mode; call `eval()` first.')
    require_whole('num_rounds', num_rounds, 1)
    layout, before = backbone.blocks_per_stage, backbone.scheme
    design, check = _draw_schemes(layout, require_whole('num_checks', num_checks, 1), seed)

    def run_under(scheme: ConnectionScheme) -> None:
        backbone.set_scheme(scheme)
        run()

    try:
        times = measure_latency(run_under, [*design, *check], device, warmup=2, repeats=num_rounds)
    finally:
        backbone.set_scheme(before)
    equations = np.stack([np.r_[1.0, scheme.mask] for scheme in design])
    bare, *sites = np.linalg.lstsq(equations, np.array([times[scheme] for scheme in design]), rcond=None)[0].tolist()
    checks = tuple(LatencyCheck(scheme, times[scheme]) for scheme in check)
    described = str(backbone.fingerprint), _plain(backbone.attention_spec)
    table = LatencyTable(describe_device(device), *described, bare, tuple(sites), num_rounds, checks)
    if not table.is_trusted:
        print_log(
            f'{table.describe()} This is too coarse to choose by: measure on a quiet machine, with more rounds, or give '
            'a table measured elsewhere.',
            logger='current',
            level=logging.WARNING,
        )
    return table


def describe_device(device: torch.device) -> str:
    """The name of a device, with the threads of a CPU."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'CPU, {torch.get_num_threads()} threads'


def _draw_schemes(
    layout: Sequence[int], num_checks: int, seed: int
) -> tuple[list[ConnectionScheme], list[ConnectionScheme]]:
    """The schemes of the design, none and all among them, and others; fewer others where there are no more."""
    n, generator = sum(layout), np.random.default_rng(seed)
    order = 1 << n.bit_length()
    columns = 1 + generator.permutation(order - 1)[:n]
    rows = hadamard(order)[:, columns] > 0
    design = [ConnectionScheme.from_mask(mask, layout) for mask in np.concatenate([rows, ~rows])]
    check: list[ConnectionScheme] = []
    for density in generator.uniform(0.2, 0.8, size=50 * num_checks):
        scheme = ConnectionScheme.from_mask(generator.random(n) < density, layout)
        if len(check) < num_checks and scheme not in {*design, *check}:
            check.append(scheme)
    design = list(dict.fromkeys(design))
    return design, check or design  # of one to three sites every scheme is in the design


def _plain(spec: dict) -> dict[str, Any]:
    """What JSON makes of it."""
    return json.loads(json.dumps(spec))


def _read_check(fields: object) -> LatencyCheck:
    if not isinstance(fields, dict):
        raise ValueError(f'`check` must hold objects, but got {shorten(fields)}.')
    scheme = ConnectionScheme.from_string(fields.get('scheme', ''))
    return LatencyCheck(scheme, _milliseconds('measured_ms', fields.get('measured_ms')))


def _milliseconds(name: str, value: Any) -> float:
    return require_number(name, value, np.nextafter(0, 1), rule='a positive number')

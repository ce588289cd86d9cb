"""The latency of each site, the same on every rank and after every resume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log

from ..analysis.latency_table import LatencyTable, measure_latency_table
from ..models import EANBackbone

LATENCY_FILE = 'latency.json'


def find_latency_table(
    path: str | None, directory: Path, backbone: EANBackbone, run: Callable[[], object]
) -> tuple[LatencyTable, str]:
    """The latency table of a search, and the sha256 of its file.

    It is read from ``path`` if that is given, else from ``latency.json`` in the work directory; where neither is there, rank 0
    measures it.

    Args:
        path: of a table measured elsewhere, or None.
        directory: the work directory.
        backbone: the wrapped backbone in evaluation mode, every attention built.
        run: runs the whole network once on one image.

    Raises:
        LatencyTableError: if the file is missing, damaged or of another network.
    """
    source = Path(path) if path else directory / LATENCY_FILE
    if is_main_process() and not path and not source.exists():
        print_log('Measuring the latency of each site ...', logger='current')
        measure_latency_table(backbone, run, next(backbone.parameters()).device).save(source)
    barrier()
    table = LatencyTable.load(source)
    table.require_for(backbone)
    return table, hashlib.sha256(source.read_bytes()).hexdigest()

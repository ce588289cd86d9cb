"""What the benchmarks share: facts about the machine they ran on, and tables as CSV files."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import torch

from ean_mm.structures import write_atomically

MACHINE_COLUMNS = ('device', 'threads', 'torch', 'date')


def describe_machine(device: torch.device) -> dict[str, object]:
    """What every row of a table says about where and when it was measured, under the names of ``MACHINE_COLUMNS``."""
    facts = (describe_device(device), torch.get_num_threads(), torch.__version__, date.today().isoformat())
    return dict(zip(MACHINE_COLUMNS, facts, strict=True))


def describe_device(device: torch.device) -> str:
    """The name of the GPU, or of the processor."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return named[0] if named else platform.processor() or platform.machine()


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
    """Write a table as CSV in one atomic step; what a row does not have stays empty, what is no column is an error."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def reset_peak_memory(device: torch.device) -> None:
    """From now on, measure the peak anew, where the system can."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # Linux alone
        Path('/proc/self/clear_refs').write_text('5')


def read_peak_memory(device: torch.device) -> str:
    """MiB at the worst moment: of torch's allocator on a GPU, of the whole process otherwise; empty where nobody counts."""
    if device.type == 'cuda':
        return f'{torch.cuda.max_memory_allocated(device) / 2**20:.1f}'
    with suppress(OSError):
        lines = Path('/proc/self/status').read_text().splitlines()
        return ''.join(f'{int(line.split()[1]) / 2**10:.1f}' for line in lines if line.startswith('VmHWM'))
    return ''

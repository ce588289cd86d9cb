"""Peak memory of one run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile


def measure_peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """Bytes that ``run`` needs at its worst moment on top of what was allocated before it: weights and inputs are not in it.

    What torch's allocator of the device hands out is counted, so the figure is the same in every run; memory that a
    library takes by itself (scratch space of oneDNN on a CPU, say) and caches of the allocator are not seen.

    Args:
        run: leaves no tensor behind that an earlier run has left too, such as gradients.
        device: 'cuda' or 'cpu'; on a CPU every thread of the process is counted.

    >>> measure_peak_memory(lambda: torch.ones(256) + torch.ones(256), torch.device('cpu'))  # two terms and their sum
    3072
    """
    return _peak_on_cuda(run, device) if device.type == 'cuda' else _peak_on_cpu(run)


def _peak_on_cuda(run: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(run: Callable[[], object]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / 'trace.json'
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding='utf-8'))['traceEvents']
    # one event for each block of memory taken (positive) or given back (negative)
    changes = sorted((event['ts'], event['args']['Bytes']) for event in events if event.get('name') == '[memory]')
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak

"""Bytes, and the time, from rank 0 to all ranks, as tensors: object collectives would unpickle."""

from __future__ import annotations

import time

import torch
from mmengine.dist import broadcast


def broadcast_bytes(data: bytes) -> bytes:
    """Return rank 0's ``data`` on every rank."""
    length = torch.tensor([len(data)])
    broadcast(length)
    buffer = torch.zeros(int(length), dtype=torch.uint8)
    if data:
        buffer[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)[: len(buffer)]
    if len(buffer):
        broadcast(buffer)
    return buffer.numpy().tobytes()


def read_common_clock() -> float:
    """Rank 0's time in seconds, on every rank."""
    now = torch.tensor([time.time()], dtype=torch.float64)
    broadcast(now)
    return now.item()

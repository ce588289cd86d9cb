"""What connections add to every cost that was counted or measured, as a search wants it."""

from __future__ import annotations

from ..search import AddedCost, AddedCosts
from .cost import CostTable
from .latency_table import LatencyTable


def build_added_costs(table: CostTable, latency: LatencyTable | None = None) -> AddedCosts:
    """Costs by the names 'params' (paid by the group), 'macs', 'elementwise' and, if it was measured, 'latency'."""
    groups = tuple(site.group for site in table.sites)
    costs = {
        'params': AddedCost(table.bare.params, (0,) * len(groups), groups, dict(table.group_params)),
        'macs': AddedCost(table.bare.macs, tuple(site.macs for site in table.sites)),
        'elementwise': AddedCost(table.bare.elementwise, tuple(site.elementwise for site in table.sites)),
    }
    if latency is not None:
        costs['latency'] = AddedCost(latency.bare_ms, latency.sites_ms)
    return AddedCosts(len(groups), costs)

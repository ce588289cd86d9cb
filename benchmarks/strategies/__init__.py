"""Which strategy finds the best scheme soonest."""

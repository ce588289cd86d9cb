"""How fast a search is."""

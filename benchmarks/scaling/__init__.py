"""How attention grows with the map."""

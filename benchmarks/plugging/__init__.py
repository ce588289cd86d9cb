"""What it costs to plug attention in, in use and in the training of a supernet."""

"""Whether tickets, verdicts and rankings hold."""

"""What follows from what was observed: states, lag, verdicts, reports. Pure as a whole."""

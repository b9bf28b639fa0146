"""Conclusions from observations: program states, lag, verdicts, reports. Pure."""

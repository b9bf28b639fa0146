"""What helps when something is wrong: the checks of `kraftd doctor`, the events, and the bundle for a bug report."""

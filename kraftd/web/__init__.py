"""The HTTP parts that the daemon and the apps share; imports nothing of either."""

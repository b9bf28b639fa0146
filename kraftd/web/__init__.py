"""What every HTTP side here shares, the daemon's and the apps'; it imports nothing of either."""

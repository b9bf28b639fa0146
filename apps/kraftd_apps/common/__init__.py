"""What the two apps share."""

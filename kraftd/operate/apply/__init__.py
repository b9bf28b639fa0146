"""What a changed configuration means for a running cluster, and its application."""

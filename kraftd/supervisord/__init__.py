"""Access to supervisord: its RPC interface and its log."""

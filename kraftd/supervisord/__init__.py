"""The RPC door to supervisord."""

"""The programs' states, the cluster's verdict, causes of exits, the restart policy."""

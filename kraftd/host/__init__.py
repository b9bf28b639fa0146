"""Access to this machine: files, processes, ports, running JVMs."""

"""The door to this machine: files, processes, ports, the running JVMs."""

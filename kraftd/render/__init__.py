"""The plan as text: supervisord.conf, server.properties, Java command lines, logging. No I/O, byte-deterministic."""

"""The command line: parse, call one use case, print one result."""

from kraftd.host.signals import end_process_1_on_signals

# Before anything else is imported: what arrives meanwhile would have no effect in a container.
end_process_1_on_signals()

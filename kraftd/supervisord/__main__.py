"""supervisord, which neither a full disk nor the loss of its control socket ends, and which takes new programs.

Where a log cannot be written, supervisord prints the traceback to stderr: to a file on the same disk. That fails too,
and ends it, and with it the restarts of every program (supervisor 4.3, loggers.Handler.handleError).

A socket whose file was removed takes no connection any more, and supervisord binds another only when it restarts every
program (supervisor 4.3, Supervisor.run).

A group that gets one more program is stopped and made again by supervisorctl update: every broker would end for a new
one (supervisor 4.3, Supervisor.add_process_group takes new groups only).

A signal does not end supervisord's wait for events, as Python waits on after the handler (PEP 475): a child whose end
comes a moment after its pipe was closed is noticed a second later (supervisor 4.3, Supervisor.runforever).

To reopen a log, or to rotate it, supervisord closes it first. Where it cannot be opened then, that ends supervisord,
or nobody reads any more what the program writes (supervisor 4.3, loggers.FileHandler.reopen, RotatingFileHandler).

A program whose log has no directory any more, because somebody tidied up, is never spawned again (supervisor 4.3,
Subprocess.spawn).

The pipes for a program whose log cannot be opened stay open, four descriptors for each try to spawn it, until
supervisord can open no more itself (supervisor 4.3, ProcessConfig.make_dispatchers).
"""

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, TextIO, cast

from supervisor import loggers, supervisord
from supervisor import options as supervisord_options
from supervisor import process as supervised_process
from supervisor.dispatchers import PInputDispatcher, POutputDispatcher
from supervisor.events import ProcessCommunicationStderrEvent, ProcessCommunicationStdoutEvent
from supervisor.states import RUNNING_STATES, STOPPED_STATES

from kraftd.supervisord.heartbeat import HEARTBEAT, Alarm, HeartbeatWatch
from kraftd.supervisord.rpc import make_socket_directory

_DAEMON_GROUP = "daemon"
_DAEMON = "kraftd"
_SIGNALS = {Alarm.WAKE: (signal.SIGQUIT, signal.SIGCONT), Alarm.KILL: (signal.SIGKILL,)}
"""SIGQUIT has it dump its threads into its log, once SIGCONT lets it go on."""
_OUTPUTS = {"stdout": ProcessCommunicationStdoutEvent, "stderr": ProcessCommunicationStderrEvent}
_DONE = {Alarm.WAKE: "woken", Alarm.KILL: "killed"}


class TolerantStream:
    """A text stream that drops what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or leave it for the next time."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the stream."""
        return getattr(self._stream, name)


def reopen_log(handler: Any) -> None:
    """Reopen a log by its name; where that is not possible, it is written to as before."""
    try:
        stream = open(handler.baseFilename, handler.mode)  # noqa: SIM115, PTH123 as FileHandler does it
    except OSError:
        return
    handler.close()
    handler.stream, handler.closed = stream, False


def roll_over(handler: Any) -> None:
    """Begin another file where the one at hand is full and another can be begun; else it is written to as before."""
    if not 0 < handler.maxBytes <= handler.stream.tell():
        return
    log = handler.baseFilename
    # Where the daemon has renamed it, nothing is in the way.
    if Path(log).exists():
        with contextlib.suppress(OSError):
            for number in range(handler.backupCount, 0, -1):
                newer = f"{log}.{number - 1}" if number > 1 else log
                if Path(newer).exists():
                    handler.removeAndRename(newer, f"{log}.{number}")
    reopen_log(handler)


def make_dispatchers(config: Any, process: Any) -> tuple[dict[int, Any], dict[str, int | None]]:
    """Make what reads a program's output and writes its input, by descriptor, and the pipes for both, by name.

    Raises:
        OSError: A log cannot be opened, or there are no descriptors for pipes; none is left open.
    """
    options = config.options
    pipes: dict[str, int | None] = options.make_pipes(not config.redirect_stderr)
    made: dict[int, Any] = {}
    try:
        for name, event in _OUTPUTS.items():
            descriptor = pipes[name]
            if descriptor is not None:
                made[descriptor] = POutputDispatcher(process, event, descriptor)
    except OSError:
        options.close_parent_pipes(pipes)
        options.close_child_pipes(pipes)
        raise
    to_input = pipes["stdin"]
    if to_input is not None:
        made[to_input] = PInputDispatcher(process, "stdin", to_input)
    return made, pipes


class ResilientProcess(supervised_process.Subprocess):  # type: ignore[misc]
    """A program that is spawned also where the directory of its log was removed."""

    def spawn(self) -> int | None:
        """Make that directory again where it is gone, and spawn."""
        log = Path(self.config.stdout_logfile)
        # No further parents: where the whole state directory was removed, it stays so. The spawn reports what fails.
        with contextlib.suppress(OSError):
            for directory in (log.parent.parent, log.parent):
                directory.mkdir(mode=0o700, exist_ok=True)
        return cast("int | None", super().spawn())


class SignalWake:
    """Ends a wait for events when a signal arrives; for the map of sockets that supervisord waits for."""

    def __init__(self) -> None:
        """Be woken by every signal of this process, which has a handler for it."""
        self._receiver, self._sender = socket.socketpair()
        for each in (self._receiver, self._sender):
            each.settimeout(0)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return what becomes readable."""
        return self._receiver.fileno()

    def readable(self) -> bool:
        """Return that it is to be waited for."""
        return True

    def writable(self) -> bool:
        """Return that nothing is written to it."""
        return False

    def handle_read_event(self) -> None:
        """Forget the signals, which have woken the loop."""
        with contextlib.suppress(BlockingIOError):
            self._receiver.recv(4096)

    def close(self) -> None:
        """Do not be woken any more."""
        signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()


class ResilientSupervisor(supervisord.Supervisor):  # type: ignore[misc]
    """A supervisord that keeps its control socket, adds programs to its groups, and ends a daemon that hangs."""

    def __init__(self, options: Any) -> None:
        """Supervise with options that are read already."""
        super().__init__(options)
        self._heartbeat = HeartbeatWatch(Path(options.configfile).parent / HEARTBEAT)

    def runforever(self) -> None:
        """Wait for events and signals, and do what they ask for, until the shutdown."""
        with contextlib.closing(SignalWake()) as wake:
            self.options.get_socket_map()[wake.fileno()] = wake
            super().runforever()

    def add_process_group(self, config: Any) -> bool:
        """Add a group, or update one that exists: what runs goes on, and follows its new section once restarted."""
        group = self.process_groups.get(config.name)
        if group is None:
            return bool(super().add_process_group(config))
        sections = {each.name: each for each in config.process_configs}
        for name, process in list(group.processes.items()):
            if name in sections:
                process.config = sections.pop(name)
            elif process.get_state() in STOPPED_STATES:
                del group.processes[name]
        group.processes |= {name: section.make_process(group) for name, section in sections.items()}
        group.config = config
        return True

    def tick(self, now: float | None = None) -> None:
        """Do what is due after each turn of the loop."""
        super().tick(now)
        self._watch_daemon()
        opened = self.options.httpservers
        paths = [Path(config["file"]) for config, _ in opened if config["family"] == socket.AF_UNIX]
        if all(os.path.lexists(path) for path in paths):
            return
        try:
            for path in paths:
                # No parents: where the whole state directory was removed, it stays so.
                make_socket_directory(path.parent)
            self.options.httpservers = self.options.make_http_servers(self)
        except (OSError, ValueError):
            return  # The next turn tries again, and kraftd tells what is missing.
        for _, server in opened:
            server.close()
        self.options.logger.info(f"made the control socket again: {paths[0]} was gone")  # noqa: G004 not logging's

    def _watch_daemon(self) -> None:
        """Wake a daemon whose heartbeat stopped, then end it; it starts again as after any other end."""
        group = self.process_groups.get(_DAEMON_GROUP)
        process = None if group is None else group.processes.get(_DAEMON)
        if process is None or process.get_state() not in RUNNING_STATES or not process.pid:
            return
        alarm = self._heartbeat.look(process.pid)
        if alarm is None:
            return
        # Not by supervisor's own kill, which would count as a stop. The pid is our child's until it is reaped here.
        for number in _SIGNALS[alarm]:
            os.kill(process.pid, number)
        self.options.logger.info(f"{_DAEMON} ({process.pid}) gives no heartbeat; {_DONE[alarm]}")  # noqa: G004


if __name__ == "__main__":
    sys.stdout = cast("TextIO", TolerantStream(sys.stdout))
    sys.stderr = cast("TextIO", TolerantStream(sys.stderr))
    supervisord.Supervisor = ResilientSupervisor
    supervised_process.Subprocess = ResilientProcess
    supervisord_options.ProcessConfig.make_dispatchers = make_dispatchers
    loggers.FileHandler.reopen = reopen_log
    loggers.RotatingFileHandler.doRollover = roll_over
    supervisord.main()

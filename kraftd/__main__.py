"""The entry of the command line: it is ready for an interrupt before the modules of the commands are loaded."""

from kraftd.host.signals import end_on_interrupt


def main() -> None:
    """Run the command line, which an interrupt ends without a traceback from here on."""
    end_on_interrupt()
    from kraftd.cli.main import main as run  # noqa: PLC0415 an interrupt may come while it is loaded

    run()


if __name__ == "__main__":
    main()

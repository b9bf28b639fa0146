"""librdkafka's log lines, without the line per connection attempt that it writes while a broker is away."""

import logging

_REPEATED = ("FAIL", "ERROR")


def client_logger(name: str) -> logging.Logger:
    """Return a logger for librdkafka: what the app already tells as a change of state is left out."""
    logger = logging.getLogger(name)
    logger.addFilter(_is_news)
    return logger


def _is_news(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not message.startswith(_REPEATED)

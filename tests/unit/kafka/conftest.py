import warnings

with warnings.catch_warnings():
    # kafka-python 3.0 reads its schemas with a function that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kraftd.kafka.connection  # noqa: F401 - imported here so that no test meets the warning

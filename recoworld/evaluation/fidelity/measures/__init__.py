"""The sections of the report, one a file: each has `measure(witness)` and `asks(witness)`."""

"""OTLP as data: both encodings to protobuf, repair, checks of single spans, decompression, and errors as protocol statuses."""

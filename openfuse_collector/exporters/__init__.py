"""Where data goes: one package per exporter."""

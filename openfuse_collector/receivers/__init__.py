"""Where data comes in: one package per receiver."""

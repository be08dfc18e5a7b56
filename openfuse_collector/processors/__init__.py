"""What changes or drops data on its way: one package per processor."""

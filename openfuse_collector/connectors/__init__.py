"""What turns one signal into another: one package per connector."""

"""What receivers do with a request whatever its protocol: bound it, read its body, see who sent it, keep it in the journal."""

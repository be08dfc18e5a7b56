"""Terminal views of a store: read-only queries and the layout of what they return."""

"""The store stage, the same for every store: which events are new, what their entities fold to, and the rows to write."""

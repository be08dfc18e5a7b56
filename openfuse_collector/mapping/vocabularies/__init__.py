"""One file per attribute vocabulary: what Langfuse, a convention or a library calls things. Order: mapping/rules.py."""

"""What was refused for good: kept with its reason beside the journal, bounded, and offered again when somebody asks for it."""

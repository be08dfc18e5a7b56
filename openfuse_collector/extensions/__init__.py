"""What serves beside the pipelines: one package per extension."""

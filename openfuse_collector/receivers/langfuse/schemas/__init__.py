"""What Langfuse's ingestion API takes: fields, one schema per event type, and the issues with what does not fit."""

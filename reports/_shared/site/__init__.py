"""Pages of published runs, drawn from their entries; what is published is decided in the engine."""

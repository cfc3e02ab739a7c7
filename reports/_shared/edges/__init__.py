"""Effects near the ends of the window, drawn and in words; computed they are in the engine."""

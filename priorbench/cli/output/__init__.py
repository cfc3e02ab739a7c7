"""The form of what commands print: words, tables, JSON; what they say comes from elsewhere."""

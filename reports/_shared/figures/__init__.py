"""Colours of figures, and figures as inline SVG or as files; what is drawn is up to a section."""

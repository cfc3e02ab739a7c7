"""Places that losses are handed on to, one class each; when, and what if they fail, is outside."""

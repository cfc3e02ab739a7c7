"""What several sections of the report need; sections themselves stand in the folder above."""

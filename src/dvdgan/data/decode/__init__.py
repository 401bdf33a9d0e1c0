"""Files in: one clip, decoded."""

"""The packed store of decoded clips."""

"""How good are generated clips, how sure is that, are they more than copies? Features, then statistics, then scores."""

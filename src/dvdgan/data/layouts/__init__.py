"""Where clips and their labels lie: folders, lists, published data sets."""

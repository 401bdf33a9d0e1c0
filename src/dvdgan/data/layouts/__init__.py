"""Where clips and their labels are found: folders, lists, published data sets."""

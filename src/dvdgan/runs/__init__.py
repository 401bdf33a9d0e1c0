"""What any training needs and no GAN knows: directory and lock, state and checkpoints, log, signals, schedule."""

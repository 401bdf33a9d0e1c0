"""dvdgan: DVD-GAN, a class-conditional video GAN that makes a whole clip in one forward pass."""

__version__ = "0.1.0"

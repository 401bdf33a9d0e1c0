"""Are samples copies of training clips?"""

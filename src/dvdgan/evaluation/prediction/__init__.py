"""What a predictor makes of first frames, against what followed: measures frame by frame, beside naive baselines."""
